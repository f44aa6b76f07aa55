"""Files of a feature suite: rows belong together, equal input, equal bytes, named errors."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.freeze_features import (
    MeasuredFeature,
    write_feature_split,
    write_reference,
)


def feature(number: int) -> MeasuredFeature:
    rng = np.random.default_rng(number)
    return MeasuredFeature(
        kind="sae",
        fields={"layer": number % 3},
        group=f"cluster {number // 2}",
        vector=rng.normal(size=6).astype(np.float16),
        descriptions=(f"a {number}", f"b {number}", f"c {number}"),
        predicate=f"word:w{number}",
        r_search=0.5,
        r_held_out=number / 10,
        nearest_train=0.25,
        window_r=0.75,
        kinds=np.array([0, 0, 0, 1, 1, 2, 3, 3], dtype=np.uint8),
        ids=np.full((8, 32), number, dtype=np.int32),
        activations=np.full((8, 32), number, dtype=np.float16),
        oracle_ids=np.full((8, 32), number + 100, dtype=np.int32),
        oracle_activations=np.full((8, 32), number, dtype=np.float16),
    )


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_row_of_every_file_is_about_the_same_feature(tmp_path: Path) -> None:
    features = [feature(number) for number in range(6)]
    assert write_feature_split(tmp_path, "t", features) == {"queries": 6, "groups": 3}
    queries, truth = lines(tmp_path / "queries.jsonl"), lines(tmp_path / "truth.jsonl")
    windows = load_file(tmp_path / "windows.safetensors")["ids"]
    vectors = load_file(tmp_path / "vectors.safetensors")["vectors"]
    oracle = load_file(tmp_path / "oracle.safetensors")
    active = load_file(tmp_path / "activations.safetensors")
    for row, (query, told) in enumerate(zip(queries, truth, strict=True)):
        number = int(str(told["predicate"]).removeprefix("word:w"))
        assert query["id"] == told["id"]
        assert query["vector"] == row
        assert (windows[row] == number).all()
        assert (oracle["ids"][row] == number + 100).all()
        assert (active["activations"][row] == number).all()
        assert (vectors[row] == features[number].vector).all()
    groups = [query["group"] for query in queries]
    assert groups == sorted(str(group) for group in groups)
    assert len(set(groups)) == 3


def test_order_of_measuring_does_not_change_bytes(tmp_path: Path) -> None:
    features = [feature(number) for number in range(6)]
    write_feature_split(tmp_path / "a", "t", features)
    write_feature_split(tmp_path / "b", "t", features[::-1])
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"descriptions": ("a", "a", "b")}, "three wordings"),
        ({"window_r": float("nan")}, "not finite"),
        ({"activations": np.full((8, 32), np.inf, dtype=np.float16)}, "not finite float16"),
    ],
)
def test_what_no_suite_may_hold_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(IntegrityError, match=message):
        write_feature_split(tmp_path, "t", [replace(feature(1), **change)])  # type: ignore[arg-type]


def test_the_same_query_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="same query"):
        write_feature_split(tmp_path, "t", [feature(1), feature(1)])


def test_reference_holds_what_it_was_given(tmp_path: Path) -> None:
    predicted = np.arange(512, dtype=np.uint8).reshape(2, 8, 32)
    embedding = np.ones((2, 3, 5), dtype=np.int8)
    silent = np.full((2, 8, 32), 0.5, dtype=np.float16)
    write_reference(tmp_path, predicted, embedding, silent)
    found = load_file(tmp_path / "reference.safetensors")
    assert (found["predicted"] == predicted).all()
    assert (found["embedding"] == embedding).all()
    assert (load_file(tmp_path / "silent.safetensors")["predicted"] == silent).all()
