"""Entries of the toy suite in a folder, their board, and edits of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from scratch_git import QUIET

from introspect_bench.leaderboard.site.board import Board, Row
from introspect_bench.leaderboard.site.build import make_board
from introspect_bench.leaderboard.submissions.entries import entry_sha256, read_entry
from introspect_bench.leaderboard.verification.ledger import read_ledger, standing

TASKS = ("activation-patching", "input-ablations")


def folder_of(root: Path, name: str) -> Path:
    (found,) = (root / "toy").glob(f"acme__{name}__*")
    return found


def commit_all(root: Path) -> None:
    """Commit all that lies in a folder; the one around it becomes a repository."""
    for words in (("init", "-q"), ("add", "-A", root.name), ("commit", "-q", "-m", "x")):
        command = ["git", "-C", str(root.parent), *words]
        subprocess.run(command, check=True, env={**os.environ, **QUIET})


def board_of(root: Path, **more: Any) -> Board:
    return make_board(root, suite="toy", **more)[0]


def board_rows(root: Path, **more: Any) -> dict[str, Row]:
    return {row.name: row for row in board_of(root, **more).suites[0].rows}


def tier_of(folder: Path, *tasks: str) -> int:
    """The tier that the ledger beside an entry's suite gives it."""
    entry = read_entry(folder)
    lines = read_ledger(folder.parents[1] / "ledger.jsonl")
    return standing(lines, entry.id, entry_sha256(entry), tasks).tier


def edit(**changes: Any) -> Any:
    """An edit of a run's header: fields of its explainer, and its access class."""

    def changed(rows: list[dict[str, Any]]) -> None:
        said = dict(changes)
        rows[0]["access"] = said.pop("access", rows[0]["access"])
        rows[0]["explainer"]["settings"] |= said.pop("settings", {})
        rows[0]["explainer"] |= said

    return changed
