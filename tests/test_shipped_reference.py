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

SUITE, PATCHING, FEATURES = "smollm2-135m", "activation-patching", "feature-descriptions"
CONTROLS = {
    "smollm2-self": "smollm2-no-vector",
    "smollm2-rehearsal": "smollm2-rehearsal-no-vector",
    "smollm2-input-lens": "smollm2-input-lens-exchanged",
}
"""Controls by the explainer that they belong to."""
MOST = 25_000_000
SUBMISSIONS = Path(__file__).parents[1] / "submissions" / SUITE


@pytest.fixture(params=list(CONTROLS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def asked(name: str) -> str:
    """The task that it is asked about here."""
    return FEATURES if name == "smollm2-input-lens" else PATCHING


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
    training = dict(recipe.training)
    injection = dict(record["injection"])
    start = record["training"]["about"].get("projection", {}).get("start")
    assert start == training.pop("projection", None)
    assert ("projection" in injection) == (start is not None)
    injection.pop("projection", None)
    assert injection == recipe.injection.as_json()
    assert record.get("decoding", "greedy") == training.pop("decoding", "greedy")
    assert settings["bfloat16"] == (training.pop("precision") == "bfloat16")
    assert {key: settings[key] for key in training} == training


def test_it_learnt_from_the_suites_that_ship(asked: str, record: dict[str, Any]) -> None:
    about = {one["task"]: one for one in record["training"]["about"]["suites"]}
    tasks = tasks_of(SUITE)
    amounts = record["training"]["lessons"]["n_train"]
    assert set(about) == set(amounts) <= {task.name for task, _ in tasks}
    assert asked in amounts
    for task, suite in tasks:
        if task.name not in about:
            continue
        assert about[task.name]["data_sha256"] == suite.data_sha256
        assert about[task.name]["prompt_sha256"] == task.prompt_sha256
        queries = suite.queries("train")
        assert len(draw_groups(queries, amounts[task.name], seed=0)) == amounts[task.name]
    assert sum(amounts.values()) == record["training"]["lessons"]["n"]


def test_it_answers_again_as_its_entry_says(name: str, asked: str, tmp_path: Path) -> None:
    """A real model; another machine may round otherwise, so one answer of eight may differ."""
    stored = ib.load(entry(name) / f"{asked}.jsonl")
    ids = list(stored.rows)[:8]
    (again,) = ib.run(
        f"reference/{name}",
        suite=SUITE,
        tasks=[asked],
        queries=ids,
        simulate=False,
        output=tmp_path,
    )
    task = get_task(asked)
    said = [[task.parse(run.rows[qid]["raw"]) for qid in ids] for run in (stored, again)]
    same = [old == new for old, new in zip(*said, strict=True)]
    assert len(same) == 8
    assert sum(same) >= 7
    explainer = again.header["explainer"]
    assert explainer["weights_sha256"] == stored.header["explainer"]["weights_sha256"]


def test_its_control_is_its_own_without_its_vectors(name: str, asked: str) -> None:
    """Left out in training and after, or exchanged between queries when it is asked."""
    blind = CONTROLS[name]
    control = ib.load(entry(blind) / f"{asked}.jsonl").header["explainer"]
    own = ib.load(entry(name) / f"{asked}.jsonl").header["explainer"]
    exchanged = bool(control.get("shuffled_vectors"))
    assert control["no_vector"] or exchanged
    assert not own["no_vector"]
    assert not own.get("shuffled_vectors")
    same = control["weights_sha256"] == own["weights_sha256"]
    assert same == exchanged
    assert control["settings"]["n_train"] == own["settings"]["n_train"]
    assert control["settings"].get("decoding") == own["settings"].get("decoding")
    fields = read_json(entry(name) / "entry.json")
    assert fields["vector_use"] == entry(blind).name
