"""Submissions that somebody might send on purpose: how each is made, and how it must be refused.

A maker gets a sound entry's folder, spoils it,
and returns the folder to be validated, which may have another name by then.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiny_entries import Rows, forge, set_field

RUN = "input-ablations.jsonl"
"""The run file of the sound entry."""
Maker = Callable[[Path], Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One hostile submission."""

    name: str
    make: Maker
    code: int
    """Exit code of `validate`."""
    part: str
    """Part of what `validate` says."""
    score: int | None = None
    """Exit code of `score` on the run file, None if there is no run file to score."""


def put(name: str | bytes, content: bytes = b"x") -> Maker:
    def make(folder: Path) -> Path:
        (folder / os.fsdecode(name)).write_bytes(content)
        return folder

    return make


def run(content: bytes) -> Maker:
    return put(RUN, content)


def lines(edit: Callable[[list[bytes]], list[bytes]]) -> Maker:
    """Edit the run file's bytes line by line; hashes are left as they are."""

    def make(folder: Path) -> Path:
        path = folder / RUN
        path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))
        return folder

    return make


def row_text(old: bytes, new: bytes) -> Maker:
    def edit(lines: list[bytes]) -> list[bytes]:
        assert old in lines[2]
        return [*lines[:2], lines[2].replace(old, new, 1), *lines[3:]]

    return lines(edit)


def forged(edit: Callable[[Rows], object]) -> Maker:
    return lambda folder: forge(folder, edit)


def header(part: str, name: str, value: Any) -> Maker:
    return forged(lambda rows: rows[0][part].update({name: value}))


def raw(text: str) -> Maker:
    return forged(lambda rows: rows[1].update(raw=text))


def field(name: str, value: Any) -> Maker:
    return lambda folder: set_field(folder, name, value)


def entry_text(old: str, new: str) -> Maker:
    def make(folder: Path) -> Path:
        path = folder / "entry.json"
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8", errors="surrogatepass")
        return folder

    return make


def sparse(name: str, size: int) -> Maker:
    def make(folder: Path) -> Path:
        with (folder / name).open("ab") as stream:
            stream.truncate(size)
        return folder

    return make


def link(name: str, target: str) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
        return folder

    return make


def renamed(name: str) -> Maker:
    return lambda folder: Path(shutil.move(folder, folder.with_name(name)))


def linked_folder(folder: Path) -> Path:
    real = Path(shutil.move(folder, folder.parents[2] / "elsewhere"))
    folder.symlink_to(real)
    return folder


def run_is_folder(folder: Path) -> Path:
    (folder / RUN).unlink()
    (folder / RUN).mkdir()
    return folder


def pipe(folder: Path) -> Path:
    (folder / RUN).unlink()
    os.mkfifo(folder / RUN)
    return folder


def executable(folder: Path) -> Path:
    (folder / RUN).chmod(0o755)
    return folder


def many(folder: Path) -> Path:
    for number in range(60):
        (folder / f"task-{number}.jsonl").write_text("{}\n")
    return folder


def heavy(folder: Path) -> Path:
    for number in range(5):
        sparse(f"task-{number}.jsonl", 9_900_000)(folder)
    return folder


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / RUN, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(20 << 20))
    return folder


def look_alike(folder: Path) -> Path:
    folder.with_name("acrne__model__01234567").mkdir()
    return folder


def two_explainers(folder: Path) -> Path:
    shutil.copy(folder / RUN, folder / "activation-patching.jsonl")

    def edit(rows: Rows) -> None:
        rows[0]["task"]["id"] = "activation-patching"
        rows[0]["explainer"]["name"] = "somebody/else"

    return forge(folder, edit, name="activation-patching.jsonl")


def without(name: str) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).unlink()
        return folder

    return make


def deep(n: int) -> bytes:
    return b"[" * n + b"]" * n


DEEP = b'{"kind":"pred","qid":' + deep(30_000) + b"}\n"
PICKLE = b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
YAML_BOMB = b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n"


def unsafe_rows(folder: Path) -> Path:
    """More rows than any run has; the folder keeps its name, as nothing can read the file."""
    path = folder / RUN
    lines = path.read_bytes().splitlines(keepends=True)
    row = json.loads(lines[1])
    rows = [row | {"qid": f"{number:016x}", "raw": "x"} for number in range(20_001)]
    more = [json.dumps(one).encode() + b"\n" for one in rows]
    path.write_bytes(b"".join([lines[0], *more, lines[-1]]))
    return folder


def judgement(lines: list[bytes]) -> bytes:
    row = {
        "kind": "judgement",
        "qid": json.loads(lines[1])["qid"],
        "text": "x",
        "predicted": "AA==",
    }
    return json.dumps(row | {"judge": "simulator/a@0123456789ab"}).encode() + b"\n"
