"""Makes the frozen suite of activation patching for any target, from facts and a seed.

Owns how much is made and which cells it comes from; what is tried is in `trials.py`, which four of
a group are kept in `matching.py`. Everything measured is journaled in a work folder, so a killed
build goes on where it was and gives the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from introspect_bench.benchmark.backends.answers import Probe
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
from introspect_bench.tasks.activation_patching import measure, trials
from introspect_bench.tasks.activation_patching.matching import (
    DISTANCES,
    Candidate,
    CandidateGroup,
    Selection,
    distances,
    trim,
)
from introspect_bench.tasks.activation_patching.measure import Patch, Progress
from introspect_bench.tasks.activation_patching.nearness import with_nearest
from introspect_bench.tasks.activation_patching.places import KINDS, blocks
from introspect_bench.tasks.activation_patching.task import DISRUPTED
from introspect_bench.tasks.activation_patching.trials import Bench, Cell, SplitSize
from introspect_bench.tasks.statistics import Bar

BUILD = 2
"""Version of what is measured. Raise it with every change after which rows of an old journal would
be wrong under their key: blocks of layers, positions, wording, delimiters, how outputs are read."""
ORDER = ("validation", "test", "train")
"""Order in which splits are measured: what is scored first."""
SPARE = 1.05
"""Groups put through the stability test for each group wanted."""
OUTCOME_CAP = 0.04
"""Largest share of one outcome among the queries of a split."""
ROUND = 10
"""Places of one kind tried in one round."""
LEAST_ROUNDS = 8
"""Rounds of every kind before the more fruitful kinds are preferred."""
CELL_CAP = 0.12
"""Largest share of groups from one cell, unless the others run out."""
SURVEY_POOL = 200
"""Training prompts written for the survey of cells."""
SURVEY_GROUPS = 8
"""Groups the survey tries per cell."""
NEITHER = 0.9
"""Cells in which at least this share of patches gives neither prompt's answer are disrupted."""
INERT = 0.1
"""Cells in which a smaller share of patches changes the answer are not used."""

_MATCHED = {"low": 0.45, "high": 0.55}
BARS = {
    "train": (Bar(name="queries", low=6_000),),
    "validation": (Bar(name="queries", low=400), Bar(name="least_margin_logits", low=0.1)),
    "test": (
        Bar(name="queries", low=1_000),
        Bar(name="least_margin_logits", low=0.1),
        Bar(name="distinct_outcomes", low=150),
    ),
}
"""Bars of single splits."""
BARS_ALL = (
    Bar(name="share_changed", **_MATCHED),
    Bar(name="auroc_within_groups.to_original", **_MATCHED),
    Bar(name="auroc_within_groups.to_group_mean", **_MATCHED),
    Bar(name="share_commonest_outcome", high=0.05),
    Bar(name="input_only_ceiling.exact_match", high=0.65),
    Bar(name="least_share_of_block", low=0.05),
)
"""Bars of every split."""
BARS_KIND: dict[str, tuple[Bar, ...]] = {}
"""Bars of single kinds: none."""


SIZES = {
    "train": SplitSize(groups=1_500, pool=1_800, tries=4, uses=4),
    "validation": SplitSize(groups=100, disrupted=10, pool=450, tries=4, uses=1),
    "test": SplitSize(groups=250, disrupted=25, pool=1_000, tries=3, uses=1),
}
"""Sizes of v2."""


@dataclass(slots=True, kw_only=True)
class Kept:
    """Groups of one part of a split (headline or disrupted) and what was tried for them."""

    groups: list[tuple[CandidateGroup, tuple[Candidate, ...]]] = field(default_factory=list)
    """Chosen groups."""
    tried: dict[str, Counter[str]] = field(default_factory=dict)
    """Counts by cell: groups, patches screened, patches read, groups that could be chosen from,
    groups kept."""


