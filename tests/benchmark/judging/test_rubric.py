"""Judging: what reaches a judge, what counts as its reply, and what is kept."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from program import python
from tiny_judges import ATTACKS, compared, rated

from introspect_bench.benchmark.errors import CheckFailedError, IntegrityError, UsageError
from introspect_bench.benchmark.judging import rubric as judging
from introspect_bench.benchmark.judging.rubric import (
    ANSWER_CHARS,
    INSTRUCTIONS,
    Comparison,
    Message,
    judge_answers,
    judge_messages,
    judge_sha256,
    parse_rating,
    prompt_sha256,
)


class Scripted:
    """A judge whose reply is a function of the answer it reads; remembers what it was asked."""

    name = "scripted"

    def __init__(self, reply: Callable[[str], str], **settings: Any) -> None:
        self.reply = reply
        self.asked: list[str] = []
        self.settings: Mapping[str, Any] = settings

    def replies(self, conversations: Sequence[Sequence[Message]]) -> Iterator[tuple[int, str]]:
        for index in reversed(range(len(conversations))):
            answer = json.loads(conversations[index][1]["content"])["answer"]
            self.asked.append(answer)
            yield index, self.reply(answer)


def test_the_prompt_is_the_one_of_its_version() -> None:
    assert prompt_sha256() == judging.PROMPT_SHA256, "a new prompt needs a new PROMPT_VERSION"


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_arrives_inside_one_string(attack: str) -> None:
    system, user = judge_messages(attack, ["fine", attack])
    assert system == {"role": "system", "content": INSTRUCTIONS}
    content = user["content"]
    assert json.loads(content) == {"answer": attack, "references": ["fine", attack]}
    assert content.isascii()
    assert content.isprintable()
    # brackets are those of our one list; nothing that a special token is written with is left
    assert not set("<>|`&") & set(content)
    assert (content.count("["), content.count("]")) == (1, 1)


def test_texts_are_cut() -> None:
    long = "ab" * ANSWER_CHARS
    data = json.loads(judge_messages(long, [long] * 50)[1]["content"])
    assert data == {
        "answer": long[:ANSWER_CHARS],
        "references": [long[:ANSWER_CHARS]] * judging.MAX_REFERENCES,
    }


def test_a_judgement_needs_a_reference() -> None:
    with pytest.raises(UsageError, match="at least one reference"):
        judge_messages("a", [])


@pytest.mark.parametrize("rating", [1, 2, 3, 4, 5])
def test_a_rating_is_read(rating: int) -> None:
    assert parse_rating(rated(rating)) == rating
    assert parse_rating(f' {{"rating":\n{rating}}}\n') == rating
    assert parse_rating(f'```json\n{{"rating": {rating}}}\n```') == rating
    assert parse_rating(f'\n~~~~ {{"rating": {rating}}} ~~~~\n') == rating


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "5",
        '"5"',
        "Rating: 5",
        '```json\n{"rating": 5}\n``` because',
        '```json\n{"rating": 5}\n```\n```json\n{"rating": 4}\n```',
        "```\n5\n```",
        '```json\n{"rating": 5}',
        '{"rating": 5} because',
        '{"rating": 5}{"rating": 5}',
        '{"rating": 1, "rating": 5}',
        '{"rating": 5, "why": "same"}',
        '{"Rating": 5}',
        '[{"rating": 5}]',
        "{}",
        "\ud800",
        *(rated(value) for value in (0, 6, 5.0, 4.5, "5", True, None, [5], 10**30)),
        '{"rating": NaN}',
    ],
)
def test_anything_else_is_malformed(raw: str) -> None:
    assert parse_rating(raw) is None


def test_rows_are_in_order_and_say_who_judged(tmp_path: Path) -> None:
    judge = Scripted(lambda answer: rated(len(answer)))
    rows = judge_answers(judge, compared("aaa", "a", "aaaaa"), cache=tmp_path)
    assert [(row["qid"], row["text"], row["value"]) for row in rows] == [
        ("0" * 16, "aaa", 0.5),
        ("0" * 15 + "1", "a", 0.0),
        ("0" * 15 + "2", "aaaaa", 1.0),
    ]
    assert rows[0] == {
        "kind": "judgement",
        "qid": "0" * 16,
        "judge": f"judge/scripted@{judge_sha256(judge)[:12]}",
        "text": "aaa",
        "raw": '{"rating": 3}',
        "value": 0.5,
        "status": "ok",
    }


def test_an_empty_answer_is_not_sent_and_gets_no_rating(tmp_path: Path) -> None:
    judge = Scripted(lambda _: rated(5))
    rows = judge_answers(judge, compared("", " \n", "a"), cache=tmp_path)
    assert [(row["value"], row["raw"], row["status"]) for row in rows] == [
        (None, None, "empty"),
        (None, None, "empty"),
        (1.0, rated(5), "ok"),
    ]
    assert judge.asked == ["a"]


def test_what_was_asked_is_not_asked_again(tmp_path: Path) -> None:
    judge = Scripted(lambda answer: rated(len(answer)))
    first = judge_answers(judge, compared("aa", "aa", "aaa"), cache=tmp_path)
    assert sorted(judge.asked) == ["aa", "aaa"]
    again = Scripted(lambda _: rated(1))
    assert judge_answers(again, compared("aa", "aa", "aaa"), cache=tmp_path) == first
    assert again.asked == []


@pytest.mark.parametrize("change", ["settings", "name", "prompt", "answer", "references"])
def test_a_change_of_anything_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    judge_answers(Scripted(lambda _: rated(1)), compared("aa"), cache=tmp_path)
    judge = Scripted(lambda _: rated(1))
    comparison = compared("aa")[0]
    if change == "settings":
        judge.settings = {"temperature": 1}
    elif change == "name":
        judge.name = "another"
    elif change == "prompt":
        monkeypatch.setattr(judging, "PROMPT_SHA256", "0" * 64)
    elif change == "answer":
        comparison = compared("aaa")[0]
    else:
        comparison = Comparison(qid="0" * 16, answer="aa", references=("a's", "the word 'a'"))
    judge_answers(judge, [comparison], cache=tmp_path)
    assert len(judge.asked) == 1


def test_replies_are_kept_as_they_come(tmp_path: Path) -> None:
    """A call that dies half way has lost nothing that arrived."""

    def dies(answer: str) -> str:
        if answer == "a":
            raise KeyboardInterrupt
        return rated(2)

    with pytest.raises(KeyboardInterrupt):
        judge_answers(Scripted(dies), compared("a", "aa", "aaa"), cache=tmp_path)
    judge = Scripted(lambda _: rated(2))
    judge_answers(judge, compared("a", "aa", "aaa"), cache=tmp_path)
    assert judge.asked == ["a"]


KILLED = """
import os, signal, sys
from pathlib import Path
from introspect_bench.benchmark.judging.rubric import Comparison, judge_answers

