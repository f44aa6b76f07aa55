"""Reading run files: scores, single queries, tables."""

from __future__ import annotations

import json
from pathlib import Path

from program import (
    PATCHING,
    Call,
    one_run,
    the_sentence,
)

import introspect_bench as ib
from introspect_bench.console import printable


def test_scoring_twice_gives_the_same_bytes(call: Call) -> None:
    run = str(one_run(call))
    first = call("score", run, "--suite", "toy", "--json", "--check")
    assert first[0] == 0
    assert call("score", run, "--suite", "toy", "--json", "--check") == first
    result = json.loads(first[1])["results"][0]
    assert result == ib.score(run, suite="toy")
    assert result["counts"] == {"queries": 12, "scored": 12, "unparsed": 0, "missing": 0}


def test_details_show_kinds_and_layers(call: Call) -> None:
    run = str(one_run(call, task=PATCHING))
    plain = call("score", run, "--suite", "toy")[1]
    detailed = call("score", run, "--suite", "toy", "--details")[1]
    assert detailed.startswith(plain)
    assert "last-subject" in detailed
    assert "06-11" in detailed


def test_a_claimed_number_that_differs_is_exit_1(call: Call) -> None:
    run = one_run(call)
    *body, footer = run.read_text().splitlines(keepends=True)
    claims = json.loads(footer) | {"claimed": {"exact_match": 0.99}}
    run.write_text("".join(body) + json.dumps(claims) + "\n")
    assert call("score", str(run), "--suite", "toy")[0] == 0
    code, _, err = call("score", str(run), "--suite", "toy", "--check")
    assert code == 1
    assert "claims exact_match 0.99" in the_sentence(err)


def test_show_puts_a_query_beside_its_answer(call: Call) -> None:
    run = one_run(call)
    rows = ib.show(str(run), suite="toy")
    assert len(rows) == 12
    code, out, _ = call("show", f"{run}:{rows[3]['id']}", "--suite", "toy")
    assert code == 0
    for value in (rows[3]["id"], rows[3]["truth"], rows[3]["raw"], "[[Someone says"):
        assert str(value) in out
    code, out, _ = call("show", str(run), "--suite", "toy")
    assert out.count("\n") == 13
    code, _, err = call("show", f"{run}:{'0' * 16}", "--suite", "toy")
    assert code == 2
    assert "0" * 16 in the_sentence(err)


def test_show_agrees_with_score(call: Call) -> None:
    run = one_run(call)
    exact = [row["exact"] for row in ib.show(str(run), suite="toy")]
    overall = ib.score(run, suite="toy")["overall"]
    assert sum(exact) / len(exact) == overall["metrics"]["exact_match"]["value"]


def test_printable_keeps_letters_of_every_script() -> None:
    assert printable("Kyōto Москва 東京 é") == "Kyōto Москва 東京 é"
    assert printable("a\x1b\ud800\n") == "a\\x1b\\ud800\\n"
    assert printable("a\nb", keep="\n") == "a\nb"


def test_leaderboard_writes_between_the_markers(call: Call) -> None:
    run = str(one_run(call))
    page = Path("PAGE.md")
    page.write_text("before\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n")
    words = ("leaderboard", "table", run, "--suite", "toy", "--readme", str(page))
    assert call(*words)[0] == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- results:begin -->\n\n### toy")
    assert text.endswith("\n\n<!-- results:end -->\nafter\n")
    assert "\nold\n" not in text
    assert call("leaderboard", "table", run, "--suite", "toy")[1].strip() in text
    assert call(*words)[0] == 0
    assert page.read_text() == text
    page.write_text("no markers")
    code, _, err = call(*words)
    assert code == 4
    assert "results:begin" in the_sentence(err)
    assert page.read_text() == "no markers"
