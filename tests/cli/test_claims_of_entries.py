"""What the page says of claims that nothing shows: each as a whole submission, board and page."""

from __future__ import annotations

from pathlib import Path

from tiny_entries import as_model, forge
from tiny_submissions import TASKS, board_of, edit, folder_of

from introspect_bench.leaderboard.site.render import render
from introspect_bench.leaderboard.submissions.entries import entry_sha256, read_entry
from introspect_bench.leaderboard.verification.ledger import Line, append_line

NO_WEIGHTS = "says that it was made from toy-target, but loaded none of its weight files"


def test_a_base_that_no_weights_show_is_no_self(submissions: Path) -> None:
    as_model(folder_of(submissions, "constant"))
    other = as_model(folder_of(submissions, "nearest-neighbour"), base="another-model")
    false = as_model(folder_of(submissions, "unchanged"))
    for task in TASKS:
        weights = edit(weights_sha256={"x.safetensors": "ef" * 32}, settings={"seed": 5})
        false = forge(false, weights, name=f"{task}.jsonl")
        other = forge(other, edit(settings={"seed": 5}), name=f"{task}.jsonl")
    board = board_of(submissions)
    cells = {cell.row: cell for cell in board.matrices[1].cells}
    assert "acme/unchanged" not in cells  # neither self nor another
    away, own = cells["acme/nearest-neighbour"], cells["acme/constant"]
    assert away.to_self is not None
    assert away.to_self.value == away.score.value - own.score.value
    assert render(board).count(NO_WEIGHTS) == 2  # a mark in the table, a sentence in the entry
    entry = read_entry(false)
    append_line(
        submissions / "ledger.jsonl",
        Line(
            event="rerun",
            entry=entry.id,
            entry_sha256=entry_sha256(entry),
            by="ann",
            reason="Run again.",
            tasks=dict.fromkeys(TASKS, (24, 24)),
        ),
    )
    board = board_of(submissions)
    assert {cell.row: cell for cell in board.matrices[1].cells}["acme/unchanged"].is_self
    assert NO_WEIGHTS not in render(board)
