"""What the page says of claims that nothing shows: each as a whole submission, board and page."""

from __future__ import annotations

import shutil
from pathlib import Path

from program import Call
from tiny_entries import as_control, as_model, forge, set_field
from tiny_submissions import TASKS, board_of, edit, folder_of, rows_of

from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.select import find_suite
from introspect_bench.leaderboard.site.render import render
from introspect_bench.leaderboard.submissions.entries import entry_sha256, read_entry
from introspect_bench.leaderboard.submissions.suspicion import suspicion
from introspect_bench.leaderboard.verification.ledger import Line, append_line

NO_WEIGHTS = "says that it was made from toy-target, but loaded none of its weight files"


def test_a_base_that_no_weights_show_is_no_self(submissions: Path, call: Call) -> None:
    as_model(folder_of(submissions, "constant"))
    other = as_model(folder_of(submissions, "nearest-neighbour"), base="another-model")
    false = as_model(folder_of(submissions, "unchanged"))
    for task in TASKS:
        weights = edit(weights_sha256={"x.safetensors": "ef" * 32}, settings={"seed": 5})
        false = forge(false, weights, name=f"{task}.jsonl")
        other = forge(other, edit(settings={"seed": 5}), name=f"{task}.jsonl")
    assert call("validate", str(false), "--suite", "toy")[0] == 0
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


def test_above_the_best_oracle_warns_whatever_the_class() -> None:
    suite = find_suite("smollm2-135m", "feature-descriptions")
    task = get_task("feature-descriptions")
    for access, value, warned in (
        ("words", 0.6, True),
        ("words", 0.5, False),
        ("words", 0.98, True),
        ("replays", 0.98, True),
        ("oracle", 0.98, False),
    ):
        said = suspicion(value, access, task, suite, "test")
        assert (said is not None) is warned
        assert value < 0.9 or said is None or "above the best oracle" in said


def test_a_control_that_is_no_control_is_refused_and_compared_with_nobody(
    submissions: Path, call: Call
) -> None:
    control = as_control(folder_of(submissions, "constant"))
    own = folder_of(submissions, "nearest-neighbour")
    own = Path(shutil.move(own, own.with_name(own.name.replace("nearest-neighbour", "seeing"))))
    own = as_model(own, vector_use=control.name, name="seeing")
    assert call("validate", str(own), "--suite", "toy")[0] == 0
    assert rows_of(submissions)["seeing"].vector_gain is not None
    foreign = control.with_name(control.name.replace("acme", "globex"))
    set_field(Path(shutil.copytree(control, foreign)), "org", "globex")
    seeing = as_model(folder_of(submissions, "unchanged"))
    more = edit(no_vector=True, weights_sha256={"y": "ef" * 32}, settings={"dtype": "float16"})
    other = Path(shutil.copytree(seeing, seeing.with_name("acme__z__00000000")))
    other = forge(other, more, name=f"{TASKS[0]}.jsonl")
    for named, said in (
        (foreign, "is of globex, not of acme"),
        (seeing, "was run with vectors"),
        (other, "has other weights and another recipe"),
    ):
        set_field(own, "vector_use", named.name)
        code, out, err = call("validate", str(own), "--suite", "toy")
        assert code == 1
        assert f"which {said}" in out + err
        board = board_of(submissions)
        row = next(row for row in board.suites[0].rows if row.id == own.name)
        assert row.vector_gain is None
        assert f"which {said}" in render(board)
