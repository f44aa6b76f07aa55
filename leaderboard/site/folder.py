"""The page's folder: built from submissions, written whole, checked by hash, compared by line.

Owns its layout: `index.html`, `board.json`, `board.md` that says what its fields mean, `board.csv`,
`board.bib`, `llms.txt`, `q/*.js`, and `checksums.sha256` over all of them, as `sha256sum --check`
reads it. In `board.csv` a cell that begins like a formula is text, for a spreadsheet runs it.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...benchmark import files
from ...benchmark.cache import Progress, silent
from ...benchmark.errors import IntegrityError, UsageError
from ...benchmark.export.export import FORMULA
from ...benchmark.export.latex import escape
from ...benchmark.export.tables import clean
from ...benchmark.leftovers import beside
from .board import SCHEMA, Board, Estimate, Row, SuiteBoard
from .build import make_board
from .render import PARTS, Sheet, board_json, llms_txt, render, shards

PAPER = PARTS / "paper.bib"
INDEX, BOARD, CHECKSUMS, QUERIES = "index.html", "board.json", "checksums.sha256", "q"

_LINE = re.compile(r"(?P<sha>[0-9a-f]{64})  (?P<name>(?:q/)?[a-z0-9][a-z0-9._-]*)")


def write_site(board: Board, sheets: Sequence[Sheet], out: Path) -> None:
    """Write the page; a page that is there is replaced, and no other folder is."""
    _put_back(out.absolute().with_name(f".{out.name}.old"), out)
    _check_place(out)
    new = beside(out.absolute())
    old = out.absolute().with_name(f".{out.name}.old")
    hashes = {}
    try:
        for name, data in _parts(board, sheets):
            files.write_bytes_atomic(new / name, data)
            hashes[name] = files.sha256_bytes(data)
        text = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
        files.write_bytes_atomic(new / CHECKSUMS, text.encode())
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
        new.rename(out)
    except OSError as error:
        raise files.write_error(out, error) from error
    finally:
        _put_back(old, out)
        for left in (old, new):
            shutil.rmtree(left, ignore_errors=True)


def _put_back(old: Path, out: Path) -> None:
    """Put the page back that was moved aside before a build was killed or failed."""
    if old.is_dir() and not out.exists():
        old.rename(out)


def _parts(board: Board, sheets: Sequence[Sheet]) -> Iterator[tuple[str, bytes]]:
    yield BOARD, board_json(board)
    yield "board.csv", board_csv(board).encode()
    yield "board.bib", board_bib(board).encode()
    yield "board.md", (PARTS / "board.md").read_bytes()
    yield "llms.txt", llms_txt(board).encode()
    for sheet in sheets:
        for name, data in shards(sheet):
            yield f"{QUERIES}/{name}", data
    yield INDEX, render(board, sheets).encode()


def board_check(path: Path | str) -> dict[str, Any]:
    """Check that a page is whole and its table made from its `board.json`; count what it holds."""
    site = Path(path)
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
    for file in sorted(site.rglob("*")):
        name = file.relative_to(site).as_posix()
        if not file.is_dir() and name not in listed and name != CHECKSUMS:
            raise IntegrityError(f"{file}: not in {CHECKSUMS}; remove it or build the page again")
    entries = sum(len(suite["rows"]) for suite in read_board(site)["suites"])
    sha = files.sha256_file(site / BOARD)
    if f'<meta name="board-sha256" content="{sha}">'.encode() not in (site / INDEX).read_bytes():
        raise IntegrityError(f"{site / INDEX}: was not made from {BOARD}; build the page again")
    return {"files": len(listed) + 1, "entries": entries, "board_sha256": sha}


def read_board(path: Path) -> dict[str, Any]:
    """Read `board.json`, or that of a page's folder."""
    where = path / BOARD if path.is_dir() else path
    board = files.read_json(where, max_bytes=64 << 20)
    if board.get("schema") != SCHEMA:
        raise IntegrityError(
            f"{where}: schema is {board.get('schema')!r}, expected {SCHEMA!r}; build it again"
        )
    with files.reading(where, "a board"):
        _flat(board)
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
    lines = [
        f"{name}: {old.get(name)} -> {new.get(name)}"
        for name in ("package", "metric_version", "prompt_version")
        if old.get(name) != new.get(name)
    ]
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


