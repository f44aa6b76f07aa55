"""The leaderboard's page: built from submissions, checked, compared with another.

Owns the way from folders to folders; what a page holds is `leaderboard.site`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import folder as site
from .build import OnEntry, make_board


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

    Args:
        submissions: folder of entries.
        output: folder of the page; a page that is there is replaced.
        ledger: the ledger; `ledger.jsonl` among the submissions if None.
        suite: folder of suites, for suites that are not in the package.
        use_cache: whether scores of the same bytes may come from the user's cache.
        on_entry: told run files scored, and run files in all.

    Returns:
        `output`, `entries`, `files` and `board_sha256`.

    Raises:
        UsageError: there are no entries, or the folder holds something that is no page.
        IntegrityError: an entry, a run or the ledger is broken.
        CheckFailedError: a run is partial, on a draft, or claims another score.
        IncompleteRunError: a run lacks rows.
        MissingPartError: the page can't be written.
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
    """Check that a page is whole and its table that of its `board.json`.

    Raises:
        UsageError: there is no page.
        IntegrityError: a file is missing, changed or not listed.
    """
    return site.check_site(Path(path))


def board_diff(old: Path | str, new: Path | str) -> list[str]:
    """Return a line for each difference between two boards.

    Args:
        old: folder of a page, or a `board.json`.
        new: the other.

    Raises:
        UsageError: one can't be opened.
        IntegrityError: one is no board.
    """
    return site.differences(site.read_board(Path(old)), site.read_board(Path(new)))
