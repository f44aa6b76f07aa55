"""Entries of the toy suite in a folder, their board, and edits of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from introspect_bench.leaderboard.site.board import Board, Row
from introspect_bench.leaderboard.site.build import make_board

TASKS = ("activation-patching", "input-ablations")


def folder_of(root: Path, name: str) -> Path:
    (found,) = (root / "toy").glob(f"acme__{name}__*")
    return found


def board_of(root: Path, **more: Any) -> Board:
    return make_board(root, suite="toy", **more)[0]


def rows_of(root: Path, **more: Any) -> dict[str, Row]:
    return {row.name: row for row in board_of(root, **more).suites[0].rows}


def edit(**changes: Any) -> Any:
    """An edit of a run's header: fields of its explainer, and its access class."""

    def changed(rows: list[dict[str, Any]]) -> None:
        said = dict(changes)
        rows[0]["access"] = said.pop("access", rows[0]["access"])
        rows[0]["explainer"]["settings"] |= said.pop("settings", {})
        rows[0]["explainer"] |= said

    return changed