def collect(
    bench: Bench,
    cells: Sequence[Cell],
    wanted: int,
    size: SplitSize,
    salt: str,
    *,
    both: bool = True,
) -> Kept:
    """Try groups of every cell in turn until enough are kept or none is left.

    Kinds of which many places give a group are preferred, within the cap of a cell. Disrupted cells
    (`both` is false) need not show changed and unchanged answers.
    """
    kept = Kept()
    selection = Selection(size=wanted, outcome_cap=OUTCOME_CAP)
    offer = selection.offer if both else selection.offer_any
    queues = trials.queues(bench, cells, size.tries, salt)
    centres = {cell: trials.centre(bench, cell) for cell in cells if queues[cell[0]]}
    names = {kind: [f"{k}/{block}" for k, block in cells if k == kind] for kind in queues}
    used: Counter[int] = Counter()
    gains: dict[str, list[int]] = {kind: [] for kind in queues}
    quota = max(1, int(CELL_CAP * wanted))

    def full(cell: str) -> bool:
        return selection.cells[cell] >= quota or len(selection.groups) >= wanted

    def worth(kind: str) -> tuple[bool, float]:
        """Kinds with few rounds first, the poorest before the others, which need the same bases;
        then those whose last rounds gave most groups."""
        mean = float(np.mean(gains[kind][-4:] or [0]))
        few = len(gains[kind]) < LEAST_ROUNDS
        return few, -mean if few else mean

    while len(selection.groups) < wanted and any(queues.values()):
        going = [k for k, queue in reversed(queues.items()) if queue and not all(map(full, names[k]))]
        if not going:
            quota += max(1, quota // 4)
            continue
        kind = max(going, key=worth)
        before = len(selection.groups)
        now, queues[kind] = queues[kind][:ROUND], queues[kind][ROUND:]
        found, tried = trials.measured(bench, now, centres, both=both)
        for cell, counts in tried.items():
            kept.tried.setdefault(cell, Counter()).update(counts)
        for place, groups in zip(now, found, strict=True):
            for group in sorted(groups, key=lambda g: selection.cells[g.cell]):
                if not full(group.cell) and used[place[0].base] < size.uses and offer(group):
                    used[place[0].base] += 1
                    kept.tried[group.cell]["groups_kept"] += 1
        gains[kind].append(len(selection.groups) - before)
        told = ", ".join(f"{cell} {n}" for cell, n in sorted(selection.cells.items()))
        rejected = Counter(reason for (_, reason), n in selection.rejected.items() for _ in range(n))
        bench.report(f"groups chosen: {len(selection.groups)} of {wanted} ({told}; {dict(rejected)})", 0)
    for (cell, reason), n in sorted(selection.rejected.items()):
        kept.tried[cell][f"rejected: {reason}"] = n
    kept.groups = selection.groups
    return kept


def keep_stable(
    bench: Bench,
    groups: Sequence[tuple[CandidateGroup, tuple[Candidate, ...]]],
    rounded: Callable[[], TargetModel],
) -> tuple[list[tuple[CandidateGroup, tuple[Candidate, ...]]], Stability]:
    """Measure chosen groups again; keep those whose every label is stable.

    Args:
        bench: the split.
        groups: chosen groups.
        rounded: gives the target with weights rounded to bf16.
    """
    probes: list[Probe] = []
    for _, four in groups:
        base = four[0].payload[0].base
        ids = bench.prompts[base].ids
        probes.append(Probe(ids=ids, branch=Branch(ids=ids), output=bench.clean[base]))
        for member in four:
            patch, output = member.payload
            branch = measure.branch_of(patch, bench.prompts, bench.vectors, bench.target.n_layers)
            position = bench.prompts[base].places[patch.kind].position
            probes.append(Probe(ids=ids, position=position, branch=branch, output=output))
    again = {}
    for name in CONFIGURATIONS:
        again[name] = measure_again(
            rounded() if name == "bf16-weights" else bench.target,
            probes,
            name,
            Journal(bench.work / f"{name}.jsonl"),
            on_batch=lambda n, name=name: bench.report(f"stability {name}", n),  # type: ignore[misc]
        )
    verdict = judge(probes, again)
    size = 1 + len(groups[0][1])
    kept = [
        group
        for i, group in enumerate(groups)
        if all(verdict.stable[size * i : size * (i + 1)])
    ]
    return kept, verdict


def freeze_group(
    bench: Bench, group: CandidateGroup, four: Sequence[Candidate], kind: str | None = None
) -> list[Measured]:
    """A chosen group as the queries that are written; `kind` replaces the kind of place."""
    vectors = np.stack([m.vector for m in four])
    found = distances(vectors, group.original, group.mean)
    return [
        _freeze_member(bench, member, dict(zip(DISTANCES, map(float, own), strict=True)), kind)
        for member, own in zip(four, found.T, strict=True)
    ]


def _freeze_member(
    bench: Bench, member: Candidate, own: Mapping[str, float], kind: str | None
) -> Measured:
    patch: Patch
    patch, output = member.payload
    base = bench.prompts[patch.base]
    where = base.places[patch.kind]
    clean = bench.clean[patch.base]
    return Measured(
        kind=kind or patch.kind,
        fields={
            "text": base.prompt.text,
            "position": where.position,
            "n_tokens": len(base.ids),
            "token": where.token,
            "layers": list(blocks(bench.target.n_layers)[patch.block]),
            "relation": base.prompt.fact.relation,
        },
        clean=clean.text,
        outcome=output.text,
        clean_ids=clean.ids,
        outcome_ids=output.ids,
        margin=min(clean.margin, output.margin),
        source=bench.clean[patch.source].text,
        vector=bench.vectors[patch.source, KINDS.index(patch.kind), patch.block],
        place=patch.kind,
        distances=own,
    )


def usable_cells(
    target: TargetModel, seed: int, work: Path, report: Progress
) -> tuple[list[Cell], list[Cell], dict[str, Any]]:
    """Cells of the headline, disrupted cells, and what the survey found of each cell."""
    found = trials.survey(target, SURVEY_POOL, SURVEY_GROUPS, seed, work, report)
    disrupted = [cell for cell, one in found.items() if one.neither >= NEITHER]
    main = [
        cell
        for cell, one in found.items()
        if cell not in disrupted and one.changed >= INERT
    ]
    told = {
        f"{kind}/{block}": {"neither": one.neither, "changed": one.changed}
        for (kind, block), one in found.items()
    }
    return main, disrupted, told


def make_split(
    target: TargetModel,
    split: str,
    *,
    seed: int,
    work: Path,
    report: Progress,
    rounded: Callable[[], TargetModel],
    sizes: Mapping[str, SplitSize] = SIZES,
    facts_from: str | None = None,
) -> tuple[list[list[Measured]], dict[str, Any]]:
    """Measured groups of one split, and a report: `tried` and (not of train) its stability.

    Args:
        target: the target model, float32.
        split: `train`, `validation` or `test`.
        seed: chooses prompts, demonstrations and sources.
        work: folder for journals of this split.
        report: progress callback.
        rounded: gives the target with bf16-rounded weights.
        sizes: how much to make.
        facts_from: split of the facts, if not `split`: a fresh test is made from `reserve`.
    """
    size = sizes[split]
    main, disrupted, surveyed = usable_cells(target, seed, work.parent / "survey", report)
    bench = trials.prepare(target, facts_from or split, size.pool, seed, work, report)
    salt = f"{split}:{seed}"
    spare = SPARE if split != "train" else 1.0
    kept = collect(bench, main, round(size.groups * spare), size, salt)
    more = collect(bench, disrupted, round(size.disrupted * spare), size, f"more:{salt}", both=False)
    cells = {name: dict(counts) for name, counts in (kept.tried | more.tried).items()}
    told: dict[str, Any] = {"tried": {"survey": surveyed, "cells": cells}}
    if split != "train" and kept.groups:
        stable, verdict = keep_stable(bench, [*kept.groups, *more.groups], rounded)
        told |= verdict.report()
        sure = {id(group) for group, _ in stable}
        kept.groups = trim([g for g in kept.groups if id(g[0]) in sure], size.groups)
        more.groups = [g for g in more.groups if id(g[0]) in sure][: size.disrupted]
    groups = [freeze_group(bench, *group) for group in kept.groups]
    groups += [freeze_group(bench, *group, kind=DISRUPTED) for group in more.groups]
    return groups, told


def finish(
    groups: Mapping[str, Sequence[Sequence[Measured]]],
) -> dict[str, list[list[Measured]]]:
    """Groups of all splits with what depends on the training vectors."""
    return with_nearest(groups)
