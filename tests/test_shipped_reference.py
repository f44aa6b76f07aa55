"""The reference explainer that ships: its files, what it learnt from, its entries once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import introspect_bench as ib
from introspect_bench.baselines.references import find_reference, reference_folder
from introspect_bench.benchmark.backends.injection import Injection
from introspect_bench.benchmark.files import read_json
from introspect_bench.suites import tasks_of
from introspect_bench.tasks import get_task

SUITE, NAME = "smollm2-135m", "smollm2-self"
PATCHING, FEATURES, ABLATIONS = "activation-patching", "feature-descriptions", "input-ablations"
TASKS = (PATCHING, FEATURES, ABLATIONS)
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
    training = dict(recipe.training)
    injection = Injection.from_json(record["injection"])
    assert record["training"]["about"]["projection"]["start"] == training.pop("projection")
    assert injection.maps is not None
    assert injection.with_maps(None) == recipe.injection
    assert record["decoding"] == training.pop("decoding")
    assert settings["bfloat16"] == (training.pop("precision") == "bfloat16")
    assert {key: settings[key] for key in training} == training


def test_it_learnt_from_all_training_queries_of_the_suites_that_ship(
    record: dict[str, Any],
) -> None:
    about = {one["task"]: one for one in record["training"]["about"]["suites"]}
    amounts = record["training"]["lessons"]["n_train"]
    assert set(about) == set(amounts) == set(TASKS)
    for task, suite in tasks_of(SUITE):
        assert about[task.name]["data_sha256"] == suite.data_sha256
        assert about[task.name]["prompt_sha256"] == task.prompt_sha256
        assert amounts[task.name] == len(suite.queries("train"))
    assert sum(amounts.values()) == record["training"]["lessons"]["n"]


@pytest.mark.parametrize("asked", TASKS)
def test_it_answers_again_as_its_entry_says(asked: str, tmp_path: Path) -> None:
    """A real model; another machine may round otherwise, so one answer of eight may differ."""
    stored = ib.load(entry(NAME) / f"{asked}.jsonl")
    ids = list(stored.rows)[:8]
    (again,) = ib.run(
        f"reference/{NAME}",
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


@pytest.mark.parametrize("blind", ["smollm2-no-vector", "smollm2-exchanged"])
@pytest.mark.parametrize("asked", [PATCHING, FEATURES])
def test_its_control_is_its_own_without_its_vectors(asked: str, blind: str) -> None:
    """Left out in training and after, or exchanged between queries when it is asked."""
    control = ib.load(entry(blind) / f"{asked}.jsonl").header["explainer"]
    own = ib.load(entry(NAME) / f"{asked}.jsonl").header["explainer"]
    exchanged = blind == "smollm2-exchanged"
    assert control["no_vector"] != exchanged
    assert bool(control.get("shuffled_vectors")) == exchanged
    assert not own["no_vector"]
    assert not own.get("shuffled_vectors")
    assert (control["weights_sha256"] == own["weights_sha256"]) == exchanged
    assert control["settings"]["n_train"] == own["settings"]["n_train"]
    assert control["settings"].get("decoding") == own["settings"].get("decoding")


def test_its_entry_names_its_control() -> None:
    fields = read_json(entry(NAME) / "entry.json")
    assert fields["vector_use"] == entry("smollm2-no-vector").name
