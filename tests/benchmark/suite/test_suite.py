from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from told import Told

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.suite.select import check_task, select_queries
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.benchmark.task import Task

Freeze = Callable[..., Suite]


def edit(path: Path, number: int, **changes: object) -> None:
    """Change fields of one line, counted from 1."""
    lines = path.read_text().splitlines()
    lines[number - 1] = json.dumps(json.loads(lines[number - 1]) | changes)
    path.write_text("\n".join(lines) + "\n")


def test_parts_of_a_suite_fit_together(toy_suite: Suite) -> None:
    toy_suite.verify()
    for split, n in (("train", 32), ("validation", 16), ("test", 24), ("mini", 4)):
        queries = toy_suite.queries(split)
        assert len(queries) == n
        assert (
            [q.id for q in queries] == list(toy_suite.truth(split)) == list(toy_suite.oracle(split))
        )
    assert toy_suite.queries("mini") == toy_suite.queries("validation")[:4]
    assert toy_suite.vectors("test").shape == (24, 4)
    assert toy_suite.vectors("mini").dtype == np.float16
    assert (toy_suite.name, toy_suite.task, toy_suite.version) == ("toy", "toy-vector", "v1")


def test_verify_reports_progress(toy_text_suite: Suite) -> None:
    told = Told()
    toy_text_suite.verify(told)
    assert told.steps[0] == ("test/oracle.jsonl", 0, 9)
    assert len(told.steps) == 9


@pytest.mark.parametrize(
    "name", ["truth.jsonl", "queries.jsonl", "oracle.jsonl", "vectors.safetensors"]
)
def test_flipped_byte_is_found_by_verify_and_by_reading(toy_suite: Suite, name: str) -> None:
    path = toy_suite.root / "test" / name
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError) as caught:
        toy_suite.verify()
    expected = toy_suite.manifest["files"][f"test/{name}"]["sha256"]
    assert str(caught.value).startswith(f"{path}: sha256 is ")
    assert expected in str(caught.value)
    reader = getattr(toy_suite, name.split(".")[0])
    with pytest.raises(IntegrityError, match="sha256"):
        reader("test")


def test_verify_names_longer_missing_and_extra_files(toy_suite: Suite) -> None:
    path = toy_suite.root / "train" / "truth.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b"\n")
    with pytest.raises(IntegrityError, match=rf"{len(whole)} bytes expected"):
        toy_suite.verify()
    path.unlink()
    with pytest.raises(IntegrityError, match=r"truth\.jsonl: listed in the manifest, but missing"):
        toy_suite.verify()
    path.write_bytes(whole)
    (toy_suite.root / "test" / "notes.txt").write_text("hello")
    with pytest.raises(IntegrityError, match=r"notes\.txt: not in the suite's manifest"):
        toy_suite.verify()


def test_truth_that_is_a_link_is_refused(toy_suite: Suite, tmp_path: Path) -> None:
    path = toy_suite.root / "test" / "truth.jsonl"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="missing"):
        toy_suite.truth("test")


BAD_ROWS: dict[str, tuple[str, dict[str, object], str]] = {
    "short id": ("queries", {"id": "abc"}, "field id is not 16 hexadecimal digits"),
    "unknown key": ("queries", {"label": 1}, "keys are"),
    "vector is true": ("queries", {"vector": True}, "field vector is a bool"),
    "vector below 0": ("queries", {"vector": -1}, "field vector is -1"),
    "fields is text": ("queries", {"fields": "x"}, "field fields is a str"),
    "token ids": ("truth", {"clean_ids": [1, "x"]}, "not a list of token ids"),
    "margin": ("truth", {"margin": "big"}, "field margin is a str"),
    "empty output": ("truth", {"outcome": ""}, "empty output text"),
    "oracle source": ("oracle", {"source": 3}, "field source is a int"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_row_is_named_by_file_and_line(toy_suite: Suite, freeze: Freeze, name: str) -> None:
    part, changes, message = BAD_ROWS[name]
    path = toy_suite.root / "test" / f"{part}.jsonl"
    edit(path, 3, **changes)
    suite = freeze(toy_suite.root)
    with pytest.raises(IntegrityError) as caught:
        getattr(suite, part)("test")
    assert str(caught.value).startswith(f"{path}:3: ")
    assert message in str(caught.value)


def test_repeated_id_is_refused(toy_suite: Suite, freeze: Freeze) -> None:
    path = toy_suite.root / "test" / "queries.jsonl"
    edit(path, 2, id=toy_suite.queries("test")[0].id)
    with pytest.raises(IntegrityError, match=r"queries\.jsonl:2: id [0-9a-f]{16} appears twice"):
        freeze(toy_suite.root).queries("test")


def test_truth_without_query_and_query_without_truth(toy_suite: Suite, freeze: Freeze) -> None:
    path = toy_suite.root / "test" / "truth.jsonl"
    edit(path, 1, id="0" * 16)
    with pytest.raises(IntegrityError, match="id 0000000000000000 has no query"):
        freeze(toy_suite.root).truth("test")
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[1:]))
    with pytest.raises(IntegrityError, match="is missing"):
        freeze(toy_suite.root).truth("test")


