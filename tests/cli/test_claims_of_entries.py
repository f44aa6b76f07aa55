"""Claims that nothing shows, and the privileged-access matrix: who is an equal of whom."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from program import Call
from tiny_entries import as_control, as_model, forge, rows_of, set_field
from tiny_submissions import TASKS, board_of, board_rows, edit, folder_of

import introspect_bench as ib
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.select import find_suite
from introspect_bench.leaderboard.site.board import Access
from introspect_bench.leaderboard.site.build import make_board
from introspect_bench.leaderboard.site.figures import signed
from introspect_bench.leaderboard.site.render import render
from introspect_bench.leaderboard.submissions.entries import entry_sha256, read_entry
from introspect_bench.leaderboard.submissions.validate import suspicion
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
        said = suspicion(value, access, task, suite)
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
    assert board_rows(submissions)["seeing"].vector_gain is not None
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


def cells_of(root: Path, task: str = TASKS[0], access: str = "words") -> dict[str, Access]:
    """Cells of a matrix by row."""
    found = [one for one in board_of(root).matrices if (one.task, one.access) == (task, access)]
    return {cell.row: cell for one in found for cell in one.cells}


def test_the_matrix_compares_equals_on_the_same_queries(submissions: Path) -> None:
    as_model(folder_of(submissions, "constant"))
    as_model(folder_of(submissions, "nearest-neighbour"), base="another-model")
    cells = cells_of(submissions, TASKS[1])
    own, other = cells["acme/constant"], cells["acme/nearest-neighbour"]
    assert (own.to_self, own.p) == (None, None)
    assert other.to_self is not None
    assert other.to_self.value == pytest.approx(other.score.value - own.score.value)
    assert other.p is not None
    assert 0 < other.p <= 1


@pytest.mark.parametrize(
    "changes",
    [
        {"access": "replays"},
        {"settings": {"decoding": "whole-reply"}},
        {"settings": {"n_train": {TASKS[0]: 4}}},
        {"settings": {"injection": {"mode": "embedding", "slots": 3}}},
        {"settings": {"prompt_form": "chat"}},
        {"shots": 2},
        {"kind": "baseline", "name": "baseline/few-shot"},
    ],
)
def test_without_an_equal_among_the_selves_the_cell_is_empty(
    submissions: Path, changes: dict[str, Any]
) -> None:
    as_model(folder_of(submissions, "constant"))
    folder = as_model(folder_of(submissions, "nearest-neighbour"), base="another-model")
    forge(folder, edit(**changes), name=f"{TASKS[0]}.jsonl")
    access = changes.get("access", "words")
    assert cells_of(submissions, access=access)["acme/nearest-neighbour"].to_self is None
    assert cells_of(submissions, TASKS[1])["acme/nearest-neighbour"].to_self is not None


def test_seed_base_and_learning_rate_are_no_part_of_a_recipe(submissions: Path) -> None:
    as_model(folder_of(submissions, "constant"))
    folder = as_model(folder_of(submissions, "nearest-neighbour"), base="another-model")
    other = {"seed": 3, "learning_rate": 1e-3, "validation_loss": 1.5, "engine": "hooks"}
    forge(folder, edit(settings=other), name=f"{TASKS[0]}.jsonl")
    assert cells_of(submissions)["acme/nearest-neighbour"].to_self is not None


@pytest.mark.parametrize(
    ("vllm", "same"),
    [({"version": "1"}, True), ({"version": "1", "quantization": "fp8"}, False), ("fp8", False)],
)
def test_vllm_s_version_is_no_part_of_a_recipe_but_how_it_packs_weights_is(
    submissions: Path, vllm: object, same: bool
) -> None:
    as_model(folder_of(submissions, "constant"))
    folder = as_model(folder_of(submissions, "nearest-neighbour"), base="another-model")
    other = edit(settings={"engine": "vllm", "vllm": vllm})
    forge(folder, other, name=f"{TASKS[0]}.jsonl")
    found = cells_of(submissions)["acme/nearest-neighbour"].to_self
    assert (found is not None) == same


def test_thresholds_of_verdicts_are_no_part_of_a_recipe_but_having_one_is(
    submissions: Path,
) -> None:
    own = as_model(folder_of(submissions, "constant"))
    folder = as_model(folder_of(submissions, "nearest-neighbour"), base="another-model")
    other = edit(settings={"verdict_thresholds": {TASKS[0]: 0.5}})
    folder = forge(folder, other, name=f"{TASKS[0]}.jsonl")
    assert cells_of(submissions)["acme/nearest-neighbour"].to_self is None
    forge(own, edit(settings={"verdict_thresholds": {TASKS[0]: -1}}), name=f"{TASKS[0]}.jsonl")
    assert cells_of(submissions)["acme/nearest-neighbour"].to_self is not None


def test_of_several_selves_the_one_of_the_same_seed_is_the_partner(submissions: Path) -> None:
    """And not the best one."""
    better = rows_of(folder_of(submissions, "nearest-neighbour") / f"{TASKS[0]}.jsonl")
    replies = {row["qid"]: row["raw"] for row in better if row["kind"] == "pred"}

    def improved(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["kind"] == "pred":
                row["raw"] = replies[row["qid"]]

    forge(folder_of(submissions, "unchanged"), improved, name=f"{TASKS[0]}.jsonl")
    selves = [folder_of(submissions, name) for name in ("constant", "unchanged")]
    for seed, folder in enumerate(selves):
        forge(as_model(folder), edit(settings={"seed": seed}), name=f"{TASKS[0]}.jsonl")
    other = as_model(folder_of(submissions, "nearest-neighbour"), base="another-model")
    away = []
    for seed in (0, 1):
        other = forge(other, edit(settings={"seed": seed}), name=f"{TASKS[0]}.jsonl")
        cells = cells_of(submissions)
        own = cells[f"acme/{('constant', 'unchanged')[seed]}"].score.value
        found = cells["acme/nearest-neighbour"]
        assert found.to_self is not None
        assert found.to_self.value == pytest.approx(found.score.value - own)
        away.append(found.to_self.value)
    assert away[0] != away[1]


def test_a_reply_compared_with_itself_is_set_against_nobody(submissions: Path) -> None:
    """Without vectors it can never say `changed`: the difference holds by construction."""
    control = as_model(folder_of(submissions, "constant"))
    blind = edit(no_vector=True, settings={"decoding": "compared", "vectors": False})
    forge(control, blind, name=f"{TASKS[0]}.jsonl")
    (control,) = (submissions / "toy").glob("acme__constant__*")
    folder = as_model(folder_of(submissions, "nearest-neighbour"), vector_use=control.name)
    forge(folder, edit(settings={"decoding": "compared"}), name=f"{TASKS[0]}.jsonl")
    page = ib.board_report(submissions, suite="toy")
    use = page.partition("## What the vectors are worth\n")[2].partition("\n## ")[0]
    metrics = {row.split(" | ")[1] for row in use.splitlines() if row.startswith(f"| {TASKS[0]} |")}
    assert metrics == {"content, changed"}


def test_a_twin_is_no_self_and_shuffled_vectors_are_no_answer(submissions: Path) -> None:
    twin = edit(settings={"twin": {"kind": "rotated", "seed": 0}})
    changes = {"nearest-neighbour": twin, "unchanged": edit(shuffled_vectors=True)}
    as_model(folder_of(submissions, "constant"))
    for name, change in changes.items():
        forge(as_model(folder_of(submissions, name)), change, name=f"{TASKS[0]}.jsonl")
    board = board_of(submissions)
    cells = {cell.row: cell for cell in board.matrices[0].cells}
    assert set(cells) == {"acme/constant", "acme/nearest-neighbour"}
    assert cells["acme/constant"].is_self
    assert not cells["acme/nearest-neighbour"].is_self
    assert cells["acme/nearest-neighbour"].to_self is not None
    rows = {row.name: row for row in board.suites[0].rows}
    assert [rows[name].uses_vectors for name in ("constant", "unchanged")] == [True, False]


def test_the_page_says_of_vectors_and_differences_what_report_and_compare_say(
    submissions: Path,
) -> None:
    control = as_model(folder_of(submissions, "constant"))
    for name in TASKS:
        control = forge(control, edit(no_vector=True), name=f"{name}.jsonl")
    own = as_model(folder_of(submissions, "nearest-neighbour"), vector_use=control.name)
    board, sheets = make_board(submissions, suite="toy")
    page = ib.board_report(submissions, suite="toy").partition("## What the vectors are worth\n")[2]
    use = page.partition("\n## ")[0]
    lines = [line for line in use.splitlines() if "| no vectors |" in line]
    worth = [one for one in board.suites[0].worth if one.entry == own.name]
    assert len(worth) == len(lines) > 0
    for one, line in zip(worth, lines, strict=True):
        assert one.control == control.name
        assert line.split(" | ")[6] == ("< 0.001" if one.p < 0.001 else f"{one.p:.3f}")
    (sheet,) = (one for one in sheets if one.key == f"toy-{TASKS[0]}")
    ids = [id for id, _ in sheet.entries]
    i, j = sorted(ids.index(folder.name) for folder in (own, control))
    runs = [submissions / "toy" / ids[place] / f"{TASKS[0]}.jsonl" for place in (i, j)]
    (task,) = ib.compare(runs, suite="toy")["tasks"]
    (pair,) = task["pairs"]
    value, low, high = (
        signed(task["metric"], end) for end in (pair["difference"], *pair["interval_95"])
    )
    place = sheet.metrics.index(task["metric"])
    assert sheet.differences[f"{i}-{j}"][place] == f"{value} [{low}, {high}]"
    others = {ids.index(folder_of(submissions, "unchanged").name)}  # of another access class
    assert not any(others & set(map(int, name.split("-"))) for name in sheet.differences)
