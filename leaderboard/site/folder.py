"""The page's folder: written whole, checked by hash, compared line by line.

Owns its layout: `index.html`, `board.json`, `board.csv`, `board.bib`, `q/*.js`, and
`checksums.sha256` over all of them, in the form `sha256sum --check` reads.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...benchmark import files
from ...benchmark.errors import IntegrityError, UsageError
from . import shards
from .board import SCHEMA, Board
from .downloads import board_bib, board_csv
from .render import board_json, render

INDEX, BOARD, CHECKSUMS, QUERIES = "index.html", "board.json", "checksums.sha256", "q"
"""Names of the parts."""
MAX_INDEX_BYTES = 3 << 19
"""Largest `index.html`, 1.5 MiB: what a phone loads without a wait."""

_LINE = re.compile(r"(?P<sha>[0-9a-f]{64})  (?P<name>(?:q/)?[a-z0-9][a-z0-9._-]*)")


def write_site(board: Board, sheets: Iterable[shards.Sheet], out: Path) -> list[str]:
    """Write the page; a page that is there is replaced, and no other folder is.

    Args:
        board: what it shows.
        sheets: queries and replies, one a suite and task.
        out: the folder.

    Returns:
        Names of the files, sorted.

    Raises:
        UsageError: the folder holds something that is no page of ours.
        MissingPartError: it can't be written.
    """
    _check_place(out)
    new = out.absolute().with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        names = _write(new, board, tuple(sheets))
        if out.exists():
            shutil.rmtree(out)
        new.rename(out)
    except OSError as error:
        raise files.write_error(out, error) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return names


def _write(new: Path, board: Board, sheets: tuple[shards.Sheet, ...]) -> list[str]:
    hashes = {}
    for name, data in _parts(board, sheets):
        files.write_bytes_atomic(new / name, data)
        hashes[name] = files.sha256_bytes(data)
    text = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    files.write_bytes_atomic(new / CHECKSUMS, text.encode())
    return sorted([*hashes, CHECKSUMS])


def _parts(board: Board, sheets: tuple[shards.Sheet, ...]) -> Iterator[tuple[str, bytes]]:
    yield BOARD, board_json(board)
    yield "board.csv", board_csv(board).encode()
    yield "board.bib", board_bib(board).encode()
    for sheet in sheets:
        for name, data in shards.shards(sheet):
            yield f"{QUERIES}/{name}", data
    yield INDEX, render(board, shards.setup(sheets)).encode()


def check_site(site: Path) -> dict[str, Any]:
    """Check that a page is whole and that its table was made from its `board.json`.

    Returns:
        `files` and `entries`, how many there are, and `board_sha256`.

    Raises:
        UsageError: there is no page.
        IntegrityError: a file is missing, changed or not listed, or the parts contradict.
    """
    listed = _listed(site)
    for name in (INDEX, BOARD):
        if name not in listed:
            raise IntegrityError(f"{site / CHECKSUMS}: does not list {name}")
    for name, expected in listed.items():
        if (site / name).is_symlink() or not (site / name).is_file():
            raise IntegrityError(f"{site / name}: listed, but missing; build the page again")
        if (found := files.sha256_file(site / name)) != expected:
            raise IntegrityError(
                f"{site / name}: sha256 is {found}, {CHECKSUMS} says {expected}; build it again"
            )
    for path in sorted(site.rglob("*")):
        name = path.relative_to(site).as_posix()
        if not path.is_dir() and name not in listed and name != CHECKSUMS:
            raise IntegrityError(f"{path}: not in {CHECKSUMS}; remove it or build the page again")
    board = read_board(site)
    sha = files.sha256_file(site / BOARD)
    if f'<meta name="board-sha256" content="{sha}">'.encode() not in (site / INDEX).read_bytes():
        raise IntegrityError(f"{site / INDEX}: was not made from {BOARD}; build the page again")
    entries = sum(len(suite["rows"]) for suite in board["suites"])
    return {"files": len(listed) + 1, "entries": entries, "board_sha256": sha}


def read_board(path: Path) -> dict[str, Any]:
    """Read `board.json`, or that of a page's folder.

    Raises:
        UsageError: it can't be opened.
        IntegrityError: it is no board.
    """
    where = path / BOARD if path.is_dir() else path
    board = files.read_json(where, max_bytes=64 << 20)
    if board.get("schema") != SCHEMA:
        raise IntegrityError(
            f"{where}: schema is {board.get('schema')!r}, expected {SCHEMA!r}; build it again"
        )
    if not isinstance(board.get("suites"), list):
        raise IntegrityError(f"{where}: field suites is missing or not a list")
    return board


def _listed(site: Path) -> dict[str, str]:
    with files.open_regular(site / CHECKSUMS) as stream:
        lines = stream.read().decode("utf-8", errors="replace").split("\n")
    if lines.pop():
        raise IntegrityError(f"{site / CHECKSUMS}: its last line has no end")
    listed = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or match["name"] in listed:
            raise IntegrityError(f"{site / CHECKSUMS}:{number}: not a hash and a name of its own")
        listed[match["name"]] = match["sha"]
    return listed


def _check_place(out: Path) -> None:
    """Refuse a place that holds anything but a page."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"cannot write a page to {out}: not a folder")
    there = [path for path in sorted(out.rglob("*")) if not path.is_dir()]
    if there and not (out / CHECKSUMS).is_file():
        raise UsageError(f"{out}: holds files, but no page; give another folder")
    listed = {CHECKSUMS, *_listed(out)} if there else set()
    for path in there:
        if path.relative_to(out).as_posix() not in listed:
            raise UsageError(f"{path}: not of the page that is there; give another folder")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return, a line each, in what two boards (as `read_board` returns them) differ."""
    lines = []
    for name in ("package", "metric_version"):
        if old.get(name) != new.get(name):
            lines.append(f"{name}: {old.get(name)} -> {new.get(name)}")
    before, after = _flat(old), _flat(new)
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            lines.append(f"{key}: removed")
        elif key not in before:
            lines.append(f"{key}: added")
        else:
            lines += [f"{key}{change}" for change in _changes(before[key], after[key])]
    return lines


def _flat(board: Mapping[str, Any]) -> dict[str, Any]:
    """Return rows, columns and matrix cells by a readable name."""
    found: dict[str, Any] = {}
    for suite in board["suites"]:
        name = suite["name"]
        for column in suite["columns"]:
            found[f"{name} task {column['task']}"] = column
        for row in suite["rows"]:
            found[f"{name} {row['id']}"] = row
    for matrix in board.get("matrices", ()):
        for cell in matrix["cells"]:
            found[f"matrix {matrix['task']} {cell['row']} on {cell['target']}"] = cell
    return found


def _changes(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        lines = []
        for key in sorted(old.keys() | new.keys()):
            lines += _changes(old.get(key), new.get(key), f"{where}.{key}" if where else f" {key}")
        return lines
    if old == new and type(old) is type(new):
        return []
    return [f"{where}: {files.compact_json(old)} -> {files.compact_json(new)}"]
