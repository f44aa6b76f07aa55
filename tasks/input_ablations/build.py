"""Makes the frozen suite of input ablations for any target, from facts and a seed.

Owns which questions, hints and sentences are tried and which groups are kept. Everything measured
is journaled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.backends.answers import Output, Probe, cut
from introspect_bench.benchmark.backends.interventions import Branch
from introspect_bench.benchmark.backends.stability import (
    CONFIGURATIONS,
    Stability,
    judge,
    measure_again,
)
from introspect_bench.benchmark.backends.target_model import TargetModel
from introspect_bench.benchmark.freeze import Measured
from introspect_bench.benchmark.journal import Journal
from introspect_bench.tasks.facts.facts import Fact
from introspect_bench.tasks.facts.prompts import (
    facts_of,
    interleave,
    names_something,
    other_fact,
    rank,
)
from introspect_bench.tasks.groups import Candidate, CandidateGroup, Selection, select
from introspect_bench.tasks.input_ablations import measure, wording
from introspect_bench.tasks.input_ablations.measure import Progress, Texts
from introspect_bench.tasks.input_ablations.wording import ANSWER_PREFIX, Ablation
from introspect_bench.tasks.statistics import Bar

BUILD = 1
"""Version of what is measured. Raise it with every change after which rows of an old journal would
be wrong under their key: blocks of layers, positions, wording, delimiters, how outputs are read."""
HEADLINE_KINDS = ("hint", "context")
"""Kinds the headline is computed over, equally large."""
LETTER_KINDS = ("hint", "option")
"""Kinds whose answers are letters."""
TEST_ONLY_KINDS = ("demonstration", "option", "word")
"""Kinds that occur in test alone and are reported apart."""
ROUND = 240
"""Groups tried at a time."""
SPARE = 1.2
"""Groups put through the stability test for each group wanted."""
OUTCOME_CAP = {"hint": 0.40, "option": 0.40, "context": 0.05, "demonstration": 0.08, "word": 0.08}
"""Largest share of one answer without the span, by kind."""

BARS = {
    "train": (Bar(name="queries", low=10_000),),
    "validation": (Bar(name="queries", low=400),),
    "test": (Bar(name="queries", low=1_000),),
}
"""Bars of single splits, over the headline kinds."""
BARS_ALL: tuple[Bar, ...] = ()
"""Bars of every split: none; see `BARS_KIND`."""
BARS_KIND = {
    "hint": (
        Bar(name="share_changed", low=0.40, high=0.60),
        Bar(name="share_commonest_outcome", high=0.40),
    ),
    "context": (
        Bar(name="share_changed", low=0.40, high=0.60),
        Bar(name="share_commonest_outcome", high=0.05),
    ),
    **{
        kind: (Bar(name="queries", low=150), Bar(name="share_changed", low=0.40, high=0.60))
        for kind in TEST_ONLY_KINDS
    },
}
"""Bars of each kind within a split."""

SIZES: dict[str, dict[str, int]] = {
    "train": {"hint": 1_250, "context": 1_250},
    "validation": {"hint": 50, "context": 50},
    "test": {"hint": 125, "context": 125, "demonstration": 38, "option": 38, "word": 38},
}
"""Groups of four wanted, by split and kind, in v1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A measured group: its ablations, texts and answers."""

    group: tuple[Ablation, ...]
    """Members."""
    texts: Texts
    """Distinct texts."""
    outputs: tuple[Output, ...]
    """Answer to each text."""

    def output(self, text: str) -> Output:
        """Answer to one of the texts."""
        return self.outputs[self.texts.index[text]]


def proposals(kind: str, split: str, seed: int) -> Iterator[list[Ablation]]:
    """Groups of one kind to be tried, in a fixed order, relations in turn."""
    facts = facts_of(split, seed)
    objects = {
        relation: sorted({name for fact in own for name in fact.objects})
        for relation, own in facts.items()
    }
    order = interleave(facts)
    salt = f"{kind}:{seed}"
    # Every kind starts elsewhere, so that kinds do not all ask about the same subjects.
    start = rank("start", salt) % max(len(order), 1)
    for fact in order[start:] + order[:start]:
        group = _propose(kind, fact, facts, objects[fact.relation], order, salt)
        if group is not None and len(group) >= 4:
            yield group


def _propose(
    kind: str,
    fact: Fact,
    facts: Mapping[str, Sequence[Fact]],
    objects: Sequence[str],
    everyone: Sequence[Fact],
    salt: str,
) -> list[Ablation] | None:
    own = facts[fact.relation]
    if kind in ("hint", "option"):
        options = wording.options_for(fact, objects, salt)
        if options is None:
            return None
        if kind == "hint":
            return wording.hint_group(fact, options, salt)
        return wording.option_group(fact, options, salt)
    if kind == "demonstration":
        rest = [other for other in own if other.subject != fact.subject]
        rest.sort(key=lambda other: rank(salt, fact.subject, other.subject))
        return wording.demonstration_group(fact, rest[:6])
    shown = other_fact(fact, own, f"shown:{salt}")
    if shown is None:
        return None
    if kind == "word":
        return wording.word_group(fact, shown)
    others = [
        other
        for other in (
            other_fact(fact, own, f"other:{salt}"),
            other_fact(
                fact, [f for f in everyone if f.relation != fact.relation], f"irrelevant:{salt}"
            ),
        )
        if other is not None
    ]
    form = rank(salt, "form", fact.subject) % 2 == 0
    before = wording.sentences(fact, objects, others, salt)
    return wording.context_group(fact, shown, before, question_form=form)


def as_candidates(target: TargetModel, tried: Tried) -> CandidateGroup:
    """A measured group as candidates; groups whose answer names nothing lose their members."""
    members = []
    for ablation in tried.group:
        clean, outcome = tried.output(ablation.text), tried.output(ablation.without)
        if ablation.letter or (_usable(target, clean) and _usable(target, outcome)):
            members.append(
                Candidate(clean=clean.text, outcome=outcome.text, payload=(tried, ablation))
            )
    return CandidateGroup(cell=tried.group[0].kind, members=tuple(members))


def _usable(target: TargetModel, output: Output) -> bool:
    return names_something(output.text, cut(target, output.ids)[1])


def collect(
    target: TargetModel, kind: str, split: str, wanted: int, seed: int, work: Path, report: Progress
) -> list[tuple[Candidate, ...]]:
    """Measure groups of one kind until enough can be chosen, spare ones for validation and test."""
    size = wanted if split == "train" else round(wanted * SPARE)
    # Four letters cannot fill more groups than the cap allows, so theirs is a share of all groups.
    cap_size = size if kind in LETTER_KINDS else wanted
    source = proposals(kind, split, seed)
    journal = Journal(work / f"{kind}.jsonl")
    candidates: list[CandidateGroup] = []
    while True:
        groups = list(islice(source, min(ROUND, max(48, 2 * size))))
        texts = [measure.tokenise(target, group) for group in groups]
        outputs = measure.outputs_of(target, texts, journal, report)
        candidates += [
            as_candidates(target, Tried(group=tuple(g), texts=t, outputs=tuple(o)))
            for g, t, o in zip(groups, texts, outputs, strict=True)
        ]
        chosen = select(
            candidates, Selection(size=size, outcome_cap=OUTCOME_CAP[kind], cap_size=cap_size)
        )
        report(f"{kind} groups chosen: {len(chosen.groups)} of {size}", 0)
        if len(chosen.groups) >= size or not groups:
            return chosen.groups


def keep_stable(
    target: TargetModel,
    groups: Sequence[Sequence[Candidate]],
    work: Path,
    report: Progress,
    rounded: Callable[[], TargetModel],
) -> tuple[list[CandidateGroup], Stability]:
    """Measure every text of the chosen groups again; keep groups all of whose labels are stable."""
    probes: list[Probe] = []
    owners: list[list[int]] = []
    for group in groups:
        tried = group[0].payload[0]
        used = dict.fromkeys(t for m in group for t in (m.payload[1].text, m.payload[1].without))
        owners.append(list(range(len(probes), len(probes) + len(used))))
        for text in used:
            ids = tried.texts.rows[tried.texts.index[text]]
            probes.append(Probe(ids=ids, branch=Branch(ids=ids), output=tried.output(text)))
    letter = bool(groups) and groups[0][0].payload[1].letter
    again = {
        name: measure_again(
            rounded() if name == "bf16-weights" else target,
            probes,
            name,
            Journal(work / f"{name}.jsonl"),
            letter_ids=measure.letter_ids(target) if letter else (),
            on_batch=lambda n, name=name: report(f"stability {name}", n),  # type: ignore[misc]
        )
        for name in CONFIGURATIONS
    }
    verdict = judge(probes, again)
    kept = [
        CandidateGroup(cell=group[0].payload[1].kind, members=tuple(group))
        for group, own in zip(groups, owners, strict=True)
        if all(verdict.stable[i] for i in own)
    ]
    return kept, verdict


def freeze_member(member: Candidate) -> Measured:
    """A chosen candidate as the query that is written."""
    tried, ablation = member.payload
    clean, outcome = tried.output(ablation.text), tried.output(ablation.without)
    return Measured(
        kind=ablation.kind,
        fields={
            "text": ablation.text,
            "chat": ablation.chat,
            "answer_prefix": ANSWER_PREFIX if ablation.chat else "",
            "removed": ablation.removed,
            "span": list(ablation.span),
            "answer_form": "letter" if ablation.letter else "text",
            "relation": ablation.relation,
        },
        clean=clean.text,
        outcome=outcome.text,
        clean_ids=clean.ids,
        outcome_ids=outcome.ids,
        margin=min(clean.margin, outcome.margin),
    )


def make_split(
    target: TargetModel,
    split: str,
    *,
    seed: int,
    work: Path,
    report: Progress,
    rounded: Callable[[], TargetModel],
    sizes: Mapping[str, Mapping[str, int]] = SIZES,
) -> tuple[list[list[Measured]], dict[str, Any]]:
    """Measured groups of one split, and the stability report by kind (empty for train).

    Args:
        target: the target model, float32.
        split: `train`, `validation` or `test`.
        seed: chooses questions, hints, sentences and demonstrations.
        work: folder for journals of this split.
        report: progress callback.
        rounded: gives the target with bf16-rounded weights.
        sizes: groups wanted, by split and kind.
    """
    frozen: list[list[Measured]] = []
    reports: dict[str, Any] = {}
    for kind, wanted in sizes[split].items():
        chosen = collect(target, kind, split, wanted, seed, work, report)
        if split != "train":
            stable, verdict = keep_stable(target, chosen, work / kind, report, rounded)
            reports[kind] = verdict.report()
            size = Selection(size=wanted, outcome_cap=OUTCOME_CAP[kind])
            chosen = select(stable, size).groups
        frozen += [[freeze_member(member) for member in group] for group in chosen]
    return frozen, reports
