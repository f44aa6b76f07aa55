"""`board build`: submissions to a board, scored again, whatever they say of themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from program import Call, refused
from tiny_entries import as_control, as_model, forge, set_field
from tiny_submissions import TASKS, board_of, board_rows, edit, folder_of

from introspect_bench.benchmark.errors import MissingPartError
from introspect_bench.leaderboard.site.board import Estimate
from introspect_bench.leaderboard.submissions.entries import entry_sha256, read_entry
from introspect_bench.leaderboard.verification.ledger import Line, append_line


def build(call: Call, *words: str) -> tuple[int, str, str]:
    return call("board", "build", "--suite", "toy", *words)


def test_entries_are_ranked_within_their_access_class(submissions: Path) -> None:
    rows = board_rows(submissions)
    *readers, last = rows
    assert set(readers) == {"constant", "nearest-neighbour"}
    assert last == "unchanged"  # running the target is another thing than reading the query
    assert (rows["unchanged"].kind, rows["unchanged"].access) == ("baseline", "runs-target")
    assert (rows["unchanged"].rank, rows["unchanged"].ties) == ((1, 1), ("a",))
    for name in readers:
        low, high = rows[name].rank or (0, 0)
        assert 1 <= low <= high <= 2
        assert (rows[name].access, rows[name].unranked) == ("words", "")
        assert rows[name].access_basis == "set by the benchmark"
        assert set(rows[name].scores) == set(TASKS)
        assert rows[name].seconds_per_query is not None


def test_an_entry_stands_in_the_widest_class_of_its_runs(submissions: Path) -> None:
    forge(folder_of(submissions, "constant"), edit(access="replays"), name=f"{TASKS[0]}.jsonl")
    row = board_rows(submissions)["constant"]
    assert (row.access, row.rank) == ("replays", (1, 1))
    assert [row.scores[task].access for task in TASKS] == ["replays", "words"]
    assert board_rows(submissions)["nearest-neighbour"].rank == (1, 1)


def test_an_oracle_is_shown_and_not_ranked(submissions: Path) -> None:
    folder = folder_of(submissions, "constant")
    for task in TASKS:
        folder = forge(folder, edit(access="oracle"), name=f"{task}.jsonl")
    rows = board_rows(submissions)
    assert list(rows)[-1] == "constant"
    assert rows["constant"].rank is None
    assert rows["constant"].overall is not None
    assert rows["constant"].unranked == "is told what no contestant has"


def test_the_overall_is_the_mean_of_rescaled_scores(submissions: Path) -> None:
    board = board_of(submissions)
    columns = {column.task: column for column in board.suites[0].columns}
    for row in board.suites[0].rows:
        assert row.overall is not None
        means = []
        for task, column in columns.items():
            assert column.floor is not None
            assert column.ceiling is not None
            headline = row.scores[task].headline
            assert headline is not None
            value = headline.value
            means.append((value - column.floor) / (column.ceiling - column.floor))
            assert row.rescaled[task] == pytest.approx(means[-1])
        assert row.overall.value == pytest.approx(sum(means) / 2)


@pytest.mark.usefixtures("submissions")
def test_scores_from_the_cache_are_the_same_bytes(call: Call, cache: Path) -> None:
    assert build(call, "-o", "never", "--no-cache")[0] == 0
    assert not cache.exists()
    assert build(call, "-o", "cold")[0] == 0
    assert len(list(cache.glob("*.json"))) == 6
    assert build(call, "-o", "warm")[0] == 0
    found = {Path(name, "checksums.sha256").read_bytes() for name in ("never", "cold", "warm")}
    assert len(found) == 1


def test_a_broken_cache_is_made_again(submissions: Path, cache: Path) -> None:
    before = board_of(submissions)
    cached = sorted(cache.glob("*.json"))
    cached[0].write_bytes(cached[0].read_bytes()[:100])
    assert board_of(submissions) == before
    assert sorted(cache.glob("*.json")) == cached
    assert cached[0].stat().st_size > 100


@pytest.mark.usefixtures("submissions")
@pytest.mark.parametrize("number", [b"100.0", b"0.0"])
def test_a_changed_score_in_the_cache_is_computed_again(
    call: Call, cache: Path, number: bytes
) -> None:
    assert build(call, "-o", "before")[0] == 0
    for path in cache.glob("*.json"):
        data = path.read_bytes()
        changed = re.sub(rb'"value":[0-9.]+', b'"value":' + number, data)
        assert changed != data
        path.write_bytes(changed)
    assert build(call, "-o", "after")[0] == 0
    assert Path("after/index.html").read_bytes() == Path("before/index.html").read_bytes()


def test_a_cache_that_cannot_be_written_stops_no_build(
    submissions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = as_control(folder_of(submissions, "constant"))
    as_model(folder_of(submissions, "nearest-neighbour"), vector_use=control.name)
    before = board_of(submissions, use_cache=False)
    assert before.suites[0].worth  # tests are kept too

    def full(*_: object) -> None:
        raise MissingPartError("no disk space left")

    monkeypatch.setattr("introspect_bench.benchmark.files.write_derived", full)
    assert board_of(submissions) == before


@pytest.mark.parametrize("n", [1_000, 2_000])
def test_a_long_reply_is_cut_where_it_is_shown(call: Call, submissions: Path, n: int) -> None:
    def long(rows: list[dict[str, Any]]) -> None:
        rows[1]["raw"] = "x" * n

    forge(folder_of(submissions, "constant"), long, name="input-ablations.jsonl")
    assert build(call)[0] == 0
    shown = "".join(path.read_text() for path in Path("site/q").iterdir())
    assert "x" * 1_000 in shown
    assert ("characters in all" in shown) == (n > 1_000)
    assert n == 1_000 or f" … ({n} characters in all)" in shown


def test_other_replies_are_not_found_in_the_cache(submissions: Path) -> None:
    before = board_rows(submissions)["constant"]

    def silence(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["kind"] == "pred":
                row["raw"] = "?"

    forge(folder_of(submissions, "constant"), silence, name="input-ablations.jsonl")
    after = board_rows(submissions)["constant"]
    assert after.scores["input-ablations"].headline == Estimate(
        value=-1 / 9, low=-1 / 9, high=-1 / 9
    )
    assert after.scores["input-ablations"].unparsed == after.scores["input-ablations"].n
    assert before.scores["input-ablations"].unparsed == 0


def test_an_entry_without_a_task_has_no_overall_and_no_rank(submissions: Path) -> None:
    (folder_of(submissions, "constant") / "input-ablations.jsonl").unlink()
    row = board_rows(submissions)["constant"]
    assert (row.overall, row.rank, row.ties) == (None, None, ())
    assert set(row.scores) == {"activation-patching"}


def test_the_ledger_gives_tiers_and_withdraws(submissions: Path) -> None:
    entry = read_entry(folder_of(submissions, "constant"))
    said: Any = {
        "entry": entry.id,
        "entry_sha256": entry_sha256(entry),
        "by": "ann",
        "date": "2026-01-02",
    }
    ledger = submissions / "ledger.jsonl"
    append_line(
        ledger, Line(event="recheck", reason="A check.", tasks={TASKS[0]: (19, 20)}, **said)
    )
    assert board_rows(submissions)["constant"].tier == 1  # of two tasks one was checked
    append_line(
        ledger, Line(event="recheck", reason="Another.", tasks={TASKS[1]: (20, 20)}, **said)
    )
    row = board_rows(submissions)["constant"]
    assert row.tier == 2
    assert "line 2, 2026-01-02, recheck by ann: Another." in row.tier_note
    assert "20 of 20" in row.tier_note
    append_line(ledger, Line(event="withdraw", reason="Asked to.", **said))
    row = board_rows(submissions)["constant"]
    assert row.withdrawn
    assert row.rank is None
    assert board_rows(submissions)["nearest-neighbour"].rank == (1, 1)


def test_the_gain_from_vectors_is_paired(submissions: Path) -> None:
    control = as_control(folder_of(submissions, "constant")).name
    own = as_model(folder_of(submissions, "nearest-neighbour"), vector_use=control)
    rows = board_rows(submissions)
    gain = rows["nearest-neighbour"].vector_gain
    one, other = rows["nearest-neighbour"].overall, rows["constant"].overall
    assert gain is not None
    assert one is not None
    assert other is not None
    assert gain.value == pytest.approx(one.value - other.value)
    assert gain.low is not None
    assert gain.high is not None
    assert gain.low <= gain.value <= gain.high
    more = edit(settings={"n_train": {TASKS[0]: 4}})
    forge(own, more, name=f"{TASKS[0]}.jsonl")  # who learnt from more is no equal
    assert board_rows(submissions)["nearest-neighbour"].vector_gain is None


def test_declared_base_and_data_reach_the_board(submissions: Path) -> None:
    folder = as_model(folder_of(submissions, "constant"))
    set_field(folder, "n_train", 512)
    board = board_of(submissions)
    row = next(row for row in board.suites[0].rows if row.name == "constant")
    assert (row.base, row.n_train) == ("toy-target", 512)
    assert [(matrix.task, matrix.access) for matrix in board.matrices] == [
        (task, "words") for task in TASKS
    ]
    (cell,) = board.matrices[0].cells
    assert (cell.row, cell.target, cell.is_self) == ("acme/constant", "toy-target", True)


@pytest.mark.usefixtures("submissions")
def test_build_prints_where_and_json_what(call: Call) -> None:
    code, out, err = build(call)
    assert (code, out.strip()) == (0, str(Path("site") / "index.html"))
    assert "scoring runs" in err
    code, out, _ = build(call, "--json")
    made = json.loads(out)
    assert (code, made["entries"], made["output"]) == (0, 3, "site")
    code, out, _ = call("board", "check", "site")
    assert (code, out) == (0, f"{made['files']} files and 3 entries are as they were built\n")
    Path("site/index.html").write_text("<h1>Mine</h1>")
    assert "index.html: sha256 is" in refused(call("board", "check", "site"), 4)


def test_an_empty_folder_is_a_sentence(call: Call, here: Path) -> None:
    (here / "submissions").mkdir()
    assert "holds no entries" in refused(build(call), 2)
    assert build(call, "nowhere")[0] == 2
    assert not Path("site").exists()


def test_what_cannot_be_scored_stops_the_build(call: Call, submissions: Path) -> None:
    folder = folder_of(submissions, "constant")
    run = folder / "input-ablations.jsonl"
    whole = run.read_bytes()
    run.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))  # no footer
    assert build(call)[0] == 5
    run.write_bytes(whole.replace(b'"raw":"', b'"raw":"x', 1))
    assert "body_sha256" in refused(build(call), 4)
    run.write_bytes(whole)

    def boast(rows: list[dict[str, Any]]) -> None:
        rows[-1]["claimed"] = {"exact_match": 0.99}

    forge(folder, boast, name=run.name)
    assert "claims exact_match 0.99" in refused(build(call), 1)
    assert not Path("site").exists()
