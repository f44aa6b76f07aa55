from __future__ import annotations

import errno
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from introspect_bench.benchmark import files
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError


def test_canonical_json_sorts_keys_and_keeps_unicode() -> None:
    assert (
        files.canonical_json({"b": 1, "a": ["Kyōto", 0.1, None]})
        == '{"a":["Kyōto",0.1,null],"b":1}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_canonical_json_refuses_non_finite_numbers(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.canonical_json({"x": value})


def test_lone_surrogates_survive_a_file(tmp_path: Path) -> None:
    row = {"raw": "a\ud800b\udfffc \u2028 \U0001f600"}
    files.write_jsonl_atomic(tmp_path / "x.jsonl", [row])
    assert list(files.read_jsonl(tmp_path / "x.jsonl")) == [(1, row)]


def test_hashes_agree_with_a_known_value(tmp_path: Path) -> None:
    # sha256 of the three bytes "abc", FIPS 180-2 appendix B.1
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "x").write_bytes(b"abc")
    assert files.sha256_bytes(b"abc") == files.sha256_file(tmp_path / "x") == known


BAD_LINES = {
    "not an object": (b"[1]", "expected a JSON object, found list"),
    "empty line": (b"", "not valid JSON"),
    "cut": (b'{"a":', "not valid JSON"),
    "two values": (b"{} {}", "not valid JSON"),
    "byte order mark": (b"\xef\xbb\xbf{}", "not valid JSON"),
    "invalid UTF-8": (b'{"a":"\xff"}', "not UTF-8 at byte 6"),
    "duplicate key": (b'{"a":1,"b":2,"a":3}', "duplicate key 'a'"),
    "duplicate inner key": (b'{"a":{"b":1,"b":1}}', "duplicate key 'b'"),
    "NaN": (b'{"a":NaN}', "number NaN is not allowed"),
    "Infinity": (b'{"a":-Infinity}', "number -Infinity is not allowed"),
    "1e999": (b'{"a":1e999}', "number 1e999 is not finite"),
    "-1e999": (b'{"a":[-1e999]}', "number -1e999 is not finite"),
    "huge integer": (b'{"a":' + b"9" * 5000 + b"}", "integer of 5000 characters"),
    "deep array": (b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", "nested deeper than 32 levels"),
    "very deep": (b'{"a":' + b"[" * 200_000, "nested deeper than 32 levels"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_bad_line_is_named_by_file_and_line(name: str, tmp_path: Path) -> None:
    line, message = BAD_LINES[name]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"fine":1}\n' + line + b"\n")
    with pytest.raises(IntegrityError) as caught:
        list(files.read_jsonl(path))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert message in str(caught.value)


def test_32_levels_and_brackets_inside_text_are_fine(tmp_path: Path) -> None:
    deep = b'{"a":' + b"[" * 31 + b"]" * 31 + b"}"
    text = b'{"a":"' + b"[{" * 500 + b'\\"[","b":[1]}'
    path = tmp_path / "x.jsonl"
    path.write_bytes(deep + b"\n" + text + b"\n")
    assert [number for number, _ in files.read_jsonl(path)] == [1, 2]


def test_line_of_a_gigabyte_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("wb") as stream:
        stream.write(b'{"a":1}\n')
        stream.truncate(1 << 30)
    tracemalloc.start()
    with pytest.raises(IntegrityError, match=r"x\.jsonl:2: line longer than 1048576 bytes"):
        list(files.read_jsonl(path))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 8 << 20


def test_json_file_over_its_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'{"a":1}' + b" " * 100)
    assert files.read_json(path) == {"a": 1}
    with pytest.raises(IntegrityError, match="larger than 50 bytes"):
        files.read_json(path, max_bytes=50)


def test_paths_that_cannot_be_read_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.jsonl: No such file"):
        list(files.read_jsonl(tmp_path / "nowhere.jsonl"))
    with pytest.raises(UsageError, match="not a regular file"):
        files.read_json(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="not a regular file"):
        files.sha256_file(tmp_path / "pipe")


def test_atomic_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.json"
    files.write_json_atomic(path, {"a": 1})
    files.write_json_atomic(path, {"a": 2})
    assert path.read_bytes() == b'{"a":2}\n'
    assert os.listdir(path.parent) == ["x.json"]  # noqa: PTH208


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    files.write_json_atomic(path, {"a": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MissingPartError) as caught:
        files.write_json_atomic(path, {"a": 2})
    assert str(caught.value).startswith(f"cannot write {path}: no disk space left")
    assert caught.value.exit_code == 3
    assert path.read_bytes() == b'{"a":1}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_unserialisable_row_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_jsonl_atomic(tmp_path / "x.jsonl", [{"a": 1}, {"a": float("nan")}])
    assert not list(tmp_path.iterdir())


def test_folder_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingPartError, match="cannot write"):
        files.write_json_atomic(tmp_path / "file" / "x.json", {})


@pytest.mark.parametrize("text", [b'{"a":"' + b'\\"' * 31_000, b'{"a":' + b'\\"' * 31_000])
def test_depth_is_found_in_one_pass(text: bytes) -> None:
    start = time.process_time()
    for tail in (b"[" * 40, b'"' + b"[" * 40):
        with pytest.raises(IntegrityError):
            files.parse_object(text + tail, "here")
    assert time.process_time() - start < 1


def test_a_path_that_no_system_takes_is_refused() -> None:
    for name in ("a\0b", "x" * 5_000):
        with pytest.raises(UsageError, match="cannot read"):
            files.open_regular(Path(name))
