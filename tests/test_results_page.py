"""RESULTS.md is what the command makes of the run files that are here."""

from __future__ import annotations

from pathlib import Path

import introspect_bench as ib

TOP = Path(__file__).parents[1]


def test_the_page_is_made_again_byte_for_byte() -> None:
    page = ib.leaderboard_report(TOP / "submissions", study=TOP / "docs" / "study")
    assert (TOP / "RESULTS.md").read_text() == page
