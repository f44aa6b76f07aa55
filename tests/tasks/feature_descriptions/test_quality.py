"""Readers of tokens, and nearest training features, on a tiny suite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_features import active, make_feature_suite

from introspect_bench.tasks.feature_descriptions.judge.quality import (
    Split,
    TableReader,
    read_split,
    scores,
)
from introspect_bench.tasks.nulls.descriptions import nearest


@pytest.fixture(scope="module")
def suite_splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Split]:
    suite = make_feature_suite(Path(tmp_path_factory.mktemp("quality")) / "v2")
    return {split: read_split(suite, split) for split in ("train", "test")}


def test_tables_are_means_by_token_and_by_two_tokens(suite_splits: dict[str, Split]) -> None:
    test = suite_splits["test"]
    text = np.random.default_rng(0).integers(8, size=(40, 32)).astype(np.int32)
    values = {
        query.id: active(query.kind, text, number % 8).ravel()
        for number, query in enumerate(test.queries)
    }
    one, two = (TableReader(text, values.__getitem__, tokens=n)(test) for n in (1, 2))
    assert one.shape == two.shape == test.own["ids"].shape
    flat, before = text.ravel(), np.roll(text, 1, axis=1).ravel()
    inside = np.tile(np.arange(32) > 0, 40)
    for row, query in enumerate(test.queries):
        ids, own = test.own["ids"][row], values[query.id]
        token, previous = int(ids[3, 9]), int(ids[3, 8])
        assert one[row, 3, 9] == pytest.approx(own[flat == token].mean())
        pair = (flat == token) & (before == previous) & inside
        expected = own[pair].mean() if pair.any() else own[flat == token].mean()
        assert two[row, 3, 9] == pytest.approx(expected)
    context = test.of(("bigram", "context-token"))
    rows = [row for row, query in enumerate(test.queries) if query.kind != "token"]
    assert scores(context, one[rows])["auroc"] == 0.5
    assert set(scores(test.of(("token",)), one[: len(rows) // 2])) == {"r"}
    with pytest.raises(ValueError, match="no features"):
        scores(test.of(("none",)), [])


def test_the_nearest_one_is_another_one_of_the_layer(suite_splits: dict[str, Split]) -> None:
    train = suite_splits["train"]
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(len(train.queries), 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = {q.id: row.astype(np.float32) for q, row in zip(train.queries, rows, strict=True)}
    for pooled in (False, True):
        for place, other in enumerate(nearest(vectors, train, vectors, train, pooled=pooled)):
            layer = train.queries[place].fields["layer"]
            among = [
                n
                for n, query in enumerate(train.queries)
                if n != place and (pooled or query.fields["layer"] == layer)
            ]
            cosines = [float(rows[n] @ rows[place]) for n in among]
            assert other == among[cosines.index(max(cosines))]
