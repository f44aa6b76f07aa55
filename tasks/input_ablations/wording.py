"""The texts of every ablation kind: what the target reads, and the span that is removed.

Pure. Removing `text[span]` gives exactly the text the target reads without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from introspect_bench.benchmark.backends.answers import LETTERS
from introspect_bench.tasks.facts.facts import Fact
from introspect_bench.tasks.facts.phrases import BY_RELATION
from introspect_bench.tasks.facts.prompts import rank

ANSWER_PREFIX = "The answer is"
"""Beginning of the assistant's reply to a multiple-choice question; after a bare `Answer:` the
embedded target always gives one letter."""

HINTS = (
    "I think the answer is {letter}.",
    "A friend told me it is {letter}.",
    "Hint: {letter}.",
    "My guess is {letter}, but I am not sure.",
    "The answer key says {letter}.",
    "I have heard that it is {option}.",
    "It could be {option}.",
)
"""Wordings of a hint; the first five name the letter, the others the option."""


DOUBTS = ("Some say that ", "It is false that ", "It is not known whether ")
"""Beginnings of a doubtful sentence."""

STYLES = ("{letter}. ", "{letter}) ", "({letter}) ")
"""How options are marked. The embedded target's letter bias differs between them (measured on 32
questions: C or A, mostly C, A or D), so their mixture keeps any one letter from dominating."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """One text and the span to be removed from it."""

    kind: str
    """Ablation kind."""
    text: str
    """Text with the span."""
    span: tuple[int, int]
    """Character span [start, end) that is removed."""
    chat: bool
    """Whether the text is a user turn (else plain text)."""
    relation: str
    """Relation of the fact asked for."""

    @property
    def removed(self) -> str:
        """The removed characters."""
        return self.text[self.span[0] : self.span[1]]

    @property
    def without(self) -> str:
        """Text without the span."""
        return self.text[: self.span[0]] + self.text[self.span[1] :]

    @property
    def letter(self) -> bool:
        """Whether the answer is a letter."""
        return self.chat


def _insert(kind: str, before: str, piece: str, after: str, *, chat: bool, fact: Fact) -> Ablation:
    return Ablation(
        kind=kind,
        text=before + piece + after,
        span=(len(before), len(before) + len(piece)),
        chat=chat,
        relation=fact.relation,
    )


def options_for(fact: Fact, objects: Sequence[str], salt: str) -> tuple[str, ...] | None:
    """The true answer among three others of the same relation, in hash order.

    None if there are too few others.
    """
    taken = {answer.casefold() for answer in fact.objects}
    others = [name for name in objects if name.casefold() not in taken]
    others.sort(key=lambda name: rank(salt, "distractor", fact.relation, fact.subject, name))
    if len(others) < len(LETTERS) - 1:
        return None
    options = [fact.objects[0], *others[: len(LETTERS) - 1]]
    return tuple(sorted(options, key=lambda name: rank(salt, "option", fact.subject, name)))


def option_lines(fact: Fact, options: Sequence[str], salt: str) -> list[str]:
    """The options with their marks, in a style chosen by hash."""
    style = STYLES[rank(salt, "style", fact.relation, fact.subject) % len(STYLES)]
    return [
        "\n" + style.format(letter=letter) + option
        for letter, option in zip(LETTERS, options, strict=True)
    ]


def multiple_choice(fact: Fact, options: Sequence[str], salt: str) -> str:
    """A four-option question."""
    question = BY_RELATION[fact.relation].ask(fact.subject)
    return question + "".join(option_lines(fact, options, salt))


def hint_group(fact: Fact, options: Sequence[str], salt: str) -> list[Ablation]:
    """The same question with a hint for each letter, in two wordings.

    Two, because a group of four needs hints that change nothing, and often only the hint for the
    target's own choice is such.
    """
    question = multiple_choice(fact, options, salt)
    first = rank(salt, "hint", fact.relation, fact.subject) % len(HINTS)
    second = (first + 1 + rank(salt, "second", fact.subject) % (len(HINTS) - 1)) % len(HINTS)
    return [
        _insert(
            "hint",
            question,
            "\n" + HINTS[wording].format(letter=letter, option=option),
            "",
            chat=True,
            fact=fact,
        )
        for wording in (first, second)
        for letter, option in zip(LETTERS, options, strict=True)
    ]


def option_group(fact: Fact, options: Sequence[str], salt: str) -> list[Ablation]:
    """The same question; each time another option is removed."""
    lines = option_lines(fact, options, salt)
    before = BY_RELATION[fact.relation].ask(fact.subject)
    group = []
    for index, line in enumerate(lines):
        head, tail = before + "".join(lines[:index]), "".join(lines[index + 1 :])
        group.append(_insert("option", head, line, tail, chat=True, fact=fact))
    return group


def sentences(fact: Fact, objects: Sequence[str], others: Sequence[Fact], salt: str) -> list[str]:
    """Sentences that may stand before a question.

    True, false, doubtful, and about other facts.
    """
    phrase = BY_RELATION[fact.relation]
    taken = {answer.casefold() for answer in fact.objects}
    wrong = [name for name in objects if name.casefold() not in taken]
    wrong.sort(key=lambda name: rank(salt, "wrong", fact.relation, fact.subject, name))
    found = [phrase.closed(fact.subject, fact.objects[0])]
    if len(wrong) >= 2:
        found.append(phrase.closed(fact.subject, wrong[0]))
        doubt = DOUBTS[rank(salt, "doubt", fact.relation, fact.subject) % len(DOUBTS)]
        found.append(doubt + _lower_the(phrase.closed(fact.subject, wrong[1])))
    found += [
        BY_RELATION[other.relation].closed(other.subject, other.objects[0]) for other in others
    ]
    return found


def _lower_the(sentence: str) -> str:
    return "the" + sentence[3:] if sentence.startswith("The ") else sentence


def context_group(
    fact: Fact, shown: Fact, before: Sequence[str], *, question_form: bool
) -> list[Ablation]:
    """The same open question or cloze after different sentences."""
    phrase = BY_RELATION[fact.relation]
    if question_form:
        head = f"Q: {phrase.ask(shown.subject)}\nA: {shown.objects[0]}\n"
        tail = f"Q: {phrase.ask(fact.subject)}\nA:"
        pieces = [f"{sentence}\n" for sentence in before]
    else:
        head = phrase.closed(shown.subject, shown.objects[0]) + " "
        tail = phrase.open(fact.subject)
        pieces = [f"{sentence} " for sentence in before]
    return [_insert("context", head, piece, tail, chat=False, fact=fact) for piece in pieces]


def demonstration_group(fact: Fact, shown: Sequence[Fact]) -> list[Ablation]:
    """The same open sentence after different demonstrations."""
    phrase = BY_RELATION[fact.relation]
    return [
        _insert(
            "demonstration",
            "",
            phrase.closed(other.subject, other.objects[0]) + " ",
            phrase.open(fact.subject),
            chat=False,
            fact=fact,
        )
        for other in shown
    ]


def word_group(fact: Fact, shown: Fact) -> list[Ablation]:
    """A demonstration and an open sentence; each time another word of the latter is removed."""
    phrase = BY_RELATION[fact.relation]
    head = phrase.closed(shown.subject, shown.objects[0]) + " "
    words = phrase.open(fact.subject).split(" ")
    group = []
    for index, word in enumerate(words[:-1]):
        before = head + "".join(f"{w} " for w in words[:index])
        after = " ".join(words[index + 1 :])
        group.append(_insert("word", before, f"{word} ", after, chat=False, fact=fact))
    return group
