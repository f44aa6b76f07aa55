"""What is refused before anything is loaded, and errors that say what to run instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program import ABLATIONS, CONSTANT, PATCHING, Call, one_run, refused, succeeded, the_sentence
from tiny_entries import CONTACT
from tiny_training import make_base, train

import introspect_bench as ib
from introspect_bench.benchmark.errors import MissingPartError, UsageError
from introspect_bench.benchmark.evaluation import run as running
from introspect_bench.benchmark.evaluation.run import RefusedTasksError

HUGE = "9" * 20
FEW = ("run", "-m", "baseline/few-shot")


@pytest.fixture
def folder(here: Path) -> str:
    """A folder that could be a model's, by its name and its files' names."""
    (here / "model").mkdir()
    (here / "model" / "model.safetensors").touch()
    return "./model"


def refuse_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_words: Any, **_more: Any) -> None:
        raise AssertionError("loaded before all arguments were checked")

    monkeypatch.setattr(running, "load_explainer", load)


@pytest.fixture
def nothing_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_load(monkeypatch)


@pytest.mark.usefixtures("nothing_loads")
@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("run", "-m", "nosuch"), 2, "unknown model 'nosuch'"),
        (("run", "-m", "no/such/model"), 2, "unknown model"),
        (("run", "-m", "./nowhere"), 3, "no such folder"),
        (("run", "-m", "~no-such-user-at-all/x"), 3, "no such folder"),
        (("run", "-m", "./toy"), 3, "no *.safetensors"),
        (("run", "-m", "py:nope:Nope"), 2, "cannot import nope"),
        (("run", "-m", "py:nope.inner:Nope"), 2, "No module named 'nope'"),
        (("run", "-m", "py:.foo:Bar"), 2, "expected py:module:Class"),
        (("run", "-m", "baseline/nobody", "-t", ABLATIONS), 2, "unknown baseline 'nobody'"),
        (("run", "-m", "baseline/source-oracle", "-t", ABLATIONS), 2, f"not {ABLATIONS}"),
        (("run", "-m", "baseline/nearest-neighbour", "--no-vector"), 2, "reads vectors"),
        ((*CONSTANT, "--device", "nonsense"), 2, "unknown device 'nonsense'"),
        ((*CONSTANT, "--device", "meta"), 2, "unknown device 'meta'"),
        ((*CONSTANT, "--device", "cuda:x"), 2, "unknown device 'cuda:x'"),
        ((*CONSTANT, "--dtype", "float12"), 2, "unknown dtype 'float12'"),
        ((*FEW, "--seed", "-1"), 2, "the seed is -1"),
        ((*FEW, "--seed", HUGE), 2, f"the seed is {HUGE}"),
        ((*FEW, "--shots", HUGE), 2, "or less"),
        ((*CONSTANT, "--limit", HUGE), 2, "or less"),
        ((*CONSTANT, "--batch-size", HUGE), 2, "or less"),
        ((*CONSTANT, "--explainer-args", "a=1"), 2, "py:module:Class"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_run_is_refused_in_a_dry_run_too(
    call: Call, words: tuple[str, ...], code: int, part: str, dry: bool
) -> None:
    assert part in refused(
        call(*words, "--suite", "toy", *(["--dry-run"] if dry else [])), code, out=""
    )
    assert not Path("runs").exists()


@pytest.mark.usefixtures("nothing_loads")
@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--split", "nosuch"), 2, "unknown split 'nosuch'"),
        (("--split", "train", "--shots", "2"), 2, "another one"),
        (("--resume", "sometimes"), 2, "unknown resume mode"),
        (("--resume", "require"), 2, "does not exist"),
        (("--limit", "0"), 2, "the limit is 0"),
        (("--queries", "x"), 2, "no query 'x'"),
        (("--limit", "1", "--queries", "x"), 2, "cannot be combined"),
        (("--task", "nosuch"), 2, ABLATIONS),
        (("--suite", "nosuch"), 2, "smollm2-135m"),
        (("--explainer-args", "a=1"), 2, "py:module:Class"),
        (("--explainer-args", "a"), 2, "key=value"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_arguments_are_checked_before_weights_are_loaded(
    call: Call, folder: str, words: tuple[str, ...], code: int, part: str
) -> None:
    found, out, err = call("run", "-m", folder, "--suite", "toy", *words)
    assert (found, out) == (code, ""), err
    assert part in the_sentence(err)
    assert err.count("\n") == 1  # nothing was begun


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--resume", "never"), 2, "exists"),
        (("--limit", "2"), 4, "task.n is 15 there and 2 now"),
        (("--seed", "7"), 4, "generation.seed is 0 there and 7 now"),
        (("--shots", "3"), 4, "explainer.shots is 0 there and 3 now"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_another_runs_file_is_seen_before_weights_are_loaded(
    call: Call, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, part: str
) -> None:
    path = one_run(call)
    before = path.read_bytes()
    refuse_to_load(monkeypatch)
    for more in ((), ("--dry-run",)):
        found, out, err = call(*CONSTANT, "--suite", "toy", "-t", ABLATIONS, *words, *more)
        assert (found, out) == (code, "")
        assert part in the_sentence(err)
        assert err.count("\n") == 1
    assert path.read_bytes() == before


def test_all_tasks_are_checked_before_the_first_is_answered(call: Call) -> None:
    path = one_run(call)
    assert str(path) in refused(call(*CONSTANT, "--suite", "toy", "--resume", "never"), 2)
    assert list(Path("runs").glob("*.jsonl")) == [path]


def test_a_dry_run_reads_no_weights_and_runs_no_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    refuse_to_load(monkeypatch)
    Path("noisy_module.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    adapter = Path("adapter")
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").touch()
    (adapter / "adapter_config.json").write_text("{}")
    for model in (folder, "./adapter", "org/model@main", "py:noisy_module:Mine"):
        out = succeeded(call("run", "-m", model, "--suite", "toy", "--dry-run", "--json"))
        assert [plan["seconds"] for plan in json.loads(out)["plans"]] == [None, None]
    assert not Path("ran").exists()
    assert not Path("runs").exists()


def test_numbers_are_whole() -> None:
    for options in ({"seed": 0.5}, {"limit": True}, {"shots": "3"}, {"batch_size": 2.0}):
        with pytest.raises(UsageError, match="give a whole number"):
            ib.plan("baseline/constant", suite="toy", **options)


def test_dtypes_are_those_that_loading_knows() -> None:
    from introspect_bench.benchmark.backends.models import devices as loading
    from introspect_bench.benchmark.evaluation.spec import DTYPES

    assert tuple(DTYPES) == ("auto", *loading.DTYPES)


def test_submitting_a_mini_run_says_what_to_run(call: Call) -> None:
    words = ("--model", "baseline/constant", "--suite", "toy", "--split", "mini", "--no-score")
    assert call("run", *words)[0] == 0
    words = ("--name", "Acme/One", "--contact", CONTACT, "--declare", "--suite", "toy")
    code, _, err = call("submit", "runs", *words)
    assert code == 1
    said = the_sentence(err)
    assert "answers mini, submissions answer test" in said
    assert "`introspect-bench run --model baseline/constant --split test`" in said


def test_an_adapter_whose_base_moved_is_told_where_it_is(here: Path, call: Call) -> None:
    base = make_base(here / "base")
    train(base, here / "toy", here / "mine", tasks=[ABLATIONS], epochs=1)
    words = ("run", "--model", "mine", "--suite", "toy", "-t", ABLATIONS, "--max-new-tokens", "3")
    base.rename(here / "moved")
    code, _, err = call(*words)
    assert code == 3
    said = the_sentence(err)
    assert "mine is an adapter whose base model, " in said
    assert "is missing" in said
    assert "say where it is with --base" in said
    succeeded(call(*words, "--base", "moved"))
    (run,) = Path("runs").glob("mine*.jsonl")
    weights = ib.load(run).header.explainer.weights_sha256
    assert set(weights) >= {"adapter_model.safetensors", "base/model.safetensors"}
    code, _, err = call(*words[:2], "absent/folder/x", *words[3:], "--base", "moved")
    assert code != 0
    assert "adapter whose base" not in the_sentence(err)  # the explainer itself is what is missing


def test_a_base_is_for_adapters(here: Path) -> None:
    make_base(here / "plain")
    with pytest.raises(UsageError, match="plain is no adapter, and --base is for adapters"):
        ib.run("plain", suite="toy", tasks=[ABLATIONS], base="plain")
    with pytest.raises(UsageError, match="a base is for adapters of local models only"):
        ib.run("baseline/constant", suite="toy", base="plain")
    with pytest.raises(MissingPartError, match="no such folder"):
        ib.run("plain", suite="toy", base="./nowhere")


def test_another_width_names_the_training_that_takes_it(here: Path) -> None:
    make_base(here / "wide", hidden_size=8)
    with pytest.raises(RefusedTasksError, match=r"`introspect-bench train --projection aligned`"):
        ib.run("wide", suite="toy", tasks=[PATCHING])
    with pytest.raises(UsageError, match=r"`train --projection aligned`"):
        ib.train("wide", "out", suite="toy", tasks=[PATCHING])
    assert json.loads((here / "wide" / "config.json").read_text())["hidden_size"] == 8
