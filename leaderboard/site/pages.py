"""The leaderboard's page: built from submissions, checked, compared with another.

Owns the way from folders to folders; what a page holds is `leaderboard.site`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from introspect_bench.leaderboard.site import folder as site
from introspect_bench.leaderboard.site.build import OnEntry, make_board


def board_build(
    submissions: Path | str = "submissions",
    output: Path | str = "site",
    *,
    ledger: Path | str | None = None,
    suite: str | None = None,
    use_cache: bool = True,
    on_entry: OnEntry = lambda _done, _total: None,
) -> dict[str, Any]:
    """Score all submissions and write the page; the same submissions give the same bytes.

    Returns:
        `output`, `entries`, `files` and `board_sha256`.
    """
    board, sheets = make_board(
        Path(submissions),
        ledger=None if ledger is None else Path(ledger),
        suite=suite,
        use_cache=use_cache,
        on_entry=on_entry,
    )
    site.write_site(board, sheets, Path(output))
    return {"output": str(output), **board_check(output)}


def board_check(path: Path | str) -> dict[str, Any]:
    """Check that a page is whole and its table that of its `board.json`."""
    return site.check_site(Path(path))


def board_diff(old: Path | str, new: Path | str) -> list[str]:
    """Return a line for each difference between two boards."""
    return site.differences(site.read_board(Path(old)), site.read_board(Path(new)))
