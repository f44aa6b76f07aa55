"""The token table and the autoencoder of what it leaves, on made-up residuals."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from introspect_bench.benchmark.backends.autoencoder import (
    TokenizedSettings,
    coefficients,
    top_coefficients,
    train_tokenized,
)
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.tasks.feature_descriptions.build.table import (
    capped,
    explained,
    fit_table,
)

N, WIDTH, VOCABULARY = 6000, 12, 40


def made() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Residuals of a token's vector, a context and noise; tokens, embeddings, contexts."""
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((VOCABULARY, 5)).astype(np.float32)
    tokens = rng.integers(0, VOCABULARY - 2, N).astype(np.int32)  # two are never seen
    said = embeddings @ rng.standard_normal((5, WIDTH)) + rng.standard_normal((VOCABULARY, WIDTH))
    directions = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0][:4]
    contexts = (rng.random((N, 4)) < 0.1) * (3 + rng.random((N, 4)))
    residuals = 7 + said[tokens] + contexts @ directions
    return residuals.astype(np.float32), tokens, embeddings, contexts.astype(np.float32)


def test_rows_are_means_shrunk_to_a_linear_map() -> None:
    residuals, tokens, embeddings, _ = made()
    table = fit_table(residuals, tokens, embeddings)
    given = capped(residuals, table.mean, table.cap)
    line = LinearRegression().fit(embeddings[tokens], given)
    mapped = line.predict(embeddings)
    for token in (0, 5):
        own = given[tokens == token]
        expected = (own.sum(axis=0) + 10 * mapped[token]) / (len(own) + 10)
        np.testing.assert_allclose(table.rows[token], expected, atol=0.02)
    np.testing.assert_allclose(table.rows[-1], mapped[-1], atol=0.02)  # never seen
    left = table.left(residuals, tokens)
    share = 1 - np.square(left).sum() / np.square(given).sum()
    assert explained(table, residuals, tokens) == pytest.approx(share, abs=1e-5)
    assert share > 0.5
    with pytest.raises(UsageError):
        fit_table(residuals[1:], tokens, embeddings)


def test_a_few_huge_residuals_change_little() -> None:
    residuals, tokens, embeddings, _ = made()
    wild = residuals.copy()
    wild[::500] *= 1000
    tame, table = (fit_table(x, tokens, embeddings) for x in (residuals, wild))
    assert table.cap == pytest.approx(tame.cap, rel=0.05)
    assert np.abs(table.rows - tame.rows).mean() < 0.1


def test_contexts_are_found_in_what_the_table_leaves() -> None:
    residuals, tokens, embeddings, contexts = made()
    left = fit_table(residuals, tokens, embeddings).left(residuals, tokens)
    settings = TokenizedSettings(latents=16, k=2, epochs=20, batch=200, dead_after=2000)
    weights = train_tokenized(left, settings, rng=np.random.default_rng(0))
    dense = np.zeros((N, 16), dtype=np.float32)
    for start, rows, columns, values in coefficients(left, weights, np.zeros(16, np.float32)):
        dense[rows + start, columns] = values
    matched = np.corrcoef(dense.T + 1e-9 * np.arange(N), contexts.T)[:16, 16:]
    assert (np.nanmax(matched, axis=0) > 0.8).all()
    np.testing.assert_allclose(np.linalg.norm(weights["directions"], axis=1), 1, atol=1e-5)
    # the formula of the docstring, in numpy
    own = (left - weights["center"]) @ weights["encoder"].T + weights["encoder_bias"]
    np.testing.assert_allclose(dense, np.maximum(own, 0) * weights["gain"], atol=1e-3)
    top = top_coefficients(left, weights, 20)
    np.testing.assert_allclose(top, -np.sort(-dense, axis=0)[:20].T, atol=1e-3)
    thresholds = (0.25 * top.mean(axis=1)).astype(np.float32)
    kept = list(coefficients(left, weights, thresholds))
    assert sum(len(values) for *_, values in kept) == ((dense >= thresholds) & (dense > 0)).sum()