class Dies:
    name, settings = "scripted", {}
    def replies(self, conversations):
        yield 2, '{"rating": 4}'
        yield 0, '{"rating": 4}'
        os.kill(os.getpid(), signal.SIGKILL)

compared = [Comparison(qid=f"{n:016x}", answer="a" * (n + 1), references=("the word 'a'", "a's"))
            for n in range(3)]
judge_answers(Dies(), compared, cache=Path(sys.argv[1]))
"""


def test_a_killed_process_goes_on_where_it_was(tmp_path: Path) -> None:
    done = python("-c", KILLED, str(tmp_path))
    assert done.returncode == -signal.SIGKILL, done.stderr
    judge = Scripted(lambda _: rated(2))
    rows = judge_answers(judge, compared("a", "aa", "aaa"), cache=tmp_path)
    assert judge.asked == ["aa"]
    assert [row["value"] for row in rows] == [0.75, 0.25, 0.75]


def test_a_few_malformed_replies_are_kept_and_have_no_value(tmp_path: Path) -> None:
    answers = [f"answer {n}" for n in range(50)]
    judge = Scripted(lambda answer: "I rate it 5" if answer == "answer 7" else rated(5))
    rows = judge_answers(judge, compared(*answers), cache=tmp_path)
    assert [row["status"] for row in rows].count("malformed") == 1
    assert (rows[7]["raw"], rows[7]["value"]) == ("I rate it 5", None)


def test_too_many_malformed_replies_fail_and_stop_the_asking(tmp_path: Path) -> None:
    judge = Scripted(lambda _: "five")
    with pytest.raises(CheckFailedError, match=r"2 of 50 replies are malformed, more than 2%"):
        judge_answers(judge, compared(*(f"answer {n}" for n in range(50))), cache=tmp_path)
    assert len(judge.asked) == 2
    with pytest.raises(CheckFailedError, match="2 of 50"):
        judge_answers(judge, compared(*(f"answer {n}" for n in range(50))), cache=tmp_path)
    assert len(judge.asked) == 4  # a failure is asked again
    mended = Scripted(lambda _: rated(3))
    rows = judge_answers(mended, compared(*(f"answer {n}" for n in range(50))), cache=tmp_path)
    assert {row["value"] for row in rows} == {0.5}
    assert len(mended.asked) == 50


def test_an_endless_reply_is_cut_and_malformed(tmp_path: Path) -> None:
    answers = [f"answer {n}" for n in range(50)]
    judge = Scripted(lambda answer: " " * 3_000 * (answer == "answer 7") + rated(5))
    rows = judge_answers(judge, compared(*answers), cache=tmp_path)
    assert (len(rows[7]["raw"]), rows[7]["status"]) == (judging.RAW_CHARS, "malformed")


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: stored | {"raw": 5},
        lambda stored: stored | {"schema": "other"},
        lambda stored: stored | {"question": stored["question"] | {"model": "other"}},
    ],
)
def test_a_reply_of_another_question_is_refused(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object]
) -> None:
    judge_answers(Scripted(lambda _: rated(5)), compared("a"), cache=tmp_path)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(IntegrityError, match="not the reply its name stands for"):
        judge_answers(Scripted(lambda _: rated(5)), compared("a"), cache=tmp_path)
