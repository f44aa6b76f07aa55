"""Reading run files: scores, single queries, tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from program import ABLATIONS, PATCHING, Call, one_run, refused, succeeded, the_sentence
from tiny_entries import rows_of, write_rows

import introspect_bench as ib
from introspect_bench.benchmark._version import METRIC_VERSION, PROMPT_VERSION
from introspect_bench.benchmark.errors import CheckFailedError, UsageError
from introspect_bench.console import printable


def test_scoring_twice_gives_the_same_bytes(call: Call) -> None:
    run = str(one_run(call))
    first = call("score", run, "--suite", "toy", "--json", "--check")
    assert first[0] == 0
    assert call("score", run, "--suite", "toy", "--json", "--check") == first
    result = json.loads(first[1])["results"][0]
    assert result == ib.score(run, suite="toy")
    counts = {"queries": 15, "scored": 15, "unparsed": 0, "missing": 0}
    assert result["counts"] == counts
    versions = (result["metric_version"], result["prompt_version"])
    assert versions == (METRIC_VERSION, PROMPT_VERSION)


def test_details_show_kinds_and_layers(call: Call) -> None:
    run = str(one_run(call, task=PATCHING))
    plain = call("score", run, "--suite", "toy")[1]
    detailed = call("score", run, "--suite", "toy", "--details")[1]
    assert detailed.startswith(plain)
    assert "last-subject" in detailed
    assert "06-11" in detailed


def test_a_claimed_number_that_differs_is_exit_1(call: Call) -> None:
    run = one_run(call)
    *rows, footer = rows_of(run)
    write_rows(run, [*rows, footer | {"claimed": {"exact_match": 0.99}}])
    assert call("score", str(run), "--suite", "toy")[0] == 0
    assert "claims exact_match 0.99" in refused(
        call("score", str(run), "--suite", "toy", "--check"), 1
    )


def test_show_puts_a_query_beside_its_answer(call: Call) -> None:
    run = one_run(call)
    rows = ib.show(str(run), suite="toy")
    assert len(rows) == 15
    out = succeeded(call("show", f"{run}:{rows[3]['id']}", "--suite", "toy"))
    for value in (rows[3]["id"], rows[3]["truth"], rows[3]["raw"], "[[Someone says"):
        assert str(value) in out
    out = succeeded(call("show", str(run), "--suite", "toy"))
    assert out.count("\n") == 16
    assert "0" * 16 in refused(call("show", f"{run}:{'0' * 16}", "--suite", "toy"), 2)


def test_show_agrees_with_score(call: Call) -> None:
    run = one_run(call)
    rows = ib.show(str(run), suite="toy")
    metrics = ib.score(run, suite="toy")["overall"]["metrics"]
    which = [row["exact"] for row in rows if row["kind"] == "which"]
    same = [row["exact"] for row in rows if not row["changed"]]
    assert sum(which) / len(which) == metrics["which_accuracy"]["value"]
    assert sum(same) / len(same) == metrics["exact_match_unchanged"]["value"]


def test_printable_keeps_letters_of_every_script() -> None:
    assert printable("Kyōto Москва 東京 é") == "Kyōto Москва 東京 é"
    assert printable("a\x1b\ud800\n") == "a\\x1b\\ud800\\n"
    assert printable("a\nb", keep="\n") == "a\nb"


def test_leaderboard_writes_between_the_markers(call: Call) -> None:
    run = str(one_run(call))
    page = Path("PAGE.md")
    page.write_text("before\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n")
    words = ("score", "--markdown", run, "--suite", "toy", "--readme", str(page))
    assert call(*words)[0] == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- results:begin -->\n\n### toy")
    assert text.endswith("\n\n<!-- results:end -->\nafter\n")
    assert "\nold\n" not in text
    assert call("score", "--markdown", run, "--suite", "toy")[1].strip() in text
    assert call(*words)[0] == 0
    assert page.read_text() == text
    page.write_text("no markers")
    assert "results:begin" in refused(call(*words), 4)
    assert page.read_text() == "no markers"


def easy_queries() -> str:
    """The queries that `baseline/constant` gets right, as the option takes them."""
    rows = ib.show(f"runs/baseline-constant.toy.{ABLATIONS}.test.jsonl", suite="toy")
    return ",".join(row["id"] for row in rows if row["exact"])


def test_a_chosen_part_cannot_be_submitted_and_ranks_last(call: Call) -> None:
    whole = one_run(call)
    part = one_run(call, "--queries", easy_queries(), out="part")
    code, out, err = call("score", str(part), "--suite", "toy", "--check")
    assert code == 1
    assert "100.0" in out
    assert "a partial run cannot be submitted" in the_sentence(err)
    code, out, _ = call("score", "--markdown", str(part), str(whole), "--suite", "toy")
    rows = [line for line in out.splitlines() if line.startswith("| baseline")]
    assert [row.split(" | ")[0] for row in rows] == [
        "| baseline/constant",
        r"| baseline/constant \*",
    ]


def test_validate_says_what_cannot_be_submitted(call: Call) -> None:
    whole = one_run(call)
    part = one_run(call, "--limit", "3", out="part")
    code, out, err = call("validate", str(whole), str(part))
    assert (code, err) == (0, "")
    assert "ok (partial)" in out
    assert out.splitlines()[-1].startswith(f"{part}: a partial run cannot be submitted: it answers")
    rows = json.loads(call("validate", str(whole), str(part), "--json")[1])["runs"]
    assert [row["cannot_submit"] is None for row in rows] == [True, False]
    assert call("validate", "--strict", str(whole))[0] == 0
    assert f"{part}: a partial run cannot be submitted" in refused(
        call("validate", "--strict", str(whole), str(part)), 1, out=""
    )
    with pytest.raises(CheckFailedError):
        ib.validate(part, strict=True)


def test_an_incomplete_run_is_exit_5_for_submission(call: Call) -> None:
    run = one_run(call)
    run.write_text("".join(run.read_text().splitlines(keepends=True)[:-3]))
    assert "ok so far (incomplete)" in call("validate", str(run))[1]
    for words in (("validate", "--strict"), ("score", "--check", "--suite", "toy")):
        assert "2 of 15 queries have no row" in refused(call(*words, str(run)), 5)


@pytest.mark.parametrize("words", [("score",), ("score", "--markdown")], ids=" ".join)
def test_a_run_given_twice_never_makes_two_rows(call: Call, words: tuple[str, ...]) -> None:
    run = one_run(call)
    copy = shutil.copy(run, "copy.jsonl")
    for other in (str(run), f"./{run}", copy):
        assert "hold the same run" in refused(
            call(*words, str(run), other, "--suite", "toy"), 2, out=""
        )
    with pytest.raises(UsageError, match="hold the same run"):
        ib.score_table([run, run], suite="toy")


def test_a_page_that_is_not_text_is_left_alone(call: Call) -> None:
    page = Path("PAGE.md")
    page.write_bytes(b"\xff<!-- results:begin --><!-- results:end -->")
    words = ("score", "--markdown", str(one_run(call)), "--suite", "toy", "--readme", str(page))
    assert "PAGE.md: not UTF-8 at byte 0" in refused(call(*words), 4)
    assert page.read_bytes()[:1] == b"\xff"


SURE = """
from introspect_bench.benchmark.records import Completion
class Sure:
    def complete(self, prompts):
        return [Completion(text="changed: Rome", confidence=0.25) for _ in prompts]
"""


def test_confidence_is_scored_and_shown_and_ranks_nothing(call: Call, here: Path) -> None:
    (here / "sure.py").write_text(SURE)
    run = one_run(call, "--no-score", model="py:sure:Sure", task=PATCHING)
    result = json.loads(call("score", str(run), "--suite", "toy", "--json")[1])["results"][0]
    assert result["confidence"]["confidence"]["mean"] == 0.25
    assert result["confidence"]["confidence"]["n"] == result["overall"]["n"]
    assert "confidence" not in result["metrics"]
    rows = ib.show(str(run), suite="toy")
    assert {row["confidence"] for row in rows} == {0.25}
