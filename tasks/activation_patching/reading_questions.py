"""Cheap true questions about training vectors, by which an explainer can be taught to read one.

Made of training queries and their oracle rows, which say where each vector was read; no other split
is ever opened for them. Nothing is asked that the vector cannot hold: not the subject, nor the
source's answer, if the token stands before the subject. In the two choices the text alone is at
chance exactly: every text is asked about with two vectors of its contrast group, and the right
answers are opposite.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.errors import UsageError
from ...benchmark.records import SLOT, Query
from ...benchmark.task import ReadingQuestion
from ..facts.facts import BY_RELATION
from ..templates import render_file

READING = Path(__file__).parent / "prompts" / "reading"  # folder of the questions' templates
ORIGIN = ("text", "position", "token", "subject", "relation")
"""What an oracle row says of where a vector was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A training query and where its vector was read."""

    query: Query
    answer: str  # what the target writes after the text that the vector was read in
    text: str
    position: int  # 0-based index of the token in it
    token: str
    subject: str  # whom or what the text asks about
    relation: str  # name of the relation it asks for

    @property
    def layers(self) -> dict[str, int]:
        """First and last layer of the block it is a mean of."""
        first, last = self.query.fields["layers"]
        return {"first": first, "last": last}

    @property
    def knows_subject(self) -> bool:
        """Whether all of the subject stands at or before the token."""
        if self.query.kind != "relation":
            return self.query.kind in ("last-subject", "last")
        phrase = BY_RELATION.get(self.relation)
        return phrase is not None and phrase.cloze.index("{s}") < phrase.cloze.index(phrase.key)


Asked = tuple[dict[str, Any], str]  # what a template is filled with, and the right reply


def _differ(group: Sequence[Read], name: str) -> bool:
    """Whether not all of a group have one answer, which its text could then give away."""
    return len({getattr(one, name) for one in group}) > 1


def _token(group: Sequence[Read], place: int) -> Asked | None:
    return ({}, group[place].token) if _differ(group, "token") else None


def _subject(group: Sequence[Read], place: int) -> Asked | None:
    one = group[place]
    return ({}, one.subject) if one.knows_subject and _differ(group, "subject") else None


def _answer(group: Sequence[Read], place: int) -> Asked | None:
    one = group[place]
    if not one.knows_subject or not _differ(group, "answer"):
        return None
    return {**one.layers, "relation": one.relation}, one.answer


def _pair(group: Sequence[Read], place: int) -> tuple[Read, Read] | None:
    """The two members of a group that are told apart; None if one is left over or they are one."""
    first = place - place % 2
    pair = group[first : first + 2]
    if len(pair) < 2 or pair[0].text == pair[1].text:
        return None
    return pair[0], pair[1]


def _stood(group: Sequence[Read], place: int) -> Asked | None:
    """Both of a pair are asked about the text of one of them."""
    pair = _pair(group, place)
    if pair is None:
        return None
    shown = pair[0]
    values = {"text": shown.text, "token": shown.token, "number": shown.position + 1}
    return {**values, **shown.layers}, "no" if place % 2 else "yes"


def _which(group: Sequence[Read], place: int) -> Asked | None:
    pair = _pair(group, place)
    if pair is None:
        return None
    values = {"text_a": pair[0].text, "text_b": pair[1].text, **pair[0].layers}
    return values, "AB"[place % 2]


def _subject_continued(group: Sequence[Read], place: int) -> Asked | None:
    return _subject(group, place) if group[place].query.kind == "last-subject" else None


def _answer_continued(group: Sequence[Read], place: int) -> Asked | None:
    """The text itself with the vector for its subject, or for all of its open sentence."""
    one = group[place]
    phrase = BY_RELATION.get(one.relation)
    if phrase is None or not _differ(group, "answer"):
        return None
    solved, open_sentence = one.text, phrase.open(one.subject)
    if not solved.endswith(open_sentence):
        return None
    solved = solved.removesuffix(open_sentence).strip()
    if one.query.kind == "last-subject":
        return {"sentence": f"{solved} {phrase.open(SLOT)}"}, one.answer
    return ({"sentence": f"{solved} {SLOT}"}, one.answer) if one.query.kind == "last" else None


ASKED: Mapping[str, Callable[[Sequence[Read], int], Asked | None]] = {
    "token": _token,
    "subject": _subject,
    "answer": _answer,
    "relation": lambda group, place: ({}, group[place].relation),
    "layers": lambda group, place: ({}, "{first} to {last}".format(**group[place].layers)),
    "position": lambda group, place: ({}, str(group[place].position + 1)),
    "stood": _stood,
    "which": _which,
}
"""Kinds that are asked as questions: members of a group and the place of one to values and reply;
None if that one is not asked."""
CONTINUED: Mapping[str, Callable[[Sequence[Read], int], Asked | None]] = {
    "token-continued": _token,
    "subject-continued": _subject_continued,
    "answer-continued": _answer_continued,
}
"""Kinds whose text goes on naturally from the vector, used like a word (Patchscopes,
arXiv:2401.06102); in `answer-continued` it is the text the vector was read in."""


def reading_questions(
    queries: Sequence[Query], told: Mapping[str, Mapping[str, Any]]
) -> list[ReadingQuestion]:
    """Ask all that can be asked of training vectors, one question of a kind and query at most.

    Raises UsageError: a row does not say where the vector was read.
    """
    groups: dict[str, list[Read]] = {}
    for query in sorted(queries, key=_order):
        groups.setdefault(query.group, []).append(_read(query, told[query.id]))
    found = []
    for group in groups.values():
        for place in range(len(group)):
            for kind, ask in {**ASKED, **CONTINUED}.items():
                asked = ask(group, place)
                if asked is not None:
                    found.append(_question(group[place].query, kind, *asked))
    return found


def _order(query: Query) -> str:
    """A hash, so that the place in a group says nothing of what changes."""
    return hashlib.sha256(f"reading:{query.id}".encode()).hexdigest()


def _read(query: Query, told: Mapping[str, Any]) -> Read:
    origin = told.get("origin") or {}
    if not origin.keys() >= set(ORIGIN) or told["source"] is None:
        raise UsageError(
            "this suite does not say where its vectors were read; use one made with activation "
            "patching v2 or later, or train without reading"
        )
    return Read(query=query, answer=told["source"], **{name: origin[name] for name in ORIGIN})


def _question(query: Query, kind: str, values: Mapping[str, Any], reply: str) -> ReadingQuestion:
    continued = kind in CONTINUED
    name = f"{kind if continued else 'asked'}.instructions"
    instructions = render_file(READING, name, {}) if (READING / f"{name}.jinja").is_file() else ""
    return ReadingQuestion(
        query=query,
        kind=kind,
        instructions=instructions,
        question=render_file(READING, f"{kind}.question", {"slot": SLOT, **values}),
        reply=reply,
        continued=continued,
    )
