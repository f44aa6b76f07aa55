"""A page that was half built, and a board that is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_boards import make_board

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.leaderboard.site.folder import board_check, board_diff, write_site


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_build_that_is_killed_between_two_renames_loses_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site"
    write_site(make_board(6), (), folder)
    before, move = files_of(folder), Path.rename

    def stopped(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise KeyboardInterrupt
        return move(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_site(make_board(4), (), folder)
    assert files_of(folder) == before
    folder.rename(tmp_path / ".site.old")  # what a kill leaves, which nothing can clean up
    (tmp_path / "site").write_text("mine")
    with pytest.raises(UsageError):
        write_site(make_board(4), (), folder)
    (tmp_path / "site").unlink()
    write_site(make_board(4), (), folder)
    assert board_check(folder)["entries"] == 8
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("suites", [[5], [{}], [{"name": "a", "columns": [], "rows": 5}]])
def test_a_board_of_another_form_is_refused(tmp_path: Path, suites: object) -> None:
    path = tmp_path / "board.json"
    path.write_text(json.dumps({"schema": "introspect-bench/board/1", "suites": suites}))
    with pytest.raises(IntegrityError, match="not a board"):
        board_diff(path, path)
