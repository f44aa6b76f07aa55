"""Writing run files: they read back as written, resume, and survive full disks and interrupts."""

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
from tiny_runs import N, header, pred, row, save

from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError
from introspect_bench.benchmark.runs.run import encode_line, read_run
from introspect_bench.benchmark.runs.writer import RESUME, Resume, check_run_file, open_run


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
    assert run.header.to_json() == header()
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
    assert RESUME == ("auto", "never", "require", "overwrite")


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
        ("env.device", "cuda"),
        ("env.torch", "2.7"),
        ("env.transformers", None),
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


def file_only(header: dict[str, Any]) -> dict[str, Any]:
    """The same header, of an explainer that looks its replies up."""
    return header | {"explainer": header["explainer"] | {"kind": "baseline", "weights_sha256": {}}}


@pytest.mark.parametrize("path", ["env.device", "env.torch", "env.transformers"])
def test_without_a_model_the_libraries_do_not_matter(tmp_path: Path, path: str) -> None:
    file = save(tmp_path / "run.jsonl", file_only(header()), pred(0))
    with open_run(file, file_only(changed(path, "different"))) as writer:
        assert list(writer.rows) == ["0" * 16]


def test_a_baseline_that_runs_a_model_is_bound_to_its_libraries(tmp_path: Path) -> None:
    ours, theirs = header(), changed("env.torch", "2.7")
    for one in (ours, theirs):
        one["explainer"] |= {"kind": "baseline", "weights_sha256": {"a.safetensors": "00"}}
    file = save(tmp_path / "run.jsonl", ours, pred(0))
    with pytest.raises(IntegrityError, match=r"env\.torch is '2\.6' there"), open_run(file, theirs):
        pass


def test_before_loading_only_what_is_known_is_compared(tmp_path: Path) -> None:
    file = save(tmp_path / "run.jsonl", header(), pred(0))
    before = file.read_bytes()
    for path, value in (("explainer.name", ""), ("explainer.settings", {}), ("env", {})):
        check_run_file(file, changed(path, value))
    for path, number in (("explainer.shots", 2), ("generation.seed", 1), ("task.limit", 3)):
        with pytest.raises(IntegrityError, match=f"is another run: {path} is"):
            check_run_file(file, changed(path, number))
    with pytest.raises(UsageError, match=r"run\.jsonl exists"):
        check_run_file(file, header(), resume="never")
    assert file.read_bytes() == before
    check_run_file(tmp_path / "none.jsonl", header())
    with pytest.raises(UsageError, match="does not exist"):
        check_run_file(tmp_path / "none.jsonl", header(), resume="require")
    assert [path.name for path in tmp_path.iterdir()] == ["run.jsonl"]


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
        "from introspect_bench.benchmark.runs.writer import open_run\n"
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
    for value, message in (
        (object(), "as JSON"),
        (float("nan"), "as JSON"),
        ("x" * 70_000, "fit"),
        (10**20, "could not be read back: .*integer of 21 characters"),
    ):
        with (
            pytest.raises(UsageError, match=message),
            open_run(tmp_path / "run.jsonl", changed("explainer.settings", value)),
        ):
            pass
    assert not list(tmp_path.iterdir())
