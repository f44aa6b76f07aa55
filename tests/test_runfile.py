from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError
from introspect_bench.benchmark.runfile import encode_line, first_difference, read_run
from introspect_bench.benchmark.runwriter import RESUME, Resume, open_run

N = 4


def header(**task: object) -> dict[str, Any]:
    about: dict[str, object] = {
        "id": "toy-vector",
        "version": "v1",
        "split": "test",
        "suite": "toy",
        "n": N,
        "limit": None,
        "query_ids": None,
        "query_ids_sha256": "00",
        "data_sha256": "11",
        "prompt_sha256": "22",
        "metric_version": "33",
    }
    return {
        "kind": "header",
        "schema": "introspect-bench/run/1",
        "run_id": "a",
        "created": "2026-01-02T03:04:05Z",
        "package": {"name": "introspect-bench", "version": "0.1.0", "commit": None, "dirty": None},
        "task": about | task,
        "target": {"name": "toy-target"},
        "explainer": {
            "name": "x",
            "kind": "custom",
            "settings": {"scale": [1, 2.5]},
            "shots": 0,
            "no_vector": False,
        },
        "generation": {"seed": 0, "batch_size": 2},
        "env": {"python": "3.11"},
        "selftest": {},
        "partial": False,
        "declared": {},
    }


def row(number: int, **fields: object) -> dict[str, Any]:
    return {
        "qid": f"{number:016x}",
        "i": number,
        "raw": f"reply {number}",
        "parsed": None,
        "status": "unparsed",
        "n_in": 3,
        "n_out": 2,
        "ms": 1.5,
    } | fields


def pred(number: int, **fields: object) -> dict[str, Any]:
    return {"kind": "pred", **row(number, **fields)}


def footer(body: bytes, **fields: object) -> dict[str, Any]:
    return {
        "kind": "footer",
        "complete": True,
        "counts": {},
        "cost": {},
        "claimed": {},
        "body_sha256": sha256(body).hexdigest(),
    } | fields


def save(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_bytes(b"".join(encode_line(line) for line in lines))
    return path


def save_complete(path: Path, **fields: object) -> Path:
    save(path, header(), *(pred(i) for i in range(N)))
    path.write_bytes(path.read_bytes() + encode_line(footer(path.read_bytes(), **fields)))
    return path


def write(path: Path, *, resume: Resume = "auto", **task: object) -> None:
    with open_run(path, header(**task), resume=resume) as writer:
        for i in range(N):
            if f"{i:016x}" not in writer.rows:
                writer.append([row(i)])
        if not writer.complete:
            writer.finish(counts={"unparsed": N}, cost={"seconds": 1.0})


def test_written_run_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.jsonl"
    write(path)
    run = read_run(path)
    assert run.complete
    assert run.header == header()
    assert list(run.rows) == [f"{i:016x}" for i in range(N)]
    assert run.rows["0" * 16] == pred(0)
    assert run.footer is not None
    body = path.read_bytes().rsplit(b'{"kind":"footer"', 1)[0]
    assert run.footer["body_sha256"] == sha256(body).hexdigest()
    assert run.footer["counts"] == {"unparsed": N}
    assert run.valid_bytes == path.stat().st_size


def test_raw_text_is_untouched(tmp_path: Path) -> None:
    raw = 'a\ud800\u2028\x1b[31m\r\n"\\ 🙂\x00 é e\u0301'
    with open_run(tmp_path / "run.jsonl", header()) as writer:
        writer.append([row(0, raw=raw)])
    assert read_run(tmp_path / "run.jsonl").rows["0" * 16]["raw"] == raw


def test_footerless_file_is_an_incomplete_run_and_its_torn_line_is_dropped(tmp_path: Path) -> None:
    path = save(tmp_path / "run.jsonl", header(), pred(0))
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes() + encode_line(pred(1))[:-1])
    run = read_run(path)
    assert not run.complete
    assert list(run.rows) == ["0" * 16]
    assert run.valid_bytes == whole


