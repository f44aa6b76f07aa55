"""The pool of measured candidates that queries are chosen from: which texts are tried, and answers.

What is measured depends on the split, the kind and the seed alone, never on how queries are chosen,
so that a changed choice is made from the same journals. Texts of one group share their first
tokens, which are computed once; every text is tokenised as a whole, so sharing changes no token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import ceil
from pathlib import Path

from ....benchmark.backends.interventions.outputs import (
    Output,
    cut,
    greedy,
    letter_tokens,
    letters,
)
from ....benchmark.backends.interventions.trace import Branch, Stem
from ....benchmark.backends.models.target_model import TargetModel
from ....benchmark.cache import Journal
from ...build.answers import answers, journaled
from ...build.order import SplitJob
from ...facts.facts import Fact, facts_of, interleave, names_something, other_fact, rank
from . import hints as wording
from .hints import ANSWER_PREFIX, Ablation, FourParts

ROWS = 96  # texts per batch
HEADLINE_KINDS = ("hint", "context", "which")  # kinds the headline is computed over
TEST_ONLY_KINDS = ("demonstration", "option", "word")
"""Kinds that occur in test alone and are reported apart."""
SHARES = (("hint", 36), ("context", 34), ("which", 30))
"""Percent of a split's subjects that each headline kind may ask about; no subject serves two."""
ROUND = 120  # base texts measured at a time
DRAWS = {True: 4, False: 2}
"""Arrangements tried for each question of kind `which`: of a list of options, and of sources, which
cost twice as much. Further laps give as many again."""


Texts = Mapping[str, tuple[int, ...]]  # the distinct texts of one group, with their token ids


def tokenise(target: TargetModel, texts: Iterable[str], *, chat: bool) -> Texts:
    """Every text of a group, once; those of a chat are answered with a letter."""
    return {
        text: tuple(target.encode_chat(text, ANSWER_PREFIX) if chat else target.encode(text))
        for text in dict.fromkeys(texts)
    }


def stem_of(rows: Sequence[Sequence[int]]) -> Stem:
    """Rows as one stem: their common first tokens, at least one token left to each."""
    shared = 0
    limit = min(len(row) for row in rows) - 1
    while shared < limit and len({row[shared] for row in rows}) == 1:
        shared += 1
    branches = tuple(Branch(ids=tuple(row[shared:])) for row in rows)
    return Stem(ids=tuple(rows[0][:shared]), branches=branches)


def letter_ids(target: TargetModel) -> tuple[int, ...]:
    """Tokens of the four letters after the answer prefix."""
    return letter_tokens(target, ANSWER_PREFIX)


