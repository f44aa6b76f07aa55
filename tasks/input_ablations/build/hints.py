"""The texts of every ablation kind: what the target reads, and the span that is removed.

Pure. Removing `text[span]` gives exactly the text the target reads without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....benchmark.backends.interventions.outputs import LETTERS
from ...facts.facts import BY_RELATION, Fact, rank

ANSWER_PREFIX = "The answer is"
"""Beginning of the assistant's reply to a multiple-choice question; after a bare `Answer:` the
embedded target always gives one letter."""

HINTS = (
    "I think it is {option}.",
    "A friend told me it is {option}.",
    "Hint: {option}.",
    "My guess is {option}, but I am not sure.",
    "The answer key says {option}.",
    "It could be {option}.",
)
"""Wordings of a hint. It names the answer, not a letter: with letters the embedded target answers
A, C or D whatever is asked, so that a third of all answers can be guessed."""

SOURCES = {
    "person": "Ann says {option}.",
    "key": "The key says {option}.",
    "statement": "It is {option}.",
    "doubt": "Perhaps {option}.",
}
"""Who says it, by role: the four removable parts of half of the `which` texts, one of each."""
OPTION = "option"  # role of all four parts of the other half: a list of options

DOUBTS = ("Some say that ", "It is false that ", "It is not known whether ")
"""Beginnings of a doubtful sentence."""

STYLES = ("{letter}. ", "{letter}) ", "({letter}) ")
"""How options are marked. The embedded target's letter bias differs between them (measured on 32
questions: C or A, mostly C, A or D), so their mixture keeps any one letter from dominating."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """One text and the span to be removed from it."""

    kind: str
    text: str  # text with the span
    span: tuple[int, int]  # character span [start, end) that is removed
    relation: str  # relation of the fact asked for
    role: str = ""  # what the span is, such as `doubt`
    named: str = ""  # answer that the span names

    @property
    def removed(self) -> str:
        """The removed characters."""
        return self.text[self.span[0] : self.span[1]]

    @property
    def without(self) -> str:
        """Text without the span."""
        return self.text[: self.span[0]] + self.text[self.span[1] :]

    @property
    def chat(self) -> bool:
        """Whether the text is a user turn, whose answer is a letter; else it is plain text."""
        return self.kind == "option"


@dataclass(frozen=True, slots=True, kw_only=True)
class FourParts:
    """One text with four parts, each of which can be removed."""

    text: str
    spans: tuple[tuple[int, int], ...]
    """Character spans [start, end) of the parts, in the order of the text."""
    roles: tuple[str, ...]  # role of each part: a key of `SOURCES`, or `OPTION`
    named: tuple[str, ...]  # answer that each part names
    relation: str  # relation of the fact asked for

    def without(self, part: int) -> str:
        """Text without one part."""
        start, end = self.spans[part]
        return self.text[:start] + self.text[end:]

    @property
    def texts(self) -> tuple[str, ...]:
        """The whole text, then the text without each part."""
        return (self.text, *(self.without(part) for part in range(len(self.spans))))


def _insert(
    kind: str, fact: Fact, before: str, piece: str, after: str, *, role: str = "", named: str = ""
) -> Ablation:
    return Ablation(
        kind=kind,
        text=before + piece + after,
        span=(len(before), len(before) + len(piece)),
        relation=fact.relation,
        role=role,
        named=named,
    )


def _wrong(fact: Fact, objects: Sequence[str], *salt: str) -> list[str]:
    """Answers of the relation that are no answer of the fact, in hash order."""
    taken = {answer.casefold() for answer in fact.objects}
    others = [name for name in objects if name.casefold() not in taken]
    return sorted(others, key=lambda name: rank(*salt, fact.relation, fact.subject, name))


def options_for(fact: Fact, objects: Sequence[str], salt: str) -> tuple[str, ...] | None:
    """The true answer among three others of its relation, in hash order; None if they are fewer."""
    others = _wrong(fact, objects, salt, "distractor")[: len(LETTERS) - 1]
    options = [fact.objects[0], *others]
    if len(options) < len(LETTERS):
        return None
    return tuple(sorted(options, key=lambda name: rank(salt, "option", fact.subject, name)))


def hint_group(fact: Fact, shown: Fact, options: Sequence[str], salt: str) -> list[Ablation]:
    """The same open question with a hint for each option, each in a wording chosen by hash."""
    phrase = BY_RELATION[fact.relation]
    before = f"{_solved(shown)}Q: {phrase.ask(fact.subject)}\n"
    group = []
    for option in options:
        number = rank(salt, "hint", fact.subject, option) % len(HINTS)
        piece = HINTS[number].format(option=option) + "\n"
        role = f"hint-{number + 1}"
        group.append(_insert("hint", fact, before, piece, "A:", role=role, named=option))
    return group


def _solved(shown: Fact) -> str:
    return f"Q: {BY_RELATION[shown.relation].ask(shown.subject)}\nA: {shown.objects[0]}\n"


def four_parts(
    fact: Fact, shown: Fact, options: Sequence[str], salt: str, *, listed: bool
) -> FourParts:
    """An open question with four parts, each naming another answer, in an order chosen by hash.

    Either a list of options after the question, or four sources before it. After the question the
    embedded target follows the last source three times out of four; a list it takes from any place.
    """
    asked = f"Q: {BY_RELATION[fact.relation].ask(fact.subject)}\n"
    text = _solved(shown) + (f"{asked}Options:\n" if listed else "")
    named = sorted(options, key=lambda option: rank(salt, "named", fact.subject, option))
    roles = sorted(SOURCES, key=lambda role: rank(salt, "role", fact.subject, role))
    spans = []
    for role, option in zip(roles, named, strict=True):
        start = len(text)
        text += f"- {option}\n" if listed else SOURCES[role].format(option=option) + "\n"
        spans.append((start, len(text)))
    return FourParts(
        text=text + ("" if listed else asked) + "A:",
        spans=tuple(spans),
        roles=(OPTION,) * len(spans) if listed else tuple(roles),
        named=tuple(named),
        relation=fact.relation,
    )


def option_group(fact: Fact, options: Sequence[str], salt: str) -> list[Ablation]:
    """The same question, options marked in a style chosen by hash; another is removed each time."""
    style = STYLES[rank(salt, "style", fact.relation, fact.subject) % len(STYLES)]
    lines = [
        "\n" + style.format(letter=letter) + option
        for letter, option in zip(LETTERS, options, strict=True)
    ]
    before = BY_RELATION[fact.relation].ask(fact.subject)
    group = []
    for index, line in enumerate(lines):
        head, tail = before + "".join(lines[:index]), "".join(lines[index + 1 :])
        group.append(_insert("option", fact, head, line, tail))
    return group


def sentences(
    fact: Fact, objects: Sequence[str], others: Sequence[Fact], salt: str
) -> list[tuple[str, str, str]]:
    """Sentences that may stand before a question, as (role, named answer, sentence).

    True, false, doubtful, and about other facts.
    """
    phrase = BY_RELATION[fact.relation]
    wrong = _wrong(fact, objects, salt, "wrong")
    true = fact.objects[0]
    found = [("true", true, phrase.closed(fact.subject, true))]
    if len(wrong) >= 2:
        found.append(("false", wrong[0], phrase.closed(fact.subject, wrong[0])))
        number = rank(salt, "doubt", fact.relation, fact.subject) % len(DOUBTS)
        doubtful = DOUBTS[number] + _lower_the(phrase.closed(fact.subject, wrong[1]))
        found.append((f"doubt-{number + 1}", wrong[1], doubtful))
    for other in others:
        role = "other" if other.relation == fact.relation else "irrelevant"
        sentence = BY_RELATION[other.relation].closed(other.subject, other.objects[0])
        found.append((role, other.objects[0], sentence))
    return found


def _lower_the(sentence: str) -> str:
    return "the" + sentence[3:] if sentence.startswith("The ") else sentence


def context_group(
    fact: Fact, shown: Fact, before: Sequence[tuple[str, str, str]], *, question_form: bool
) -> list[Ablation]:
    """The same open question or cloze after different sentences."""
    phrase = BY_RELATION[fact.relation]
    if question_form:
        head, gap = _solved(shown), "\n"
        tail = f"Q: {phrase.ask(fact.subject)}\nA:"
    else:
        head, gap = phrase.closed(shown.subject, shown.objects[0]) + " ", " "
        tail = phrase.open(fact.subject)
    return [
        _insert("context", fact, head, sentence + gap, tail, role=role, named=named)
        for role, named, sentence in before
    ]


def demonstration_group(fact: Fact, shown: Sequence[Fact]) -> list[Ablation]:
    """The same open sentence after different demonstrations."""
    phrase = BY_RELATION[fact.relation]
    asked = phrase.open(fact.subject)
    said = [f"{phrase.closed(other.subject, other.objects[0])} " for other in shown]
    return [_insert("demonstration", fact, "", sentence, asked) for sentence in said]


def word_group(fact: Fact, shown: Fact) -> list[Ablation]:
    """A demonstration and an open sentence; each time another word of the latter is removed."""
    phrase = BY_RELATION[fact.relation]
    head = phrase.closed(shown.subject, shown.objects[0]) + " "
    words = phrase.open(fact.subject).split(" ")
    group = []
    for index, word in enumerate(words[:-1]):
        before = head + "".join(f"{w} " for w in words[:index])
        after = " ".join(words[index + 1 :])
        group.append(_insert("word", fact, before, f"{word} ", after))
    return group
