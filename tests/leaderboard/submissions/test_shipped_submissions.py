"""The board's own entries: sound, and what README says of them is what they score."""

from __future__ import annotations

from pathlib import Path

import introspect_bench as ib
from introspect_bench.benchmark.export.tables import BEGIN, END
from introspect_bench.leaderboard.submissions.entries import find_entries

TOP = Path(__file__).parents[3]
SUBMISSIONS = TOP / "submissions"


def test_every_entry_is_one_that_ci_would_take() -> None:
    entries = find_entries(SUBMISSIONS)
    found = ib.validate_all([SUBMISSIONS], strict=True)
    assert found["ok"], [entry["findings"] for entry in found["entries"]]
    assert len(found["entries"]) == len(entries)


def test_the_results_in_the_readme_are_what_the_entries_score() -> None:
    runs = [run for entry in find_entries(SUBMISSIONS) for run in entry.runs]
    text = (TOP / "README.md").read_text()
    shown = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == (ib.score_table(runs).strip() if runs else "")