def outputs_of(
    target: TargetModel,
    groups: Sequence[Texts],
    journal: Journal,
    report: Callable[[int], None],
    *,
    letter: bool,
) -> list[dict[str, Output]]:
    """Answers to all texts of all groups: a letter, or text."""
    stems = [stem_of([*texts.values()]) for texts in groups]
    tokens = letter_ids(target) if letter else ()
    batched = journaled(
        stems,
        ROWS,
        journal,
        lambda chosen: [
            "letters" if letter else "text",
            [[*groups[i].values()] for i in chosen],
        ],
        lambda few: letters(target, few, tokens) if letter else greedy(target, few),
    )
    found = answers(stems, batched, report)
    return [dict(zip(texts, own, strict=True)) for texts, own in zip(groups, found, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be tried with one fact."""

    fact: Fact
    ablations: tuple[Ablation, ...] = ()  # texts with one removable part
    fours: tuple[FourParts, ...] = ()  # texts with four, of kind `which` only
    guesses: tuple[str, ...]  # answers named by the text or true: what a reader might guess

    @property
    def texts(self) -> list[str]:
        """All texts, some of them more than once."""
        plain = [text for a in self.ablations for text in (a.text, a.without)]
        return plain + [text for four in self.fours for text in four.texts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A question and what the target answered to each of its texts."""

    question: Question
    ids: Texts
    outputs: Mapping[str, Output]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The facts of one split."""

    facts: Mapping[str, Sequence[Fact]]  # by relation
    objects: Mapping[str, Sequence[str]]  # all answers of each relation
    order: Sequence[Fact]  # one fact a subject, relations in turn


def kind_of_subject(subject: str) -> str:
    """Headline kind that may ask about a subject; a hash of its name."""
    place = rank("kind", subject) % 100
    for kind, share in SHARES:
        if place < share:
            return kind
        place -= share
    raise AssertionError("shares are percent")


def questions(kind: str, split: str, seed: int, lap: int = 0) -> Iterator[Question]:
    """Questions of one kind to be tried, in a fixed order, relations in turn.

    Every lap asks about the same facts, with other arrangements or other words around them.
    """
    facts = facts_of(split, seed)
    objects = {
        relation: sorted({name for fact in own for name in fact.objects})
        for relation, own in facts.items()
    }
    world = World(facts=facts, objects=objects, order=interleave(facts))
    salt = f"{kind}:{seed}"
    start = rank("start", salt) % max(len(world.order), 1)
    if lap and kind != "which":  # which counts its arrangements on
        salt = f"{salt}:{lap}"
    for fact in (*world.order[start:], *world.order[:start]):
        if kind in HEADLINE_KINDS and kind_of_subject(fact.subject) != kind:
            continue
        shown = other_fact(fact, facts[fact.relation], f"shown:{salt}")
        if shown is None:
            continue
        guesses = (shown.objects[0], fact.objects[0])
        options = wording.options_for(fact, objects[fact.relation], salt)
        if kind not in ("hint", "option", "which"):
            group = _ablations(kind, fact, shown, world, salt)
        elif options is None:
            continue
        elif kind == "which":
            listed = rank(salt, "listed", fact.subject) % 2 == 0
            fours = tuple(
                wording.four_parts(fact, shown, options, f"{salt}:{draw}", listed=listed)
                for draw in range(lap * DRAWS[listed], (lap + 1) * DRAWS[listed])
            )
            yield Question(fact=fact, fours=fours, guesses=(*guesses, *options))
            continue
        elif kind == "hint":
            group = wording.hint_group(fact, shown, options, salt)
        else:
            group = wording.option_group(fact, options, salt)
        yield Question(fact=fact, ablations=tuple(group), guesses=guesses)


def _ablations(kind: str, fact: Fact, shown: Fact, world: World, salt: str) -> list[Ablation]:
    own = world.facts[fact.relation]
    if kind == "demonstration":
        rest = [other for other in own if other.subject != fact.subject]
        rest.sort(key=lambda other: rank(salt, fact.subject, other.subject))
        return wording.demonstration_group(fact, rest[:4])
    if kind == "word":
        return wording.word_group(fact, shown)
    elsewhere = [f for f in world.order if f.relation != fact.relation]
    others = [
        other_fact(fact, own, f"other:{salt}"),
        other_fact(fact, elsewhere, f"irrelevant:{salt}"),
    ]
    known = [other for other in others if other is not None]
    before = wording.sentences(fact, world.objects[fact.relation], known, salt)
    form = rank(salt, "form", fact.subject) % 2 == 0
    return wording.context_group(fact, shown, before, question_form=form)


def measure_pool(
    job: SplitJob, kind: str, facts_from: str, n_texts: int, *, work: Path, laps: float = 1.0
) -> list[Tried]:
    """Ask the first `n_texts` questions of a kind, or as many as there are, once a lap."""
    journal = Journal(work / f"{kind}.jsonl")
    tried: list[Tried] = []
    for lap in range(ceil(laps)):
        part = ceil(n_texts * min(1.0, laps - lap))
        chosen = list(islice(questions(kind, facts_from, job.seed, lap), part))
        for first in range(0, len(chosen), ROUND):
            few = chosen[first : first + ROUND]
            letter = kind == "option"
            texts = [tokenise(job.target, q.texts, chat=letter) for q in few]
            report = partial(job.report, f"{kind}: answers")
            outputs = outputs_of(job.target, texts, journal, report, letter=letter)
            tried += [
                Tried(question=q, ids=ids, outputs=own)
                for q, ids, own in zip(few, texts, outputs, strict=True)
            ]
    return tried


def usable(target: TargetModel, output: Output) -> bool:
    """Whether an answer in free text names something."""
    return names_something(output.text, cut(target, output.ids)[1])
