"""The pool of measured candidates that queries are chosen from. Owns which texts are tried.

What is measured depends on the split, the kind and the seed alone, never on how queries are chosen,
so that a changed choice is made from the same journals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path

from ....benchmark.backends.interventions.outputs import Output, cut
from ....benchmark.backends.models.target_model import TargetModel
from ....benchmark.cache import Journal
from ...facts.facts import Fact
from ...facts.prompts import facts_of, interleave, names_something, other_fact, rank
from . import hints as wording
from . import measure_ablations as measure
from .hints import Ablation, FourParts
from .measure_ablations import Progress, Texts

HEADLINE_KINDS = ("hint", "context", "which")
"""Kinds the headline is computed over."""
TEST_ONLY_KINDS = ("demonstration", "option", "word")
"""Kinds that occur in test alone and are reported apart."""
SHARES = (("hint", 36), ("context", 34), ("which", 30))
"""Percent of a split's subjects that each headline kind may ask about; no subject serves two."""
ROUND = 120
"""Base texts measured at a time."""
DRAWS = {True: 4, False: 2}
"""Arrangements tried for each question of kind `which`: of a list of options, and of sources, which
cost twice as much. Further laps give as many again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What was tried with one question, and what the target answered."""

    fact: Fact
    """The fact asked for."""
    ablations: tuple[Ablation, ...]
    """Texts with one removable part; empty for kind `which`."""
    fours: tuple[FourParts, ...]
    """Texts with four; empty for other kinds."""
    guesses: tuple[str, ...]
    """Answers named by the text or true: what a reader of the text might guess."""
    texts: Texts
    """Distinct texts."""
    outputs: tuple[Output, ...]
    """Answer to each text."""

    def output(self, text: str) -> Output:
        """Answer to one of the texts."""
        return self.outputs[self.texts.index[text]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be tried with one fact."""

    fact: Fact
    ablations: tuple[Ablation, ...] = ()
    fours: tuple[FourParts, ...] = ()
    guesses: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """All texts, some of them more than once."""
        plain = [text for a in self.ablations for text in (a.text, a.without)]
        return plain + [text for four in self.fours for text in four.texts]


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
    order = interleave(facts)
    salt = f"{kind}:{seed}"
    start = rank("start", salt) % max(len(order), 1)
    if lap and kind != "which":  # which counts its arrangements on
        salt = f"{salt}:{lap}"
    for fact in order[start:] + order[:start]:
        if kind in HEADLINE_KINDS and kind_of_subject(fact.subject) != kind:
            continue
        question = _question(kind, fact, facts, objects[fact.relation], order, salt, lap)
        if question is not None:
            yield question


def _question(
    kind: str,
    fact: Fact,
    facts: Mapping[str, Sequence[Fact]],
    objects: Sequence[str],
    everyone: Sequence[Fact],
    salt: str,
    lap: int,
) -> Question | None:
    own = facts[fact.relation]
    shown = other_fact(fact, own, f"shown:{salt}")
    options = wording.options_for(fact, objects, salt)
    if shown is None:
        return None
    named = (shown.objects[0], fact.objects[0])
    if kind in ("hint", "option", "which"):
        if options is None:
            return None
        if kind == "which":
            listed = rank(salt, "listed", fact.subject) % 2 == 0
            fours = tuple(
                wording.four_parts(fact, shown, options, f"{salt}:{draw}", listed=listed)
                for draw in range(lap * DRAWS[listed], (lap + 1) * DRAWS[listed])
            )
            return Question(fact=fact, fours=fours, guesses=(*named, *options))
        group = (
            wording.hint_group(fact, shown, options, salt)
            if kind == "hint"
            else wording.option_group(fact, options, salt)
        )
    elif kind == "demonstration":
        rest = [other for other in own if other.subject != fact.subject]
        rest.sort(key=lambda other: rank(salt, fact.subject, other.subject))
        group = wording.demonstration_group(fact, rest[:4])
    elif kind == "word":
        group = wording.word_group(fact, shown)
    else:
        elsewhere = [f for f in everyone if f.relation != fact.relation]
        others = [
            other
            for other in (
                other_fact(fact, own, f"other:{salt}"),
                other_fact(fact, elsewhere, f"irrelevant:{salt}"),
            )
            if other is not None
        ]
        form = rank(salt, "form", fact.subject) % 2 == 0
        before = wording.sentences(fact, objects, others, salt)
        group = wording.context_group(fact, shown, before, question_form=form)
    return Question(fact=fact, ablations=tuple(group), guesses=named)


def measure_pool(
    target: TargetModel,
    kind: str,
    split: str,
    n_texts: int,
    *,
    seed: int,
    work: Path,
    report: Progress,
    laps: float = 1.0,
) -> list[Tried]:
    """Ask the first `n_texts` questions of a kind, or as many as there are, once a lap.

    Args:
        target: the target model, float32.
        kind: ablation kind.
        split: `train`, `validation`, `test` or `reserve`.
        n_texts: questions to ask.
        seed: chooses questions, hints, sentences and demonstrations.
        work: folder for the journal.
        report: progress callback.
        laps: see `questions`.
    """
    journal = Journal(work / f"{kind}.jsonl")
    tried: list[Tried] = []
    for lap in range(ceil(laps)):
        part = ceil(n_texts * min(1.0, laps - lap))
        chosen = list(islice(questions(kind, split, seed, lap), part))
        tried += _measured(target, kind, chosen, journal, report)
    return tried


def _measured(
    target: TargetModel,
    kind: str,
    chosen: Sequence[Question],
    journal: Journal,
    report: Progress,
) -> list[Tried]:
    tried = []
    for first in range(0, len(chosen), ROUND):
        few = chosen[first : first + ROUND]
        texts = [measure.tokenise(target, q.texts, chat=kind == "option") for q in few]
        outputs = measure.outputs_of(
            target, texts, journal, lambda _, n: report(f"{kind}: answers", n)
        )
        tried += [
            Tried(
                fact=q.fact,
                ablations=q.ablations,
                fours=q.fours,
                guesses=q.guesses,
                texts=t,
                outputs=tuple(o),
            )
            for q, t, o in zip(few, texts, outputs, strict=True)
        ]
    return tried


def usable(target: TargetModel, output: Output) -> bool:
    """Whether an answer in free text names something."""
    return names_something(output.text, cut(target, output.ids)[1])
