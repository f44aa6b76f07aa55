"""Reference explainers that ship: their files, what they learnt from, their entries once more."""

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

SUITE, PATCHING = "smollm2-135m", "activation-patching"
CONTROLS = {
    "smollm2-self": "smollm2-no-vector",
    "smollm2-rehearsal": "smollm2-rehearsal-no-vector",
}
"""Controls by the explainer that they belong to."""
MOST = 25_000_000
SUBMISSIONS = Path(__file__).parents[1] / "submissions" / SUITE


@pytest.fixture(params=list(CONTROLS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def record(name: str) -> dict[str, Any]:
    return read_json(reference_folder(name) / "explainer.json")


def entry(name: str) -> Path:
    (found,) = SUBMISSIONS.glob(f"introspect-bench__{name}__*")
    return found


def test_it_is_small_enough_to_ship_and_no_pickle(name: str) -> None:
    found = [path for path in reference_folder(name).iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in found) <= MOST
    assert {path.suffix for path in found} <= {".safetensors", ".json", ".jsonl", ".svg"}


def test_it_was_made_by_its_recipe(name: str, record: dict[str, Any]) -> None:
    recipe, settings = find_reference(name), record["training"]["settings"]
    assert record["injection"] == recipe.injection.as_json()
    training = dict(recipe.training)
    assert record["decoding"] == training.pop("decoding")
    assert settings["bfloat16"] == (training.pop("precision") == "bfloat16")
    assert {key: settings[key] for key in training} == training


def test_it_learnt_from_the_suites_that_ship(record: dict[str, Any]) -> None:
    about = {one["task"]: one for one in record["training"]["about"]["suites"]}
    tasks = tasks_of(SUITE)
    amounts = record["training"]["lessons"]["n_train"]
    assert set(about) == set(amounts) <= {task.name for task, _ in tasks}
    assert PATCHING in amounts
    for task, suite in tasks:
        if task.name not in about:
            continue
        assert about[task.name]["data_sha256"] == suite.data_sha256
        assert about[task.name]["prompt_sha256"] == task.prompt_sha256
        queries = suite.queries("train")
        assert len(draw_groups(queries, amounts[task.name], seed=0)) == amounts[task.name]
    assert sum(amounts.values()) == record["training"]["lessons"]["n"]


def test_it_answers_again_as_its_entry_says(name: str, tmp_path: Path) -> None:
    """A real model; another machine may round otherwise, so one answer of eight may differ."""
    stored = ib.load(entry(name) / f"{PATCHING}.jsonl")
    ids = list(stored.rows)[:8]
    (again,) = ib.run(
        f"reference/{name}", suite=SUITE, tasks=[PATCHING], queries=ids, output=tmp_path
    )
    task = get_task(PATCHING)
    said = [[task.parse(run.rows[qid]["raw"]) for qid in ids] for run in (stored, again)]
    same = [old == new for old, new in zip(*said, strict=True)]
    assert len(same) == 8
    assert sum(same) >= 7
    explainer = again.header["explainer"]
    assert explainer["weights_sha256"] == stored.header["explainer"]["weights_sha256"]


def test_its_control_is_its_own_with_the_vectors_left_out(name: str) -> None:
    blind = CONTROLS[name]
    control = ib.load(entry(blind) / f"{PATCHING}.jsonl").header["explainer"]
    own = ib.load(entry(name) / f"{PATCHING}.jsonl").header["explainer"]
    assert control["no_vector"]
    assert not own["no_vector"]
    assert control["settings"]["n_train"] == own["settings"]["n_train"]
    assert control["settings"]["decoding"] == own["settings"]["decoding"]
    fields = read_json(entry(name) / "entry.json")
    assert fields["vector_use"] == entry(blind).name