BAD_RUNS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "empty": ([], ": empty"),
    "no header": ([pred(0)], ":1: not the header"),
    "other schema": ([header() | {"schema": "other/1"}], "schema is 'other/1'"),
    "no task": ([header() | {"task": 3}], ":1: field task is missing"),
    "n is text": ([header(n="4")], r":1: field task\.n is missing"),
    "n is true": ([header(n=True)], r":1: field task\.n is missing"),
    "partial": ([header() | {"partial": "no"}], ":1: field partial"),
    "explainer": ([header() | {"explainer": {"kind": "x"}}], r":1: field explainer\.name"),
    "query ids": ([header(query_ids=[{}])], r":1: field task\.query_ids is not a list"),
    "unknown kind": ([header(), {"kind": "judgment"}], ":2: field kind is neither"),
    "duplicate id": (
        [header(), pred(0), pred(1), pred(0)],
        f":4: query id {'0' * 16} appears twice",
    ),
    "bad id": ([header(), pred(0, qid="../x")], ":2: field qid is not 16 hex"),
    "raw is null": ([header(), pred(0, raw=None)], ":2: field raw is missing"),
    "ms is negative": ([header(), pred(0, ms=-1)], ":2: field ms is not a number"),
    "n_in is text": ([header(), pred(0, n_in="3")], ":2: field n_in is not a number"),
    "second header": ([header(), header()], ":2: field kind is neither"),
    "wrong body hash": ([header(), footer(b"")], ":2: body_sha256 is"),
    "footer too early": ([header(), footer(encode_line(header()))], "0 rows of 4"),
}


@pytest.mark.parametrize("name", BAD_RUNS)
def test_bad_run_file_is_named(name: str, tmp_path: Path) -> None:
    lines, message = BAD_RUNS[name]
    with pytest.raises(IntegrityError, match=message) as caught:
        read_run(save(tmp_path / "run.jsonl", *lines))
    assert str(caught.value).startswith(str(tmp_path / "run.jsonl"))


@pytest.mark.parametrize("line", [b'{"kind":"pred","n_in":NaN}', b'{"a":1,"a":2}', b"\xff", b"[]"])
def test_bad_line_is_named(line: bytes, tmp_path: Path) -> None:
    path = save(tmp_path / "run.jsonl", header())
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(IntegrityError, match=r"run\.jsonl:2: "):
        read_run(path)


def test_changed_byte_and_added_line_break_the_footer(tmp_path: Path) -> None:
    path = save_complete(tmp_path / "run.jsonl")
    read_run(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"reply 2", b"reply 3"))
    with pytest.raises(IntegrityError, match=":6: body_sha256 is"):
        read_run(path)
    path.write_bytes(data + b"\n")
    with pytest.raises(IntegrityError, match=":7: text after the footer"):
        read_run(path)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.jsonl"
    save(path, header(), pred(0, raw="x" * (64 << 10)))
    with pytest.raises(IntegrityError, match=":2: line longer than 65536 bytes"):
        read_run(path)
    save(path, header(), pred(0))
    with path.open("r+b") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(IntegrityError, match="1073741824 bytes, a run file has at most 67108864"):
        read_run(path)
    monkeypatch.setattr("introspect_bench.benchmark.runfile.MAX_ROWS", 2)
    with pytest.raises(IntegrityError, match=":4: more than 2 rows"):
        read_run(save(path, header(), *(pred(i) for i in range(3))))


def test_unreadable_run_files_are_usage_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            read_run(path)


def test_file_of_another_kind_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    for text in ("my notes", "my notes\n", '{"kind":"header"}'):
        path.write_text(text)
        with pytest.raises(IntegrityError), open_run(path, header()):
            pass
        assert path.read_text() == text


def test_empty_file_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.touch()
    write(path, resume="never")
    assert read_run(path).complete


