"""Feature activations of a tiny target: the numbers, the shards, going on after a stop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import make_model, make_tokenizer

from introspect_bench.benchmark.backends.residuals import window_residuals
from introspect_bench.benchmark.backends.target_model import wrap
from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.tasks.feature_descriptions import measure


@dataclass(frozen=True, kw_only=True)
class Dots:
    """Features that are dot products, negative ones included."""

    name: str
    layer: int
    directions: Any

    def encode(self, residuals: Any) -> Any:
        return residuals @ self.directions.T


@pytest.fixture
def target() -> Any:
    tokenizer = make_tokenizer()
    return wrap(make_model("llama", tokenizer), tokenizer)


def sources(target: Any) -> list[Dots]:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2, 5, target.d_model)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    return [Dots(name=f"s{i}", layer=i, directions=rows[i]) for i in (0, 1)]


def windows(n: int = 150) -> Any:
    return np.random.default_rng(1).integers(3, 40, size=(n, 32)).astype(np.int32)


def test_activations_are_the_positive_part(target: Any, tmp_path: Path) -> None:
    ids, own = windows(), sources(target)
    told: list[tuple[str, int]] = []
    found = measure.feature_activations(
        target, own, ids, bos=1, work=tmp_path, report=lambda *what: told.append(what)
    )
    read = window_residuals(target, torch.from_numpy(ids).long(), bos=1, layers=(0, 1))
    for matrix, source in zip(found, own, strict=True):
        dense = source.encode(read[source.layer].reshape(-1, target.d_model).numpy())
        assert matrix.shape == (150 * 32, 5)
        np.testing.assert_allclose(matrix.toarray(), np.maximum(dense, 0), atol=1e-5)
        assert (dense < 0).any()
    assert sum(n for stage, n in told if stage == "feature activations") == 150


def test_what_is_measured_is_not_measured_again(
    target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "SHARD", 64)
    ids, own = windows(), sources(target)

    def run(read: list[int]) -> Any:
        return measure.feature_activations(
            target,
            own,
            ids,
            bos=1,
            work=tmp_path,
            report=lambda stage, n: read.append(n) if stage == "windows read" else None,
        )

    first_read: list[int] = []
    first = run(first_read)
    next(tmp_path.iterdir()).unlink()
    again: list[int] = []
    second = run(again)
    assert sum(first_read) == 150
    assert 0 < sum(again) <= 64
    for a, b in zip(first, second, strict=True):
        assert (a != b).nnz == 0


def test_a_broken_shard_is_named(target: Any, tmp_path: Path) -> None:
    ids, own = windows(10), sources(target)
    measure.feature_activations(target, own, ids, bos=1, work=tmp_path, report=lambda *_: None)
    broken = sorted(tmp_path.iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(IntegrityError, match=broken.name):
        measure.feature_activations(target, own, ids, bos=1, work=tmp_path, report=lambda *_: None)
