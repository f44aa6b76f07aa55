"""The shipped features of the embedded target: what is said of them is computed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from introspect_bench import tasks
from introspect_bench.benchmark.correlations import signed_r
from introspect_bench.benchmark.fetch import prepare_target
from introspect_bench.benchmark.files import sha256_file
from introspect_bench.benchmark.targets import resolve_target
from introspect_bench.tasks.feature_descriptions.predicates.evaluate import evaluate_named

ROOT = Path(tasks.__file__).parent / "suites" / "smollm2-135m" / "feature-descriptions" / "v1"


def rows(split: str, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROOT / split / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from introspect_bench.benchmark.backends.pretrained import load_tokenizer

    return load_tokenizer(prepare_target(resolve_target("smollm2-135m")))


def test_files_are_those_of_the_manifest() -> None:
    listed = json.loads((ROOT / "manifest.json").read_text())["files"]
    found = {p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file()}
    assert found - {"manifest.json"} == set(listed)
    for name, entry in listed.items():
        assert sha256_file(ROOT / name) == entry["sha256"], name


def test_fifty_descriptions_hold_on_the_shipped_windows(tokenizer: Any) -> None:
    truth = rows("test", "truth.jsonl")
    chosen = np.sort(np.random.default_rng(0).choice(len(truth), 50, replace=False))
    ids = load_file(ROOT / "test" / "windows.safetensors")["ids"][chosen]
    active = load_file(ROOT / "test" / "activations.safetensors")["activations"][chosen]
    names = sorted({truth[row]["predicate"] for row in chosen})
    values = evaluate_named(names, ids.reshape(-1, 32), tokenizer)
    for place, row in enumerate(chosen):
        column = values[:, [names.index(truth[row]["predicate"])]].toarray()
        told = column.reshape(ids.shape)[place][None].astype(np.float64)
        r = signed_r(active[place][None].astype(np.float64), told)[0][0]
        assert r == pytest.approx(truth[row]["window_r"], abs=0.01)


def test_sizes_and_variety() -> None:
    queries = {split: rows(split, "queries.jsonl") for split in ("train", "validation", "test")}
    kinds = [query["kind"] for query in queries["test"]]
    assert [kinds.count(kind) for kind in ("sae", "activation", "difference")] == [400, 100, 100]
    assert len(queries["train"]) >= 4000
    assert len(queries["validation"]) == 400
    truth = {row["id"]: row for row in rows("test", "truth.jsonl")}
    own = [truth[query["id"]] for query in queries["test"] if query["kind"] == "sae"]
    names = [row["predicate"] for row in own]
    assert len(set(names)) >= 200
    assert max(names.count(name) for name in set(names)) <= 0.03 * len(names)
    assert min(row["r_held_out"] for row in own) >= 0.5


def test_no_test_vector_is_nearly_a_training_vector() -> None:
    def vectors(split: str) -> Any:
        found = load_file(ROOT / split / "vectors.safetensors")["vectors"].astype(np.float32)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=2e-3)
        return found

    train, test = vectors("train"), vectors("test")
    cosines = (test @ train.T).max(axis=1)
    assert cosines.max() <= 0.901
    stored = [row["nearest_train"] for row in rows("test", "truth.jsonl")]
    np.testing.assert_allclose(cosines, stored, atol=1e-3)
    assert (vectors("validation") @ train.T).max() <= 0.901