def test_complete_run_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write(path)
    before = path.read_bytes(), path.stat().st_mtime_ns
    write(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


@pytest.mark.parametrize("kept", range(1, 400, 7))
def test_file_cut_anywhere_is_completed_to_the_same_bytes(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write(path)
    whole = path.read_bytes()
    start = len(encode_line(header()))
    path.write_bytes(whole[: start + kept * (len(whole) - start) // 400])
    write(path)
    assert path.read_bytes() == whole


def test_resume_modes(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with pytest.raises(UsageError, match=r"run\.jsonl does not exist"):
        write(path, resume="require")
    assert not list(tmp_path.iterdir())
    write(path, resume="never")
    with pytest.raises(UsageError, match=r"run\.jsonl exists"):
        write(path, resume="never")
    write(path, resume="require")
    with pytest.raises(UsageError, match="choose from auto, never, require"):
        write(path, resume="maybe")  # type: ignore[arg-type]
    assert RESUME == ("auto", "never", "require")


def changed(path: str, value: object) -> dict[str, Any]:
    found = header()
    *parents, last = path.split(".")
    part = found
    for parent in parents:
        part = part[parent]
    part[last] = value
    return found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("task.data_sha256", "99"),
        ("task.split", "mini"),
        ("task.limit", 3),
        ("target.name", "other"),
        ("explainer.name", "y"),
        ("explainer.settings.scale", [1, 2]),
        ("explainer.settings.extra", None),
        ("generation.batch_size", 3),
        ("generation.seed", 0.0),
        ("package.version", "0.2.0"),
        ("partial", True),
    ],
)
def test_another_run_is_refused_naming_the_field(tmp_path: Path, path: str, value: object) -> None:
    file = save(tmp_path / "run.jsonl", header(), pred(0))
    before = file.read_bytes()
    with pytest.raises(IntegrityError) as caught, open_run(file, changed(path, value)):
        pass
    assert f"is another run: {path} is " in str(caught.value)
    assert repr(value) in str(caught.value)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "path", ["run_id", "created", "env.python", "selftest", "package.commit", "task.metric_version"]
)
def test_time_and_place_may_differ(tmp_path: Path, path: str) -> None:
    file = save(tmp_path / "run.jsonl", header(), pred(0))
    with open_run(file, changed(path, "different")) as writer:
        assert list(writer.rows) == ["0" * 16]


def test_first_difference_of_equal_objects_is_none() -> None:
    assert first_difference({"a": {"b": [1]}}, {"a": {"b": [1]}}) is None
    assert first_difference({"a": {}}, {"a": {"b": 1}}) == ("a.b", "(absent)", 1)


def fail_after(n_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let os.write take `n_bytes` more bytes, then report a full disk."""
    left = n_bytes
    real: Callable[[int, bytes], int] = os.write

    def short_write(descriptor: int, data: bytes) -> int:
        nonlocal left
        if left <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = real(descriptor, data[:left])
        left -= taken
        return taken

    monkeypatch.setattr(os, "write", short_write)


@pytest.mark.parametrize("room", [0, 1, 100, 200])
def test_full_disk_keeps_every_earlier_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    path = tmp_path / "run.jsonl"
    with open_run(path, header()) as writer:
        writer.append([row(0)])
        before = path.read_bytes()
        with monkeypatch.context() as patch:
            fail_after(room, patch)
            with pytest.raises(MissingPartError, match="no disk space left"):
                writer.append([row(1), row(2)])
        assert path.read_bytes() == before
        writer.append([row(1)])
    assert list(read_run(path).rows) == ["0" * 16, f"{1:016x}"]
    write(path)
    assert read_run(path).complete


def test_interrupt_in_the_middle_of_a_write_leaves_a_valid_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.jsonl"

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with open_run(path, header()) as writer:
        writer.append([row(0)])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", interrupt)
            with pytest.raises(KeyboardInterrupt):
                writer.append([row(1)])
    assert list(read_run(path).rows) == ["0" * 16]
    write(path)
    assert read_run(path).complete


def test_second_writer_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from introspect_bench.benchmark.errors import UsageError\n"
        "from introspect_bench.benchmark.runwriter import open_run\n"
        "try:\n"
        "    with open_run(Path(sys.argv[1]), json.loads(sys.argv[2])): pass\n"
        "except UsageError as error:\n"
        "    sys.stdout.write(str(error))\n"
    )
    command = [sys.executable, "-c", code, str(path), json.dumps(header())]
    with open_run(path, header()):
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert said == f"another process is writing {path}; wait for it to end"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_rows_that_could_not_be_read_back_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with open_run(path, header()) as writer:
        with pytest.raises(UsageError, match=f"the reply to query {1:016x} makes a line of"):
            writer.append([row(0), row(1, raw="x" * 70_000)])
        with pytest.raises(IntegrityError, match="not complete"):
            writer.finish(counts={}, cost={})
        writer.append([row(0)])
        with pytest.raises(IntegrityError, match="already has a row"):
            writer.append([row(0)])
    assert list(read_run(path).rows) == ["0" * 16]


def test_settings_without_json_form_are_refused(tmp_path: Path) -> None:
    for value, message in ((object(), "as JSON"), (float("nan"), "as JSON"), ("x" * 70_000, "fit")):
        with (
            pytest.raises(UsageError, match=message),
            open_run(tmp_path / "run.jsonl", changed("explainer.settings", value)),
        ):
            pass
    assert not list(tmp_path.iterdir())
