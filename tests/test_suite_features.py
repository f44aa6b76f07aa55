"""Suites of features: the shipped draft reads back whole, and broken ones are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from introspect_bench import tasks
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.freeze import write_manifest
from introspect_bench.benchmark.suite import open_suite
from introspect_bench.benchmark.suite_features import PARTS, arrays

ROOT = Path(tasks.__file__).parent / "suites" / "smollm2-135m" / "feature-descriptions" / "v1"


def test_the_shipped_draft_is_whole() -> None:
    suite = open_suite(ROOT)
    assert suite.describes
    suite.verify()


def test_mini_rows_are_those_of_its_queries() -> None:
    suite = open_suite(ROOT)
    every = [query.id for query in suite.queries("validation")]
    places = [every.index(query.id) for query in suite.queries("mini")]
    assert 0 < len(places) < len(every)
    for part in PARTS:
        whole, mini = arrays(suite, "validation", part), arrays(suite, "mini", part)
        for name, value in mini.items():
            np.testing.assert_array_equal(value, whole[name][places])
    assert list(suite.feature_truth("mini")) == [every[place] for place in places]


def test_what_is_not_there_is_said() -> None:
    suite = open_suite(ROOT)
    with pytest.raises(UsageError, match="unknown part"):
        arrays(suite, "test", "truth")
    with pytest.raises(UsageError, match="unknown split"):
        arrays(suite, "dev", "windows")
    with pytest.raises(UsageError, match="no file"):
        arrays(suite, "train", "reference")


def broken(tmp_path: Path, part: str, change: Any) -> Path:
    """Copy the suite with one array file changed and the manifest made to fit."""
    root = tmp_path / "v1"
    shutil.copytree(ROOT, root)
    path = root / "test" / f"{part}.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    fields = json.loads((root / "manifest.json").read_text())
    for name in ("schema", "files", "data_sha256", "canary"):
        del fields[name]
    write_manifest(root, fields)
    return root


def set_item(name: str, value: Any) -> Any:
    def change(tensors: Any) -> None:
        tensors[name] = value(tensors[name])

    return change


def filled(number: float) -> Any:
    return lambda array: np.full_like(array, number)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("windows", set_item("ids", filled(-1)), "negative"),
        ("windows", set_item("ids", lambda a: a[:-1].copy()), "of 600 queries"),
        ("activations", set_item("activations", filled(np.inf)), "not finite"),
        ("activations", set_item("kinds", filled(4)), "of no kind"),
        ("oracle", set_item("activations", lambda a: a.astype(np.float32)), "expected float16"),
    ],
)
def test_a_broken_array_is_named(tmp_path: Path, part: str, change: Any, message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        open_suite(broken(tmp_path, part, change)).verify()
