"""Questions about training vectors: true, answerable, and at chance for whoever sees no vector."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tiny_reading import PATCHING, make_reading_suite
from tiny_suites import make_suite_folder

from introspect_bench.benchmark.backends.training.dataset import draw_questions
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import SLOT
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.benchmark.task import ReadingQuestion
from introspect_bench.tasks.activation_patching.reading_questions import (
    ASKED,
    CONTINUED,
    reading_questions,
)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return make_reading_suite(tmp_path_factory.mktemp("suites"))


@pytest.fixture(scope="module")
def questions(suite: Suite) -> list[ReadingQuestion]:
    return reading_questions(suite.queries("train"), suite.oracle("train"))


def of(questions: list[ReadingQuestion], kind: str) -> list[ReadingQuestion]:
    return [one for one in questions if one.kind == kind]


def test_a_query_is_asked_each_kind_once_at_most_with_one_slot(
    suite: Suite, questions: list[ReadingQuestion]
) -> None:
    asked = Counter((one.query.id, one.kind) for one in questions)
    assert set(asked.values()) == {1}
    assert {one.kind for one in questions} == {*ASKED, *CONTINUED}
    assert all(one.question.count(SLOT) == 1 for one in questions)
    assert all(one.continued == (one.kind in CONTINUED) for one in questions)
    again = reading_questions(suite.queries("train")[::-1], suite.oracle("train"))
    assert sorted(map(repr, again)) == sorted(map(repr, questions))


def test_replies_are_what_the_oracle_rows_say(
    suite: Suite, questions: list[ReadingQuestion]
) -> None:
    told = suite.oracle("train")
    for one in questions:
        row, (first, last) = told[one.query.id], one.query.fields["layers"]
        right = {
            "token": row["origin"]["token"],
            "subject": row["origin"]["subject"],
            "answer": row["source"],
            "relation": row["origin"]["relation"],
            "layers": f"{first} to {last}",
            "position": str(row["origin"]["position"] + 1),
        }
        name = one.kind.removesuffix("-continued")
        if name in right:
            assert one.reply == right[name]
            told_by_text = one.kind in ("relation", "answer-continued")
            assert told_by_text or right[name] not in one.question.replace(SLOT, "")


def test_nothing_is_asked_that_stands_behind_the_token(questions: list[ReadingQuestion]) -> None:
    knowing = {one.query.kind for one in questions if one.kind in ("subject", "answer")}
    # of "{s} is in the country of", the relation's word stands behind the subject
    assert knowing == {"last-subject", "last", "relation"}
    assert {one.query.kind for one in of(questions, "subject-continued")} == {"last-subject"}
    # the last token is the same in all of a group: its text would tell
    assert "last" not in {one.query.kind for one in of(questions, "token")}


@pytest.mark.parametrize("kind", ["stood", "which"])
def test_a_choice_is_answered_both_ways_for_every_text(
    questions: list[ReadingQuestion], kind: str
) -> None:
    found: dict[tuple[str, str], list[str]] = {}
    for one in of(questions, kind):
        found.setdefault((one.query.group, one.question), []).append(one.reply)
    both = ["no", "yes"] if kind == "stood" else ["A", "B"]
    assert len(found) == 20
    assert all(sorted(replies) == both for replies in found.values())


def test_a_choice_is_true(suite: Suite, questions: list[ReadingQuestion]) -> None:
    told = suite.oracle("train")
    for one in of(questions, "which"):
        lines = dict(line.split(": ", 1) for line in one.question.splitlines()[:2])
        other = "AB".replace(one.reply, "")
        assert lines[one.reply] == told[one.query.id]["origin"]["text"] != lines[other]
    for one in of(questions, "stood"):
        shown = one.question.splitlines()[0].removeprefix("Text: ")
        assert (shown == told[one.query.id]["origin"]["text"]) == (one.reply == "yes")


def test_texts_that_go_on_from_the_vector_show_it_like_a_word(
    questions: list[ReadingQuestion],
) -> None:
    texts = {one.query.kind: one.question for one in of(questions, "answer-continued")}
    assert set(texts) == {"last-subject", "last"}
    assert texts["last-subject"].endswith(f" The capital of {SLOT} is")
    assert texts["last"].startswith("The capital of Peru is Lima")
    assert texts["last"].endswith(f". {SLOT}")
    (word,) = {one.question for one in of(questions, "token-continued")}
    assert word == f"{SLOT} ->"


def test_a_draw_takes_kinds_equally_and_keeps_pairs_together(
    questions: list[ReadingQuestion],
) -> None:
    drawn = draw_questions(questions, 66, seed=3)
    counts = Counter(one.kind for one, _ in drawn)
    assert sum(counts.values()) == 66
    assert min(counts.values()) >= 5
    assert sum(early for _, early in drawn) == pytest.approx(33, abs=len(counts))
    choices = draw_questions(questions, 16, kinds=("which", "stood"), seed=1)
    assert Counter(one.reply for one, _ in choices) == {"A": 4, "B": 4, "yes": 4, "no": 4}
    assert draw_questions(questions, 66, seed=3) == drawn != draw_questions(questions, 66, seed=4)
    few = {(one.query.id, one.kind) for one, _ in draw_questions(questions, 33, seed=3)}
    assert few < {(one.query.id, one.kind) for one, _ in drawn}
    with pytest.raises(UsageError, match="999 questions about vectors: these training queries"):
        draw_questions(questions, 999)
    with pytest.raises(UsageError, match="reading kind 'colour': this suite gives answer, "):
        draw_questions(questions, 3, kinds=("colour",))


def test_a_suite_without_origins_is_refused(tmp_path: Path) -> None:
    folder = make_suite_folder(tmp_path / "toy")
    suite = open_suite(folder / PATCHING / get_task(PATCHING).version)
    with pytest.raises(UsageError, match="does not say where its vectors were read"):
        reading_questions(suite.queries("train"), suite.oracle("train"))
