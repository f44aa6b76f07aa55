"""The board's own entries: sound, and RESULTS.md says of them what they score."""

from __future__ import annotations

from pathlib import Path

import introspect_bench as ib
from introspect_bench.leaderboard.submissions.entries import find_entries

TOP = Path(__file__).parents[3]
SUBMISSIONS = TOP / "submissions"


def test_every_entry_is_one_that_ci_would_take() -> None:
    entries = find_entries(SUBMISSIONS)
    found = ib.validate_all([SUBMISSIONS], strict=True)
    assert found["ok"], [entry["findings"] for entry in found["entries"]]
    assert len(found["entries"]) == len(entries)


def test_the_results_page_is_what_the_entries_score() -> None:
    page = (TOP / "RESULTS.md").read_bytes()
    assert page == ib.board_report(SUBMISSIONS).encode()
    assert len(page) <= 25_000
