"""Makes the frozen suite of activation patching for any target, from facts and a seed.

Owns how much is made and which cells it comes from; what is tried is in `trials.py`, which four of
a group are kept in `contrast.py`. Everything measured is journaled in a work folder, so a killed
build goes on where it was and gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ....benchmark.backends.interventions.outputs import Probe
from ....benchmark.backends.interventions.stability import (
    CONFIGURATIONS,
    Stability,
    judge,
    measure_again,
)
from ....benchmark.backends.interventions.trace import Branch
from ....benchmark.backends.models.target_model import TargetModel
from ....benchmark.cache import Journal
from ....benchmark.suite.freeze import Measured
from ...build.order import FRESH, Report, SplitJob
from ...build.statistics import Bar
from ..task import DISRUPTED, KINDS
from . import survey as reading
from . import trials
from .balance import DISTANCES, Four, distances, with_nearest
from .collect import collect, fit
from .contrast import trim
from .measure_patches import Bench, Cell, Patch, blocks, branch_of
from .rules import fit_rules
from .trials import SplitSize

BUILD = 2
"""Version of what is measured. Raise it with every change after which rows of an old journal would
be wrong under their key: blocks of layers, positions, wording, delimiters, how outputs are read."""
KNOWS_TRAIN = True
"""`make_split` is given the groups of train: the others are chosen against rules fitted on them."""
SPARE = 1.05  # groups put through the stability test for each group wanted
SURVEY_POOL = 200  # training prompts written for the survey of cells
SURVEY_GROUPS = 8  # groups the survey tries per cell
NEITHER = 0.9
"""Cells in which at least this share of patches gives neither prompt's answer are disrupted."""
INERT = 0.1  # cells in which a smaller share of patches changes the answer are not used

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
BARS[FRESH] = (Bar(name="queries", low=800), *BARS["test"][1:])
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
BARS_KIND: dict[str, tuple[Bar, ...]] = {}  # bars of single kinds: none


SIZES = {
    "train": SplitSize(groups=1_500, pool=1_800, tries=4, uses=4, slack=10.0),
    "validation": SplitSize(
        groups=100, disrupted=10, pool=450, tries=4, more=1, uses=1, ruled_changed=0.05
    ),
    "test": SplitSize(groups=250, disrupted=25, pool=1_000, tries=3, more=2, uses=1),
    FRESH: SplitSize(groups=200, pool=1_000, tries=3, more=2, uses=1, round=20, sparing=True),
}
"""Sizes of v2. A fresh test has as many groups as the reserve gives in half an hour."""


def keep_stable(
    bench: Bench,
    groups: Sequence[Four],
    rounded: Callable[[], TargetModel],
) -> tuple[list[Four], Stability]:
    """Measure chosen groups again; keep those whose every label is stable."""
    probes: list[Probe] = []
    for _, four in groups:
        base = four[0].payload[0].base
        ids = bench.prompts[base].ids
        probes.append(Probe(ids=ids, branch=Branch(ids=ids), output=bench.clean[base]))
        for member in four:
            patch, output = member.payload
            branch = branch_of(bench, patch)
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
        group for i, group in enumerate(groups) if all(verdict.stable[size * i : size * (i + 1)])
    ]
    return kept, verdict


def freeze_group(bench: Bench, chosen: Four, kind: str | None = None) -> list[Measured]:
    """A chosen group as the queries that are written; `kind` replaces the kind of place."""
    group, four = chosen
    (found,) = distances(replace(group, members=four), [range(len(four))])
    rows = []
    for member, own in zip(four, found.T, strict=True):
        patch: Patch
        patch, output = member.payload
        base, source = bench.prompts[patch.base], bench.prompts[patch.source]
        where, read = base.places[patch.kind], source.places[patch.kind]
        clean = bench.clean[patch.base]
        one = Measured(
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
            origin={
                "text": source.prompt.text,
                "position": read.position,
                "token": read.token,
                "subject": source.prompt.fact.subject,
                "relation": source.prompt.fact.relation,
            },
            vector=bench.vectors[patch.source, KINDS.index(patch.kind), patch.block],
            place=patch.kind,
            distances=dict(zip(DISTANCES, map(float, own), strict=True)),
        )
        rows.append(one)
    return rows


def usable_cells(
    target: TargetModel, seed: int, work: Path, report: Report
) -> tuple[list[Cell], list[Cell], dict[str, Any]]:
    """Cells of the headline, disrupted cells, and what the survey found of each cell."""
    found = reading.survey(target, SURVEY_POOL, SURVEY_GROUPS, seed, work, report)
    disrupted = [cell for cell, one in found.items() if one["neither"] >= NEITHER]
    changed = [cell for cell, one in found.items() if one["changed"] >= INERT]
    main = [cell for cell in changed if cell not in disrupted]
    return main, disrupted, {reading.name_of(cell): one for cell, one in found.items()}


def make_split(
    job: SplitJob,
    *,
    sizes: Mapping[str, SplitSize] = SIZES,
    facts: str | None = None,
    known: Sequence[Sequence[Measured]] = (),
) -> tuple[list[list[Measured]], dict[str, Any]]:
    """Measured groups of one split, and a report: `tried` and (not of train) its stability.

    `facts` is the split of the facts, if not the job's: a fresh test is made from `reserve`.
    `known` are the groups of train, for the others.
    """
    split, seed = job.split, job.seed
    size = sizes[split] if facts is None else sizes.get(FRESH, sizes[split])
    main, disrupted, surveyed = usable_cells(
        job.target, seed, job.work.parent / "survey", job.report
    )

    def prepared(facts_from: str, pool: int, place: Path) -> Bench:
        return trials.prepare(job.target, facts_from, pool, seed, place, job.report)

    bench = prepared(facts or split, size.pool, job.work)
    probes = None
    if not size.sparing:
        most = sizes["train"]
        train = job.work.parent / "train"
        learnt = bench if split == "train" else prepared("train", most.pool, train)
        probes = fit(learnt, main, most, f"train:{seed}")
    rules = fit_rules(known) if known else None
    spare = SPARE if split != "train" else 1.0
    salt, wanted = f"{split}:{seed}", round(size.groups * spare)
    kept = collect(bench, main, wanted, size, salt, probes=probes, rules=rules)
    wanted = round(size.disrupted * spare)
    more = collect(bench, disrupted, wanted, size, f"more:{salt}", both=False)
    cells = {name: dict(counts) for name, counts in (kept.tried | more.tried).items()}
    told: dict[str, Any] = {"tried": {"survey": surveyed, "cells": cells}}
    chosen, others = kept.groups, more.groups
    if split != "train" and chosen:
        stable, verdict = keep_stable(bench, [*chosen, *others], job.rounded)
        told |= verdict.report()
        sure = {id(group) for group, _ in stable}
        chosen = trim([g for g in chosen if id(g[0]) in sure], size.groups)
        others = [g for g in others if id(g[0]) in sure][: size.disrupted]
    groups = [freeze_group(bench, group) for group in chosen]
    groups += [freeze_group(bench, group, DISRUPTED) for group in others]
    return groups, told


finish = with_nearest  # what depends on the training vectors of all splits
