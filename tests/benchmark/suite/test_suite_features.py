"""Suites of features read back whole, and broken ones are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_features import MARK, NAME, make_feature_suite

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.features import PARTS, arrays, feature_truth
from introspect_bench.benchmark.suite.freeze import write_manifest
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.tasks.build.verify import verify_suite


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_feature_suite(tmp_path_factory.mktemp("features") / "v2")


def test_a_suite_is_whole(suite: Suite) -> None:
    assert suite.describes
    verify_suite(get_task(NAME), suite)


def test_mini_rows_are_those_of_its_queries(suite: Suite) -> None:
    every = [query.id for query in suite.queries("validation")]
    places = [every.index(query.id) for query in suite.queries("mini")]
    assert 0 < len(places) < len(every)
    for part in PARTS:
        whole, mini = arrays(suite, "validation", part), arrays(suite, "mini", part)
        for name in PARTS[part]:
            np.testing.assert_array_equal(mini[name], whole[name][places])
    for name in ("layers", "mean", "cap"):
        kept = arrays(suite, "mini", "definitions")[name]
        np.testing.assert_array_equal(kept, arrays(suite, "validation", "definitions")[name])
    assert list(suite.feature_truth("mini")) == [every[place] for place in places]


def test_what_is_not_there_is_said(suite: Suite) -> None:
    with pytest.raises(UsageError, match="unknown part"):
        arrays(suite, "test", "truth")
    with pytest.raises(UsageError, match="unknown split"):
        arrays(suite, "dev", "windows")


Change = Callable[[dict[str, Any]], None]


def broken(suite: Suite, tmp_path: Path, part: str, change: Change) -> Suite:
    """Copy the suite with one array file changed and the manifest made to fit."""
    root = tmp_path / "v2"
    shutil.copytree(suite.root, root)
    path = root / "test" / f"{part}.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    fields = json.loads((root / "manifest.json").read_text())
    for name in ("schema", "files", "data_sha256", "canary"):
        del fields[name]
    write_manifest(root, fields)
    return open_suite(root)


def whole(name: str, value: Callable[[Any], Any]) -> Change:
    def change(tensors: dict[str, Any]) -> None:
        tensors[name] = value(tensors[name])

    return change


def cell(name: str, place: tuple[int, ...], value: Any) -> Change:
    """Change one number of the first feature that has marks."""

    def change(tensors: dict[str, Any]) -> None:
        marked = np.flatnonzero((tensors.get("marks", tensors[name]) != -1).any(axis=-1))
        row = int(marked[0]) if "marks" in tensors else 0
        tensors[name][(row, *place)] = value

    return change


def of_marked(suite: Suite, name: str, place: tuple[int, ...], value: Any) -> Change:
    """The same of a file that does not hold the marks."""
    kinds = [query.kind for query in suite.queries("test")]
    row = next(row for row, kind in enumerate(kinds) if kind != "token")
    return lambda tensors: tensors[name].__setitem__((row, *place), value)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("windows", whole("ids", lambda a: np.full_like(a, -1)), "ids is negative"),
        ("windows", whole("ids", lambda a: a[:-1].copy()), "of 9 queries"),
        ("windows", whole("weights", lambda a: a / 2), "sum to 0.5"),
        ("windows", cell("marks", (0,), 32), "no place of a window"),
        ("windows", cell("marks", (0,), -1), "not marked as those of"),
        ("windows", cell("marks", (0,), MARK + 1), "not silent|not matched"),
        ("windows", cell("pair_group", (0,), -1), "marked, in a group, or have weight"),
        ("windows", cell("pair_group", (0,), 1), "marks of group 1 are not matched"),
        ("windows", cell("weights", (0,), 0.1), "marked, in a group, or have weight"),
        ("windows", cell("ids", (0, MARK), 7), "are not matched"),
        ("activations", whole("activations", lambda a: np.full_like(a, np.inf)), "not finite"),
        ("activations", whole("activations", lambda a: a.astype(np.float32)), "float16"),
        ("activations", whole("activations", lambda a: a * 0 + 1), "active, and silent"),
        ("definitions", whole("threshold", lambda a: a - 9), "threshold is negative"),
        ("definitions", whole("layers", lambda a: a + 5), "definitions have no layer"),
        (
            "definitions",
            whole("layers", lambda a: a[:1].reshape(())),
            r"layers is int32 \(\), expected int32",
        ),
        ("definitions", whole("mean", lambda a: a[:, :3].copy()), "of different width"),
    ],
)
def test_a_broken_array_is_named(
    suite: Suite, tmp_path: Path, part: str, change: Change, message: str
) -> None:
    with pytest.raises(IntegrityError, match=message):
        broken(suite, tmp_path, part, change).verify()


def test_strong_and_silent_marks_are_checked(suite: Suite, tmp_path: Path) -> None:
    change = of_marked(suite, "strong", (4,), 1)
    with pytest.raises(IntegrityError, match="not marked as those of"):
        broken(suite, tmp_path / "one", "activations", change).verify()
    change = of_marked(suite, "activations", (0, MARK), 0)
    with pytest.raises(IntegrityError, match="a strong one is"):
        broken(suite, tmp_path / "two", "activations", change).verify()


def test_a_cosine_that_vectors_do_not_have_is_found(suite: Suite, tmp_path: Path) -> None:
    root = tmp_path / "v2"
    shutil.copytree(suite.root, root)
    path = root / "test" / "truth.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    spread = [row["nearest_train"] for row in rows]
    rows[spread.index(max(spread))]["nearest_train"] = 1.0  # no quantile changes
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields = json.loads((root / "manifest.json").read_text())
    fields["statistics"]["test"] = describe_again(root)
    for name in ("schema", "files", "data_sha256", "canary"):
        del fields[name]
    write_manifest(root, fields)
    with pytest.raises(IntegrityError, match=r"nearest_train of [0-9a-f]+ is 1.0, its files give"):
        verify_suite(get_task(NAME), open_suite(root))


def describe_again(root: Path) -> dict[str, Any]:
    from introspect_bench.tasks.feature_descriptions.build.draft import describe_split

    return describe_split(root, "test")


TRUTH = {
    "id": "ab",
    "descriptions": ["a", "b", "c"],
    "predicate": "word:a",
    "r_search": 0.5,
    "r_held_out": 0.5,
    "token_r": 0.1,
    "bigram_r": 0.2,
    "token_auroc": 0.9,
    "bigram_auroc": None,
    "nearest_train": 0.3,
}


def test_truth_is_read_strictly() -> None:
    assert feature_truth(TRUTH).bigram_auroc is None
    assert feature_truth(TRUTH).answer.text == "a"
    for name, value, message in (
        ("token_auroc", 1.5, "not an AUROC"),
        ("token_r", "high", "not a correlation"),
        ("descriptions", "a", "not a list"),
        ("predicate", 3, "not text"),
        ("more", 1, "keys are"),
    ):
        with pytest.raises(IntegrityError, match=message):
            feature_truth({**TRUTH, name: value})
