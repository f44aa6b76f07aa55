"""Metrics and prompts give what they gave; another output needs a new version and a line."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from program import python

from introspect_bench.benchmark import golden, golden_prompts
from introspect_bench.benchmark._version import METRIC_VERSION, PROMPT_VERSION
from introspect_bench.benchmark.backends.explainer import families
from introspect_bench.benchmark.golden_prompts import by_template, prompt_outputs
from introspect_bench.benchmark.metrics.verdicts import METRICS
from introspect_bench.benchmark.prompts import render_all
from introspect_bench.benchmark.records import Query
from introspect_bench.benchmark.registry import get_task, tasks
from introspect_bench.benchmark.scoring import correct

TOP = Path(__file__).parents[2]
CODE = """
import sys
from introspect_bench.benchmark.golden import golden
print([golden(), "torch" in sys.modules])
"""


def queries(task: str) -> list[Query]:
    return [Query(**row["query"], vector=0) for row in golden.fixture(task)]


@pytest.fixture(scope="module")
def outputs() -> dict[str, Any]:
    return golden.metric_outputs()


def test_a_change_of_outputs_needs_a_new_version() -> None:
    done = python("-c", CODE, PYTHONHASHSEED="1")
    assert done.returncode == 0, done.stderr
    found, torch = ast.literal_eval(done.stdout)
    for name, version in (("metric", METRIC_VERSION), ("prompt", PROMPT_VERSION)):
        assert found[f"{name}_version"] == {"recorded": version, "computed": version}, (
            f"a change of {name}s needs a new version and a CHANGELOG line: set "
            f"{name.upper()}_VERSION in benchmark/_version.py and name it in CHANGELOG.md"
        )
    assert not torch


@pytest.mark.parametrize("version", [METRIC_VERSION, PROMPT_VERSION])
def test_the_changelog_names_the_version(version: str) -> None:
    assert version in (TOP / "CHANGELOG.md").read_text()


def test_every_metric_has_a_value_and_an_interval_and_every_template_a_query(
    outputs: dict[str, Any],
) -> None:
    measured = set()
    for task in tasks():
        for table in outputs[task.name]["estimates"]:
            measured |= {name for name, one in table.items() if one["interval_95"] is not None}
        compared = outputs[task.name]["compared"]
        assert set(task.metrics) == {k for k, one in compared.items() if one["interval_95"]}
        found = by_template(render_all(task, queries(task.name)))
        folder = TOP / "tasks" / task.name.replace("-", "_")
        assert len(found) == len([*(folder / "prompts").glob("**/[0-9].question.jinja")])
        assert min(map(len, found.values())) >= 2
    assert measured == METRICS.keys()


def test_a_millionth_counts_and_the_last_bit_of_a_sum_does_not() -> None:
    hashes = [golden.short_hash({"r": [0.25 + more]}) for more in (0.0, 1e-14, 1e-6)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert golden.short_hash([-0.0]) == golden.short_hash([0.0]) != golden.short_hash([0])
    assert golden.short_hash([float("nan")]) == golden.short_hash([None])


def test_another_rule_for_contents_is_another_version(
    outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    normalise = correct.normalise_content
    monkeypatch.setattr(correct, "normalise_content", lambda text: normalise(text).casefold())
    assert golden.short_hash(golden.metric_outputs()) != golden.short_hash(outputs)


@pytest.mark.parametrize(
    ("place", "name"),
    [(families, "LATENTQA_TURN"), (golden_prompts, "SELFIE_TEMPLATE")],
)
def test_another_word_in_one_family_is_another_version(
    place: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = get_task("feature-descriptions")
    asked = queries(task.name)[:6], ["verbs", "nouns"]
    before = prompt_outputs(task, *asked)
    monkeypatch.setattr(place, name, getattr(place, name) + " Now:")
    after = prompt_outputs(task, *asked)
    assert sum(before[form] != after[form] for form in before) in (1, 3)
    assert before.keys() == after.keys()


def test_a_prompt_is_seen_as_a_model_reads_it() -> None:
    task = get_task("feature-descriptions")
    found = prompt_outputs(task, queries(task.name)[:6], ["verbs", "nouns"])
    text, columns, layers, n = found["plain, slots, solved"][0]
    assert text.startswith("<s>")
    assert text.endswith("\nAnswer:")
    assert "Answer: verbs\n\n" in text
    assert [text.replace("<s>", ".")[place] for place in columns] == ["X"] * 9
    assert (layers, n) == ([], 9)