def test_query_in_two_splits_is_refused(toy_suite: Suite, freeze: Freeze) -> None:
    shared = toy_suite.queries("train")[0].group
    edit(toy_suite.root / "test" / "queries.jsonl", 1, group=shared)
    splits = toy_suite.manifest["splits"] | {"test": {"queries": 24, "groups": 7}}
    suite = freeze(toy_suite.root, splits=splits)
    with pytest.raises(IntegrityError, match=f"{shared} is in both train and test"):
        suite.verify()


def test_counts_of_the_manifest_must_hold(toy_suite: Suite, freeze: Freeze) -> None:
    splits = toy_suite.manifest["splits"]
    wrong = freeze(toy_suite.root, splits=splits | {"test": {"queries": 25, "groups": 6}})
    with pytest.raises(IntegrityError, match=r"splits\.test\.queries is 25, the file has 24"):
        wrong.queries("test")
    wrong = freeze(toy_suite.root, splits=splits | {"test": {"queries": 24, "groups": 5}})
    with pytest.raises(IntegrityError, match=r"splits\.test\.groups is 5, the file has 6"):
        wrong.verify()


def test_vectors_must_be_finite_float16_and_cover_the_queries(
    toy_suite: Suite, freeze: Freeze
) -> None:
    path = toy_suite.root / "test" / "vectors.safetensors"
    good = toy_suite.vectors("test")
    for tensors, message in (
        ({"vectors": good.astype(np.float32)}, "expected float16"),
        ({"vectors": np.full_like(good, np.nan)}, "not finite"),
        ({"other": good}, "expected one tensor `vectors`"),
    ):
        save_file(tensors, path)
        with pytest.raises(IntegrityError, match=message):
            freeze(toy_suite.root).vectors("test")
    path.write_bytes(b"nonsense")
    with pytest.raises(IntegrityError, match="not a safetensors file"):
        freeze(toy_suite.root).vectors("test")
    save_file({"vectors": good[:20]}, path)
    with pytest.raises(IntegrityError, match="has 20 vectors, a query asks for row 23"):
        freeze(toy_suite.root).verify()


def test_mini_must_be_part_of_validation(toy_suite: Suite, freeze: Freeze) -> None:
    outside = toy_suite.queries("test")[0].id
    suite = freeze(toy_suite.root, mini=[outside])
    with pytest.raises(IntegrityError, match=f"mini id {outside} is not in validation"):
        suite.verify()


BAD_MANIFESTS: dict[str, tuple[dict[str, object], str]] = {
    "schema": ({"schema": "introspect-bench/suite/2"}, "schema is 'introspect-bench/suite/2'"),
    "hash": ({"data_sha256": "0" * 64}, "its files hash to"),
    "missing": ({"target": None}, "field target is missing"),
    "splits": ({"splits": {}}, r"field splits\.test is missing"),
    "some splits": (
        {"splits": {"validation": {"queries": 24, "groups": 6}, "test": {}}},
        r"field splits\.train is missing",
    ),
    "mini": ({"mini": [1]}, "field mini is not a list of query ids"),
    "outside": ({"files": {"../x": {"sha256": "", "bytes": 1}}}, "bad entry in files"),
    "absolute": ({"files": {"/etc/passwd": {"sha256": "", "bytes": 1}}}, "bad entry in files"),
    "negative": ({"files": {"x": {"sha256": "", "bytes": -1}}}, "bad entry in files"),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_bad_manifest_is_refused(toy_suite: Suite, freeze: Freeze, name: str) -> None:
    changes, message = BAD_MANIFESTS[name]
    with pytest.raises(IntegrityError, match=message):
        freeze(toy_suite.root, **changes)


def test_unknown_split_folder_and_file(toy_text_suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose from train, validation, test, mini"):
        toy_text_suite.queries("dev")
    with pytest.raises(UsageError, match=r"has no file test/vectors\.safetensors"):
        toy_text_suite.vectors("test")
    with pytest.raises(UsageError, match=r"manifest\.json: No such file"):
        open_suite(tmp_path / "nowhere")


def test_task_of_another_suite_is_refused(
    toy_task: Task, toy_text_suite: Suite, toy_suite: Suite, freeze: Freeze
) -> None:
    check_task(toy_task, toy_suite)
    with pytest.raises(IntegrityError, match="task is 'toy-text'"):
        check_task(toy_task, toy_text_suite)
    with pytest.raises(IntegrityError, match="version is 'v2'"):
        check_task(toy_task, freeze(toy_suite.root, version="v2"))
    with pytest.raises(IntegrityError, match="prompt_sha256 is"):
        check_task(toy_task, freeze(toy_suite.root, version="v1", prompt_sha256="0" * 64))


def test_selection_keeps_the_order_and_refuses_nonsense(toy_suite: Suite) -> None:
    queries = toy_suite.queries("test")
    assert select_queries(queries, limit=None, ids=None) == queries
    assert select_queries(queries, limit=5, ids=None) == queries[:5]
    assert select_queries(queries, limit=99, ids=None) == queries
    ids = [queries[7].id, queries[2].id]
    assert select_queries(queries, limit=None, ids=ids) == (queries[2], queries[7])
    for limit, wrong, message in (
        (0, None, "limit is 0"),
        (3, ids, "cannot be combined"),
        (None, [], "empty or repeats"),
        (None, ids + ids, "empty or repeats"),
        (None, ["f" * 16], "no query 'ffffffffffffffff'"),
    ):
        with pytest.raises(UsageError, match=message):
            select_queries(queries, limit=limit, ids=wrong)
