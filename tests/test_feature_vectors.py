"""Vectors that are no autoencoder's: what is read, and that a projection is what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import make_model, make_tokenizer

from introspect_bench.benchmark.backends.residuals import window_residuals
from introspect_bench.benchmark.backends.target_model import wrap
from introspect_bench.tasks.facts.facts import load_facts
from introspect_bench.tasks.feature_descriptions.vectors import (
    activation_sources,
    difference_sources,
    fact_pairs,
    projections,
)

BOS = 1


@pytest.fixture(scope="module")
def target() -> Any:
    tokenizer = make_tokenizer()
    return wrap(make_model("llama", tokenizer), tokenizer)


def windows(n: int = 70) -> Any:
    return np.random.default_rng(1).integers(3, 40, size=(n, 32)).astype(np.int32)


def centres(target: Any) -> Any:
    rng = np.random.default_rng(2)
    return {
        layer: (rng.standard_normal(target.d_model).astype(np.float32), 1e6) for layer in (0, 1)
    }


def test_a_full_activation_is_a_centred_residual_of_some_window(target: Any) -> None:
    ids, own = windows(), centres(target)
    sources = activation_sources(target, ids, own, count=5, bos=BOS, rng=np.random.default_rng(0))
    assert [source.layer for source in sources] == [0, 1]
    read = window_residuals(target, torch.from_numpy(ids).long(), bos=BOS, layers=(0, 1))
    for source in sources:
        centred = read[source.layer].reshape(-1, target.d_model).numpy() - own[source.layer][0]
        unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        best = (source.directions @ unit.T).max(axis=1)
        np.testing.assert_allclose(best, 1, atol=2e-3)
        assert (source.directions == source.directions.astype(np.float16)).all()


def test_projections_are_signed_and_exact(target: Any) -> None:
    ids, own = windows(), centres(target)
    sources = activation_sources(target, ids, own, count=3, bos=BOS, rng=np.random.default_rng(0))
    told: list[int] = []
    found = projections(target, sources, ids, bos=BOS, report=lambda _stage, n: told.append(n))
    read = window_residuals(target, torch.from_numpy(ids).long(), bos=BOS, layers=(0, 1))
    for source, values in zip(sources, found, strict=True):
        centred = read[source.layer].reshape(-1, target.d_model).numpy() - own[source.layer][0]
        np.testing.assert_allclose(values, centred @ source.directions.T, atol=1e-4)
        assert (values < 0).any()
    assert sum(told) == len(ids)


def test_differences_are_of_prompts_of_one_relation(target: Any) -> None:
    pairs = fact_pairs(load_facts(), 40, np.random.default_rng(0))
    assert len(set(pairs)) == 40
    for first, second in pairs:
        assert first != second
    sources = difference_sources(target, centres(target), count=3, rng=np.random.default_rng(0))
    for source in sources:
        np.testing.assert_allclose(np.linalg.norm(source.directions, axis=1), 1, atol=2e-3)
    again = difference_sources(target, centres(target), count=3, rng=np.random.default_rng(0))
    assert (again[1].directions == sources[1].directions).all()


def test_too_few_facts_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs of facts"):
        fact_pairs(load_facts()[:4], 40, np.random.default_rng(0))
