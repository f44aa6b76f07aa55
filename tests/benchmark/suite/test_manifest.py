"""Manifests that are not what they must be: one error that names the file and the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from introspect_bench.benchmark import files
from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.suite.suite import Suite, open_suite

Freeze = Callable[..., Suite]
ABSENT = object()

BAD: Mapping[str, tuple[str, Any]] = {
    "statistics is a list": ("statistics", []),
    "statistics is null": ("statistics", None),
    "a split's statistics are a number": ("statistics.test", 0.5),
    "ceiling is a number": ("statistics.test.input_only_ceiling", 0.5),
    "ceiling holds text": ("statistics.test.input_only_ceiling", {"exact_match": "0.5"}),
    "ceiling above 1": ("statistics.test.input_only_ceiling", {"exact_match": 50.0}),
    "prior is true": ("statistics.test.prior_exact_match", True),
    "doctor is a list": ("doctor", ["x"]),
    "doctor is absent": ("doctor", ABSENT),
    "doctor is empty": ("doctor", {}),
    "a self-test failed": ("doctor", {"identity-patch": "pass", "random-patch": "fail"}),
    "a verdict is a list": ("doctor", {"identity-patch": ["pass"]}),
    "stability is text": ("stability", "yes"),
    "frozen is absent": ("frozen", ABSENT),
    "frozen is a number": ("frozen", 1),
    "target has no name": ("target.name", ABSENT),
    "width is text": ("target.d_model", "576"),
    "seed is true": ("seed", True),
    "a count is absent": ("splits.test.queries", ABSENT),
    "a count is a float": ("splits.train.groups", 8.0),
    "a further split is a number": ("splits.dev", 3),
    "mini is empty": ("mini", []),
    "mini holds no ids": ("mini", ["../x"]),
    "canary is a number": ("canary", 3),
}


def put(manifest: dict[str, Any], field: str, value: Any) -> None:
    """Set a field by its dotted name."""
    *parts, last = field.split(".")
    holder = manifest
    for part in parts:
        holder = holder[part]
    if value is ABSENT:
        del holder[last]
    else:
        holder[last] = value


@pytest.mark.parametrize("name", BAD)
def test_a_bad_field_is_named(toy_suite: Suite, name: str) -> None:
    field, value = BAD[name]
    path = toy_suite.root / "manifest.json"
    manifest = files.read_json(path)
    put(manifest, field, value)
    files.write_json_atomic(path, manifest)
    with pytest.raises(IntegrityError) as caught:
        open_suite(toy_suite.root)
    assert str(caught.value).startswith(f"{path}: field {field}")


def test_a_repeated_mini_id_is_refused(toy_suite: Suite, freeze: Freeze) -> None:
    with pytest.raises(IntegrityError, match="field mini is empty or repeats an id"):
        freeze(toy_suite.root, mini=[*toy_suite.manifest["mini"], toy_suite.manifest["mini"][0]])


def test_mini_holds_whole_groups(toy_suite: Suite, freeze: Freeze) -> None:
    suite = freeze(toy_suite.root, mini=toy_suite.manifest["mini"][:3])
    with pytest.raises(IntegrityError, match=r"manifest\.json: mini has a part of group"):
        suite.verify()


@pytest.mark.parametrize("size", [10**17, 1e17])
def test_a_file_of_a_hundred_petabytes_is_refused(toy_suite: Suite, size: float) -> None:
    path = toy_suite.root / "manifest.json"
    manifest = files.read_json(path)
    manifest["files"]["test/truth.jsonl"]["bytes"] = size
    files.write_json_atomic(path, manifest)
    with pytest.raises(IntegrityError, match=r"bad entry in files: 'test/truth\.jsonl'"):
        open_suite(toy_suite.root)


def test_another_size_is_said_before_anything_is_read(
    toy_suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = toy_suite.root / "test" / "truth.jsonl"
    path.write_bytes(path.read_bytes() + b"\n")
    monkeypatch.setattr(files, "open_regular", None)
    with pytest.raises(IntegrityError, match=rf"{path}: \d+ bytes, \d+ bytes expected"):
        toy_suite.truth("test")


def test_another_hash_than_the_expected_is_refused(toy_suite: Suite) -> None:
    path = toy_suite.root / "manifest.json"
    known = files.sha256_file(path)
    assert open_suite(toy_suite.root, sha256=known).manifest == toy_suite.manifest
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(IntegrityError, match=rf"manifest\.json: sha256 is .*, expected {known}"):
        open_suite(toy_suite.root, sha256=known)