def board_build(
    submissions: Path | str = "submissions",
    output: Path | str = "site",
    *,
    ledger: Path | str | None = None,
    suite: str | None = None,
    use_cache: bool = True,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Score all submissions and write the page; the same submissions give the same bytes."""
    board, sheets = make_board(
        Path(submissions),
        ledger=None if ledger is None else Path(ledger),
        suite=suite,
        use_cache=use_cache,
        progress=progress,
    )
    write_site(board, sheets, Path(output))
    return {"output": str(output), **board_check(output)}


def board_diff(old: Path | str, new: Path | str) -> list[str]:
    """Return a line for each difference between two boards."""
    return differences(read_board(Path(old)), read_board(Path(new)))


def board_csv(board: Board) -> str:
    """Return one line an entry and task, numbers unrounded, text of strangers guarded."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)  # lines end in CR LF (RFC 4180), so that a CR in a cell is quoted
    writer.writerow(_HEAD)
    lines = (line for suite in board.suites for row in suite.rows for line in _lines(suite, row))
    writer.writerows(map(_guarded, line) for line in lines)
    return out.getvalue()


def _guarded(value: object) -> object:
    """Return a cell's value; text that begins like a formula gets an apostrophe in front."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    formula = value.startswith(FORMULA) or value.lstrip(" \u00a0").startswith(FORMULA)
    return f"'{value}" if formula else value


def board_bib(board: Board) -> str:
    """Return the BibTeX of the paper and of every entry, its own or what is known of it, once."""
    rows = (row for suite in board.suites for row in suite.rows)
    found = dict.fromkeys(
        [PAPER.read_text().strip(), *(row.bibtex.strip() or _misc(row) for row in rows)]
    )
    return "\n\n".join(found) + "\n"


def _misc(row: Row) -> str:
    def text(value: str) -> str:
        return escape(clean(value).translate({ord("{"): "(", ord("}"): ")"}))

    fields = {
        "author": " and ".join(f"{{{text(name)}}}" for name in row.authors or (row.org,)),
        "title": f"{{{text(f'{row.org}/{row.name}')}}}",
        "year": text(row.date[:4]),
        "note": f"Entry of introspect-bench, {text(row.id)}",
    }
    lines = [f"  {key} = {{{value}}}," for key, value in fields.items() if value]
    return "\n".join([f"@misc{{{row.id},", *lines, "}"])


_HEAD = (
    *("suite", "target", "task", "metric"),
    *("entry", "org", "name", "kind", "access"),
    *("value", "low_95", "high_95"),
    *("n", "unparsed", "missing", "ranked_in"),
    *("rank_low", "rank_high", "ties"),
    *("overall", "overall_low_95", "overall_high_95"),
    *("tier", "vectors", "tokens_per_query", "seconds_per_query", "parameters", "date"),
)


def _lines(suite: SuiteBoard, row: Row) -> list[list[object]]:
    lines: list[list[object]] = []
    for column in suite.columns:
        score = row.scores.get(column.task)
        if score is None:
            continue
        lines.append(
            [
                *(suite.name, suite.target, column.task, column.metric),
                *(row.id, row.org, row.name, row.kind, score.access),
                *_ends(score.headline),
                *(score.n, score.unparsed, score.missing),
                "" if row.unranked or row.withdrawn else row.access,
                *(row.rank or (None, None)),
                " ".join(row.ties),
                *_ends(row.overall),
                *(row.tier, "yes" if row.uses_vectors else "no"),
                *(row.tokens_per_query, row.seconds_per_query, row.parameters, row.date),
            ]
        )
    return lines


def _ends(estimate: Estimate | None) -> tuple[float | None, ...]:
    if estimate is None:
        return None, None, None
    return estimate.value, estimate.low, estimate.high
