"""The reference explainer that ships: its files, what it learnt from, and its entry once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import introspect_bench as ib
from introspect_bench.baselines.references import find_reference, reference_folder
from introspect_bench.benchmark.draws import draw_groups
from introspect_bench.benchmark.files import read_json
from introspect_bench.suites import tasks_of
from introspect_bench.tasks import get_task

NAME, SUITE, PATCHING = "smollm2-self", "smollm2-135m", "activation-patching"
MOST = 25_000_000
SUBMISSIONS = Path(__file__).parents[1] / "submissions" / SUITE


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return read_json(reference_folder(NAME) / "explainer.json")


def entry(name: str) -> Path:
    (found,) = SUBMISSIONS.glob(f"introspect-bench__{name}__*")
    return found


def test_it_is_small_enough_to_ship_and_no_pickle() -> None:
    found = [path for path in reference_folder(NAME).iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in found) <= MOST
    assert {path.suffix for path in found} <= {".safetensors", ".json", ".jsonl", ".svg"}


def test_it_was_made_by_its_recipe(record: dict[str, Any]) -> None:
    recipe, settings = find_reference(NAME), record["training"]["settings"]
    assert record["injection"] == recipe.injection.as_json()
    training = dict(recipe.training)
    assert record["decoding"] == training.pop("decoding")
    assert settings["bfloat16"] == (training.pop("precision") == "bfloat16")
    assert {name: settings[name] for name in training} == training


def test_it_learnt_from_the_suites_that_ship(record: dict[str, Any]) -> None:
    about = {one["task"]: one for one in record["training"]["about"]["suites"]}
    tasks = tasks_of(SUITE)
    assert set(about) == {task.name for task, _ in tasks}
    amounts = record["training"]["lessons"]["n_train"]
    for task, suite in tasks:
        assert about[task.name]["data_sha256"] == suite.data_sha256
        assert about[task.name]["prompt_sha256"] == task.prompt_sha256
        queries = suite.queries("train")
        assert len(draw_groups(queries, amounts[task.name], seed=0)) == amounts[task.name]
    assert sum(amounts.values()) == record["training"]["lessons"]["n"]


def test_it_answers_again_as_its_entry_says(tmp_path: Path) -> None:
    """A real model; another machine may round otherwise, so one answer of eight may differ."""
    stored = ib.load(entry(NAME) / f"{PATCHING}.jsonl")
    ids = list(stored.rows)[:8]
    (again,) = ib.run(
        f"reference/{NAME}", suite=SUITE, tasks=[PATCHING], queries=ids, output=tmp_path
    )
    task = get_task(PATCHING)
    said = [[task.parse(run.rows[qid]["raw"]) for qid in ids] for run in (stored, again)]
    same = [old == new for old, new in zip(*said, strict=True)]
    assert len(same) == 8
    assert sum(same) >= 7
    explainer = again.header["explainer"]
    assert explainer["weights_sha256"] == stored.header["explainer"]["weights_sha256"]


def test_its_control_is_its_own_with_the_vectors_left_out() -> None:
    control = ib.load(entry("smollm2-no-vector") / f"{PATCHING}.jsonl").header["explainer"]
    own = ib.load(entry(NAME) / f"{PATCHING}.jsonl").header["explainer"]
    assert control["no_vector"]
    assert not own["no_vector"]
    assert control["settings"]["n_train"] == own["settings"]["n_train"]
    fields = read_json(entry(NAME) / "entry.json")
    assert fields["vector_use"] == entry("smollm2-no-vector").name
