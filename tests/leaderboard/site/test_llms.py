"""What programs that read the page's folder are told is there: all of it, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
from tiny_boards import make_board, make_sheet

from introspect_bench.leaderboard.site import board as records
from introspect_bench.leaderboard.site.folder import board_check, write_site

SECTIONS = {
    "The board": records.Board,
    "A suite of `suites`": records.SuiteBoard,
    "A task of `columns`": records.Column,
    "An entry of `rows`": records.Row,
    "A result of `scores`": records.TaskScore,
    "A matrix of `matrices`": records.Matrix,
}
IN_PROSE = (records.Estimate, records.Layered, records.Access, records.Worth)


def fields_of(record: type) -> set[str]:
    return {field.name for field in dataclasses.fields(record)}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    board = make_board(6)
    write_site(board, [make_sheet(board.suites[0], n=60)], tmp_path / "site")
    return tmp_path / "site"


def test_every_field_of_the_board_is_described_and_no_other(site: Path) -> None:
    text = (site / "board.md").read_text()
    parts = dict(zip(*[iter(re.split(r"^## (.*)$", text, flags=re.M)[1:])] * 2, strict=True))
    assert parts.keys() == SECTIONS.keys()
    for title, record in SECTIONS.items():
        heads = [line.split("|")[1] for line in parts[title].splitlines() if line.startswith("| `")]
        said = re.findall(r"`(\w+)`", " ".join(heads))
        assert len(said) == len(set(said))
        assert set(said) - {"schema"} == fields_of(record), title
    for record in IN_PROSE:
        assert fields_of(record) <= set(re.findall(r"`(\w+)`", text))
    assert records.SCHEMA in text


def test_the_path_to_a_score_leads_to_one(site: Path) -> None:
    board = json.loads((site / "board.json").read_text())
    text = (site / "llms.txt").read_text()
    assert "`suites[0].rows[0].scores[TASK].headline.value`" in text
    score = board["suites"][0]["rows"][0]["scores"]["input-ablations"]["headline"]["value"]
    assert 0 < score < 1
    for suite in board["suites"]:
        assert f"- {suite['name']}, about {suite['target']}: {len(suite['rows'])} entries" in text
        assert all(
            f"  - {column['task']} {column['version']}: " in text for column in suite["columns"]
        )
        names = {row["name"] for row in suite["rows"]}
        assert names
        assert not any(name in text for name in names)  # strangers' words


def test_every_file_of_the_folder_is_named_and_there(site: Path) -> None:
    text = (site / "llms.txt").read_text()
    named = set(re.findall(r"\]\(([^)]+)\)", text))
    assert named | {"llms.txt"} == {path.name for path in site.iterdir() if path.is_file()}
    assert text.startswith("# ")
    assert text.splitlines()[2].startswith("> ")
    board_check(site)
    assert 'href="board.md"' in (site / "index.html").read_text()
