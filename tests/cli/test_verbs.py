"""Every verb, whatever verbs there are: help, `--json`, and a Python function of the same name."""

from __future__ import annotations

import inspect
import json

import click
import pytest
from program import ABLATIONS, Call, commands, one_run

import introspect_bench as ib
from introspect_bench import citation as citing
from introspect_bench.benchmark.evaluation import import_run as importing
from introspect_bench.benchmark.export import export as exporting
from introspect_bench.benchmark.export import lm_eval_tasks
from introspect_bench.benchmark.metrics import paired
from introspect_bench.benchmark.scoring import compare as comparing
from introspect_bench.cli import VERBS
from introspect_bench.commands import ls
from introspect_bench.listing import KINDS

LEAVES = [words for words, one in commands().items() if not isinstance(one, click.Group)]


def test_the_walk_reaches_every_verb() -> None:
    assert [words[0] for words in commands() if len(words) == 1] == list(VERBS)
    assert ("board", "build") in LEAVES
    assert ("data", "verify") in LEAVES


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_a_verb_is_a_function_of_the_same_name(words: tuple[str, ...]) -> None:
    name = "_".join(words).replace("-", "_")
    assert name in ib.__all__
    function = getattr(ib, name)
    assert inspect.isfunction(function)
    assert function.__doc__
    assert f"`{name}`" in (ib.__doc__ or "")


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_a_verb_has_json(words: tuple[str, ...]) -> None:
    assert "--json" in {name for param in commands()[words].params for name in param.opts}


@pytest.mark.parametrize(
    ("verb", "option", "known"),
    [
        ("compare", "cluster", comparing.CLUSTERS),
        ("compare", "correction", paired.CORRECTIONS),
        ("cite", "form", citing.FORMATS),
        ("import-run", "format", importing.FORMATS),
        ("export", "to", (*exporting.FORMS, exporting.HUB_RESULTS, lm_eval_tasks.TO)),
    ],
)
def test_choices_are_those_of_the_function(verb: str, option: str, known: tuple[str, ...]) -> None:
    (param,) = (param for param in commands()[(verb,)].params if param.name == option)
    assert isinstance(param.type, click.Choice)
    assert tuple(param.type.choices) == known


def test_table_as_json_is_one_document_with_scores_and_text(call: Call) -> None:
    run = str(one_run(call))
    code, out, err = call("score", "--markdown", run, "--suite", "toy", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["results"] == [ib.score(run, suite="toy")]
    assert document["markdown"] == ib.score_table([run], suite="toy")


def test_the_command_lists_what_python_lists() -> None:
    assert ls.KINDS == KINDS


def test_listings_and_paths_are_the_same_from_python(call: Call) -> None:
    for kind in KINDS:
        assert json.loads(call("ls", kind, "--json")[1]) == {kind: ib.ls(kind)}
    assert json.loads(call("data", "path", "--json")[1]) == ib.data_path()
    assert ABLATIONS in ib.data_path()[f"smollm2-135m/{ABLATIONS}"]
    rows = {
        row["what"]: row["version"]
        for row in json.loads(call("ls", "versions", "--json")[1])["versions"]
    }
    assert rows["introspect-bench"] == ib.__version__ == ib.version()["package"]["version"]
    assert rows.items() > ib.version()["environment"].items()
    assert set(json.loads(call("ls", "--json")[1])) == set(KINDS)
