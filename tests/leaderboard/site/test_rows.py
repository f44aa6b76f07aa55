"""Rows of a board: numbers that do not exist are not shown as numbers."""

from __future__ import annotations

from introspect_bench.benchmark.export.tables import NOTHING
from introspect_bench.leaderboard.site.board import Row
from introspect_bench.leaderboard.site.view import _details, _facts


def test_an_entry_without_queries_has_no_share_of_answers() -> None:
    row = Row(id="a", org="acme", name="Model", kind="baseline", scores={})
    assert row.no_answer is None
    (cell,) = (cell for cell in _details(row) if cell["label"] == "No answer")
    assert cell["text"] == NOTHING


def test_what_nothing_checks_is_marked_as_declared() -> None:
    row = Row(
        id="a", org="acme", name="Model", kind="trained", scores={}, authors=("Ann",), licence="MIT"
    )
    facts = dict(_facts(row))
    assert facts["Authors (declared)"] == "Ann"
    assert facts["Licence (declared)"] == "MIT"
    assert facts["Entry"] == "a"
