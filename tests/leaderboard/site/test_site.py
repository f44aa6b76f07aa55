"""The page's bytes: the same every time, checked by hash, guarded in a spreadsheet, compared."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from payloads import PAYLOADS
from tiny_boards import change_row, estimate, make_board, make_sheet

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.export.export import FORMULA
from introspect_bench.citation import cite
from introspect_bench.leaderboard.site.board import Board, Estimate
from introspect_bench.leaderboard.site.folder import (
    board_bib,
    board_check,
    board_csv,
    differences,
    read_board,
    write_site,
)
from introspect_bench.leaderboard.site.render import board_json, render, script_json


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def built(folder: Path, board: Board | None = None) -> Path:
    board = board or make_board(6)
    write_site(board, [make_sheet(board.suites[0], n=60)], folder)
    return folder


BUILD = """
import sys, pathlib
sys.path.insert(0, sys.argv[1])
from tiny_boards import make_board, make_sheet
from introspect_bench.leaderboard.site.folder import write_site
board = make_board(6)
write_site(board, [make_sheet(board.suites[0], n=60)], pathlib.Path(sys.argv[2]))
"""


def test_the_foot_names_the_versions_of_metrics_and_prompts() -> None:
    board = dataclasses.replace(make_board(), metric_version="ab" * 8, prompt_version="cd" * 8)
    foot = render(board).partition("<footer>")[2]
    assert f"metrics {'ab' * 8} · prompts {'cd' * 8} ·" in foot


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    first = files_of(built(tmp_path / "a"))
    source = str(Path(__file__).parents[2] / "helpers")
    environment = os.environ | {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    command = [sys.executable, "-c", BUILD, source, str(tmp_path / "b")]
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert files_of(tmp_path / "b") == first
    assert sorted(first) == [
        "board.bib",
        "board.csv",
        "board.json",
        "board.md",
        "checksums.sha256",
        "index.html",
        "llms.txt",
        "q/smollm2-135m-activation-patching-0.js",
        "q/smollm2-135m-activation-patching-1.js",
        "q/smollm2-135m-activation-patching-2.js",
    ]


def test_a_page_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    folder = built(tmp_path / "site")
    write_site(make_board(4), (), folder)
    assert not (folder / "q").exists()
    assert board_check(folder)["entries"] == 8
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        write_site(make_board(4), (), folder)
    other = tmp_path / "home"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="holds files, but no page"):
        write_site(make_board(4), (), other)
    assert (other / "thesis.tex").read_text() == "mine"
    with pytest.raises(UsageError, match="not a folder"):
        write_site(make_board(4), (), folder / "mine.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "site"]


def edit(name: str) -> Callable[[Path], object]:
    return lambda site: (site / name).write_bytes((site / name).read_bytes() + b" ")


def swapped_board(site: Path) -> None:
    """Another board, with checksums that fit."""
    write_site(make_board(4), (), site.parent / "other")
    for name in ("board.json", "checksums.sha256"):
        (site / name).write_bytes((site.parent / "other" / name).read_bytes())
    lines = files_of(site.parent / "other")["checksums.sha256"].decode().splitlines()
    keep = [line for line in lines if "board.json" in line]
    mine = files_of(site)
    from introspect_bench.benchmark.files import sha256_bytes

    keep += [
        f"{sha256_bytes(data)}  {name}"
        for name, data in mine.items()
        if name not in ("board.json", "checksums.sha256")
    ]
    (site / "checksums.sha256").write_text("".join(f"{line}\n" for line in keep))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (edit("index.html"), "index.html: sha256 is"),
        (edit("board.json"), "board.json: sha256 is"),
        (edit("q/smollm2-135m-activation-patching-1.js"), "-1.js: sha256 is"),
        (lambda site: (site / "board.csv").unlink(), "board.csv: listed, but missing"),
        (lambda site: (site / "q" / "new.js").write_text("x"), "new.js: not in checksums"),
        (lambda site: (site / "checksums.sha256").write_text("x\n"), "checksums.sha256:1"),
        (lambda site: (site / "checksums.sha256").write_text(""), "does not list index.html"),
        (swapped_board, "was not made from board.json"),
    ],
)
def test_a_damaged_page_is_refused(
    tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    site = built(tmp_path / "site")
    assert board_check(site)["files"] == 10
    damage(site)
    with pytest.raises(IntegrityError, match=said):
        board_check(site)


def test_checksums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    site = built(tmp_path / "site")
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    command = ["sha256sum", "--check", "--strict", "--quiet", "checksums.sha256"]
    subprocess.run(command, cwd=site, check=True)


def test_differences_are_readable_lines(tmp_path: Path) -> None:
    board = make_board(4)
    row = board.suites[0].rows[1]
    changed = change_row(board, 1, overall=estimate(0.5, 0.025), rank=(2, 9))
    suite = changed.suites[0]
    fewer = dataclasses.replace(
        changed,
        suites=(dataclasses.replace(suite, rows=suite.rows[:3]), *changed.suites[1:]),
        package="9.9",
    )
    for name, one in (("old", board), ("same", board), ("new", fewer)):
        write_site(one, (), tmp_path / name)
    old, same, new = (read_board(tmp_path / name) for name in ("old", "same", "new"))
    assert differences(old, same) == []
    lines = differences(old, new)
    assert "package: 0.0 -> 9.9" in lines
    assert f"smollm2-135m {board.suites[0].rows[3].id}: removed" in lines
    assert f"smollm2-135m {row.id} rank: [1,4] -> [2,9]" in lines
    assert any(f"{row.id} overall.value: " in line and line.endswith("-> 0.5") for line in lines)
    assert len(lines) == 6  # package, one row, rank, and three numbers of an overall


def test_numbers_that_are_not_finite_never_reach_a_board() -> None:
    for bad in (float("nan"), float("inf")):
        with pytest.raises(IntegrityError, match="finite"):
            Estimate(value=bad)
        with pytest.raises(IntegrityError, match="finite"):
            Estimate(value=0.0, low=bad, high=1.0)
    with pytest.raises(IntegrityError, match="two ends"):
        Estimate(value=0.0, low=0.0)


@pytest.mark.parametrize(
    "text", [*PAYLOADS, "=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "\uff1d1"]
)
def test_no_cell_of_the_spreadsheet_is_a_formula(text: str) -> None:
    board = change_row(make_board(4), 0, name=text, org=text)
    rows = list(csv.reader(io.StringIO(board_csv(board), newline="")))
    assert {len(row) for row in rows} == {28}
    name = rows[1][rows[0].index("name")]
    assert name.lstrip("'") == text.lstrip("'") or name == text
    for row in rows[1:]:
        for cell in row:
            if cell.lstrip(" \u00a0").startswith((*FORMULA, "\uff1d")):
                float(cell)  # a number below zero is no formula


def test_the_spreadsheet_holds_unrounded_numbers() -> None:
    board = make_board(4)
    row = next(csv.DictReader(io.StringIO(board_csv(board), newline="")))
    score = board.suites[0].rows[0].scores["feature-descriptions"].headline
    assert score is not None
    assert float(row["value"]) == score.value
    assert float(row["low_95"]) == score.low
    written = json.loads(board_json(board))["suites"][0]["rows"][0]["scores"]
    assert written["feature-descriptions"]["headline"]["value"] == score.value


def test_bibtex_is_there_once() -> None:
    board = make_board(4, ("a", "b"))
    text = board_bib(board)
    assert text.count("@misc{toy1,") == 1
    assert 'href="board.bib"' in render(board)
    bare = change_row(make_board(2, ("a",)), 1, bibtex="")
    assert 'href="board.bib"' in render(bare)
    assert board_bib(bare).count("@misc{") == 3  # the paper, and what is known of two entries
    cited = cite(["paper"], form="bibtex").strip()
    assert board_bib(bare).startswith(cited)


@pytest.mark.parametrize("text", [*PAYLOADS, "}}, note = {x", "\\end{x} % y", "a and b"])
def test_no_name_ends_its_bibtex(text: str) -> None:
    board = change_row(make_board(4), 0, name=text, org=text, authors=(text,), bibtex="")
    block = next(one for one in board_bib(board).split("\n\n") if board.suites[0].rows[0].id in one)
    depth = 0
    for place, character in enumerate(block):
        depth += (character == "{") - (character == "}")
        assert depth > 0 or place < block.index("{") or place == len(block.rstrip()) - 1
    assert depth == 0


def test_a_table_is_whole_without_anything_else() -> None:
    board = make_board(24)
    page = render(board)
    for suite in board.suites:
        for row in suite.rows:
            assert row.name in page
    assert "2603.20276" in page
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "")


def test_charts_are_there_only_with_data() -> None:
    page = render(make_board(24))
    for title in ("Score against cost", "Score against data", "Activation patching by layer"):
        assert title in page
    board = make_board(2, ("a",))
    for place in (0, 1):
        board = change_row(board, place, seconds_per_query=None, n_train=None, scores={})
    page = render(dataclasses.replace(board, matrices=()))
    assert "<figure" not in page
    assert 'id="charts"' not in page


def test_json_for_scripts_is_json_and_nothing_else() -> None:
    for text in PAYLOADS:
        written = script_json({"x": text})
        assert json.loads(written) == {"x": text}
        assert not set("<>&\u2028\u2029") & set(written)
    with pytest.raises(ValueError, match="JSON"):
        script_json(float("nan"))


def test_a_page_says_why_there_is_no_overall_or_what_is_not_part_of_it() -> None:
    board = make_board()
    suite = board.suites[0]
    said = "Not part of the overall: probes reach 12 %, allowed are 10 %."
    columns = (dataclasses.replace(suite.columns[0], left_out=said), *suite.columns[1:])
    board = dataclasses.replace(board, matrices=())
    part = dataclasses.replace(suite, columns=columns)
    none = dataclasses.replace(suite, no_overall="There is no overall: no null model.")
    for changed, note in (
        (part, f"{columns[0].title}: {said}"),
        (none, "There is no overall: no null model."),
    ):
        page = render(dataclasses.replace(board, suites=(changed,)), [])
        assert f'<p class="quiet">{note}</p>' in page
    assert "of the overall:" not in render(board, [])


def test_an_entry_whose_headline_has_no_value_is_shown_without_one() -> None:
    board = make_board()
    suite = board.suites[0]
    first, *others = suite.rows
    task = suite.columns[0].task
    scores = {**first.scores, task: dataclasses.replace(first.scores[task], headline=None)}
    bare = dataclasses.replace(first, scores=scores, overall=None, rank=None)
    changed = dataclasses.replace(suite, rows=(bare, *others))
    board = dataclasses.replace(board, suites=(changed,), matrices=())
    assert first.name in render(board, [])
    row = next(row for row in csv.DictReader(io.StringIO(board_csv(board))) if row["value"] == "")
    assert (row["task"], row["low_95"]) == (task, "")
