"""Writing a suite: ids are contents, bytes do not depend on order, and what is written opens."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.records import SPLITS
from introspect_bench.benchmark.suite.freeze import Measured, query_id, write_manifest, write_split
from introspect_bench.benchmark.suite.suite import open_suite

TASK = "toy"
FILES = ("queries.jsonl", "truth.jsonl", "oracle.jsonl", "vectors.safetensors")


def query(group: int, member: int, **changes: Any) -> Measured:
    vector = np.random.default_rng([group, member]).normal(size=4).astype(np.float16)
    return replace(
        Measured(
            kind="last",
            fields={"text": f"Text {group}.", "layers": [0, 1], "relation": "city"},
            clean="Kyōto",
            outcome="Kyōto" if member < 2 else f"Москва {member}",
            clean_ids=[1, 2],
            outcome_ids=(3, 4),
            margin=0.123456789,
            source="Lima",
            vector=vector,
        ),
        **changes,
    )


def groups(n: int = 3, start: int = 0) -> list[list[Measured]]:
    return [[query(group, member) for member in range(4)] for group in range(start, start + n)]


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def write_suite(root: Path, **fields: Any) -> Path:
    counts = {
        split: write_split(root / split, TASK, groups(3, start=10 * i))
        for i, split in enumerate(SPLITS)
    }
    group = groups(1, start=10 * SPLITS.index("validation"))[0]
    mini = [query_id(TASK, member) for member in group]
    found = {
        "suite": "toy",
        "task": TASK,
        "version": "v1",
        "target": {"name": "t"},
        "splits": counts,
        "mini": mini,
        "frozen": True,
        "doctor": {"identity-patch": "pass"},
        "prompt_sha256": "ab" * 32,
    }
    write_manifest(root, found | fields)
    return root


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("frozen") / "suite")


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "relation"},
        {"fields": {"text": "Text 0.", "layers": [0, 2], "relation": "city"}},
        {"fields": {"text": "Text 0!", "layers": [0, 1], "relation": "city"}},
        {"fields": {"text": "Text 0.", "layers": [0, 1], "relation": "city", "more": None}},
        {"vector": np.zeros(4, np.float16)},
        {"vector": None},
    ],
)
def test_an_id_changes_with_anything_that_is_asked(changes: dict[str, Any]) -> None:
    assert query_id(TASK, query(0, 0, **changes)) != query_id(TASK, query(0, 0))


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "Oslo"},
        {"clean": "Oslo"},
        {"margin": 9.0},
        {"source": None},
        {"fields": {"relation": "city", "layers": [0, 1], "text": "Text 0."}},
    ],
)
def test_an_id_does_not_depend_on_the_truth_or_the_order_of_fields(changes: dict[str, Any]) -> None:
    assert query_id(TASK, query(0, 0, **changes)) == query_id(TASK, query(0, 0))


def test_an_id_is_of_its_task() -> None:
    assert query_id("a", query(0, 0)) != query_id("b", query(0, 0))
    assert len(query_id("a", query(0, 0))) == 16


def test_one_changed_bit_of_a_vector_is_another_query() -> None:
    vector = query(0, 0).vector
    assert vector is not None
    other = vector.copy()
    other.view(np.uint16)[-1] ^= 1
    assert query_id(TASK, query(0, 0, vector=other)) != query_id(TASK, query(0, 0))


def test_bytes_do_not_depend_on_the_order_of_the_input(tmp_path: Path) -> None:
    straight = groups()
    shuffled: Sequence[Sequence[Measured]] = [g[::-1] for g in reversed(straight)]
    assert write_split(tmp_path / "a", TASK, straight) == {"queries": 12, "groups": 3}
    write_split(tmp_path / "b", TASK, shuffled)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert set(contents(tmp_path / "a")) == set(FILES)


def test_a_vector_used_twice_is_stored_once(tmp_path: Path) -> None:
    shared = np.ones(4, np.float16)
    found = groups()
    for group in found:
        group[0] = replace(group[0], vector=shared)
    write_split(tmp_path / "one", TASK, found)
    from safetensors.numpy import load_file

    vectors = load_file(tmp_path / "one" / "vectors.safetensors")["vectors"]
    assert vectors.shape == (10, 4)
    assert (vectors == 1).all(axis=1).sum() == 1


def test_a_text_task_has_no_vectors(tmp_path: Path) -> None:
    found = [
        [replace(m, vector=None, fields={"text": f"{i}{j}"}) for j, m in enumerate(group)]
        for i, group in enumerate(groups())
    ]
    write_split(tmp_path, TASK, found)
    assert set(contents(tmp_path)) == set(FILES) - {"vectors.safetensors"}


def test_the_same_query_twice_is_refused(tmp_path: Path) -> None:
    found = groups()
    found[1][0] = found[0][0]
    with pytest.raises(IntegrityError, match="two queries of train are the same query"):
        write_split(tmp_path / "train", TASK, found)
    assert not (tmp_path / "train" / "queries.jsonl").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_refused(tmp_path: Path, value: float) -> None:
    found = groups()
    vector = np.ones(4, np.float16)
    vector[2] = value
    found[2][1] = replace(found[2][1], vector=vector)
    with pytest.raises(IntegrityError, match="finite"):
        write_split(tmp_path, TASK, found)


def test_a_vector_of_another_dtype_is_refused(tmp_path: Path) -> None:
    wide = [np.full(4, i, np.float32) for i in range(4)]
    with pytest.raises(IntegrityError, match="float16"):
        write_split(tmp_path, TASK, [[query(0, i, vector=wide[i]) for i in range(4)]])


def test_a_margin_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_split(tmp_path, TASK, [[query(0, i, margin=float("inf")) for i in range(4)]])


def test_what_was_written_opens_and_verifies(frozen: Path) -> None:
    suite = open_suite(frozen)
    suite.verify()
    assert (suite.task, suite.version) == (TASK, "v1")
    for i, split in enumerate(SPLITS):
        expected = {query_id(TASK, m): m for group in groups(3, start=10 * i) for m in group}
        vectors = suite.vectors(split)
        assert {q.id for q in suite.queries(split)} == set(expected)
        for q in suite.queries(split):
            m = expected[q.id]
            assert (q.kind, q.fields) == (m.kind, m.fields)
            assert q.vector is not None
            assert m.vector is not None
            assert vectors[q.vector].tobytes() == m.vector.tobytes()
        for key, truth in suite.truth(split).items():
            m = expected[key]
            assert (truth.clean, truth.outcome) == (m.clean, m.outcome)
            assert (truth.clean_ids, truth.outcome_ids) == ((1, 2), (3, 4))
            assert truth.margin == 0.123457
        told = suite.oracle(split)
        assert {key: (o["clean"], o["source"]) for key, o in told.items()} == {
            key: (m.clean, m.source) for key, m in expected.items()
        }


def test_members_of_a_group_share_its_id_and_no_other_group_has_it(frozen: Path) -> None:
    queries = open_suite(frozen).queries("test")
    by_text: dict[str, set[str]] = {}
    for q in queries:
        by_text.setdefault(q.fields["text"], set()).add(q.group)
    assert [len(ids) for ids in by_text.values()] == [1, 1, 1]
    assert len(set.union(*by_text.values())) == 3


def test_queries_never_hold_the_truth(frozen: Path) -> None:
    for split in SPLITS:
        text = (frozen / split / "queries.jsonl").read_text()
        for secret in ("Kyōto", "Москва", "Lima", "margin"):
            assert secret not in text


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_names_the_file(
    frozen: Path, tmp_path: Path, split: str, name: str
) -> None:
    root = Path(shutil.copytree(frozen, tmp_path / "suite"))
    path = root / split / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match=f"{split}/{name}: sha256 is"):
        open_suite(root).verify()


def test_one_flipped_hash_in_the_manifest_is_seen(frozen: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(frozen, tmp_path / "suite"))
    path = root / "manifest.json"
    data = bytearray(path.read_bytes())
    at = data.index(b'"sha256":"') + 10
    data[at] = ord("1") if data[at] == ord("0") else ord("0")
    path.write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match=r"manifest\.json: data_sha256 is"):
        open_suite(root).verify()
