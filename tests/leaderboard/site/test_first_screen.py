"""The page's first screen, what it says of vectors, and what is left out: all of it from rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tiny_boards import estimate, make_board, make_sheet

from introspect_bench.leaderboard.site.board import SuiteBoard, Worth
from introspect_bench.leaderboard.site.build import _order
from introspect_bench.leaderboard.site.charts import charts_of
from introspect_bench.leaderboard.site.figures import answer
from introspect_bench.leaderboard.site.render import render

SUITE = make_board(6).suites[0]
BEST, SECOND = SUITE.rows[:2]


def with_worth(*found: tuple[str, str, float, float], entry: str = BEST.id) -> SuiteBoard:
    """The suite with differences of one entry: task, metric, value and p."""
    worth = tuple(
        Worth(
            entry=entry,
            control=SECOND.id,
            task=task,
            metric=metric,
            difference=estimate(value, 0.03),
            p=p,
        )
        for task, metric, value, p in found
    )
    return dataclasses.replace(SUITE, worth=worth)


PATCHING = ("activation-patching", "balanced_exact_match")
VERDICTS = ("activation-patching", "verdict_accuracy")
WORDS = ("feature-descriptions", "matched_auroc")


def test_the_answer_is_a_sentence_made_of_rows() -> None:
    suite = with_worth((*PATCHING, 0.129, 0.0018), (*VERDICTS, -0.017, 1.0), (*WORDS, 0.001, 1.0))
    said = answer(suite)
    assert "+12.9 [+9.9, +15.9] points of balanced exact match on activation patching" in said
    assert "(p = 0.002, corrected)" in said
    assert f"to {BEST.org}/{BEST.name}" in said
    _, _, rest = said.partition("not told apart: ")
    assert "\u22121.7 [\u22124.7, +1.3] points of verdict accuracy" in rest
    assert "+0.001 [\u22120.029, +0.031] matched AUROC on feature descriptions" in rest
    assert said.count(". ") == 0  # one sentence
    assert said in render(dataclasses.replace(make_board(6), suites=(suite,), matrices=()))


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        (with_worth((*PATCHING, 0.01, 0.05)), "is not told apart from its control"),
        (with_worth((*PATCHING, 0.2, 0.0001)), "(p < 0.001, corrected)"),
        (with_worth((*PATCHING, 0.2, 0.001), entry="another"), "is open"),
        (SUITE, "is open"),
    ],
)
def test_what_is_not_shown_is_not_claimed(suite: SuiteBoard, said: str) -> None:
    assert said in answer(suite)
    assert ("Being given" in answer(suite)) == ("corrected" in said)


def test_only_ranked_readers_are_called_best() -> None:
    suite = with_worth((*PATCHING, 0.2, 0.001))
    for change in ({"access": "replays"}, {"unranked": "not confirmed"}, {"withdrawn": True}):
        row = dataclasses.replace(BEST, **change)
        assert "is open" in answer(dataclasses.replace(suite, rows=(row, *suite.rows[1:])))


def test_each_task_shows_a_query_with_a_right_and_a_wrong_answer() -> None:
    sheets = [make_sheet(SUITE, task, 20) for task in ("activation-patching", "input-ablations")]
    page = render(dataclasses.replace(make_board(6), suites=(SUITE,), matrices=()), sheets)
    assert page.count("\u2713 right") == page.count("\u2717 wrong") == 2
    first, _, _ = page.partition("</header>")
    best = next(row for row in SUITE.rows if row.kind == "trained")
    assert f"changed: Paris 2 <small>{best.name}" in first  # entry 0 has even queries right
    assert "arxiv.org/abs/2511.08579" in first
    assert 'href="#submit"' in first


def test_entries_without_a_rank_stand_by_their_best_task() -> None:
    task, other = SUITE.columns[1].task, SUITE.columns[2].task

    def row(id: str, **scores: float) -> Any:
        own = {
            name: dataclasses.replace(BEST.scores[name], headline=estimate(value, 0.01))
            for name, value in zip((task, other), scores.values(), strict=False)
        }
        return dataclasses.replace(BEST, id=id, scores=own, overall=None, rank=None)

    rows = [row("a", x=0.1), row("b", x=0.05, y=0.3), row("c", x=0.2)]
    assert [one.id for one in sorted(rows, key=lambda one: _order(one, {}, {}))] == ["b", "c", "a"]


def test_the_matrix_shows_equals_alone() -> None:
    board = make_board(6)
    (matrix,) = board.matrices
    assert render(board).count('class="heat"') == 1
    alone = tuple(dataclasses.replace(cell, to_self=None, equal="") for cell in matrix.cells)
    without = dataclasses.replace(matrix, cells=alone)
    assert 'id="access"' not in render(dataclasses.replace(board, matrices=(without,)))
    odd = (*alone[:-1], matrix.cells[-1])  # one other, and the self it is set against
    page = render(dataclasses.replace(board, matrices=(dataclasses.replace(matrix, cells=odd),)))
    table = page.partition('class="heat"')[2].partition("</table>")[0]
    assert table.count('scope="row"') == 2
    assert matrix.cells[-1].row in table


def test_no_chart_has_a_single_entry_or_place() -> None:
    one = dataclasses.replace(SUITE, rows=SUITE.rows[:1])
    assert charts_of([one]) == []
    rows = [dataclasses.replace(row, n_train=512, seconds_per_query=1.0) for row in SUITE.rows]
    titles = {chart["title"] for chart in charts_of([dataclasses.replace(SUITE, rows=tuple(rows))])}
    assert titles
    assert not {"Score against cost", "Score against data"} & titles
