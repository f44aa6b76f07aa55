"""Makes the frozen suite of activation patching for any target, from facts and a seed.

Owns which groups are kept; what is tried is in `trials.py`. Everything measured is
journaled in a work folder, so a killed build goes on where it was and gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.backends.answers import Output, Probe
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
from introspect_bench.tasks.activation_patching import measure
from introspect_bench.tasks.activation_patching.measure import Patch, Progress
from introspect_bench.tasks.activation_patching.places import KINDS, blocks
from introspect_bench.tasks.activation_patching.trials import Bench, SplitSize, prepare, rounds
from introspect_bench.tasks.groups import Candidate, CandidateGroup, Selection, select
from introspect_bench.tasks.statistics import Bar

BUILD = 1
"""Version of what is measured. Raise it with every change after which rows of an old journal would
be wrong under their key: blocks of layers, positions, wording, delimiters, how outputs are read."""
SPARE = 1.2
"""Groups put through the stability test for each group wanted."""
OUTCOME_CAP = 0.06
"""Largest share of one outcome that selection allows; the bar is 0.08."""

BARS = {
    "train": (Bar(name="queries", low=10_000),),
    "validation": (Bar(name="queries", low=400),),
    "test": (Bar(name="queries", low=1_000), Bar(name="distinct_outcomes", low=150)),
}
"""Bars of single splits."""
BARS_ALL = (
    Bar(name="share_changed", low=0.45, high=0.55),
    Bar(name="share_commonest_outcome", high=0.08),
    Bar(name="input_only_ceiling.exact_match", high=0.65),
    Bar(name="least_share_of_block", low=0.05),
)
"""Bars of every split."""
BARS_KIND: dict[str, tuple[Bar, ...]] = {}
"""Bars of single kinds: none."""


SIZES = {
    "train": SplitSize(groups=2_500, pool=3_600, uses=2),
    "validation": SplitSize(groups=100, pool=700, uses=1),
    "test": SplitSize(groups=250, pool=1_600, uses=1),
}
"""Sizes of v1."""


def candidate_group(
    bench: Bench, patches: Sequence[Patch], outputs: Sequence[Output]
) -> CandidateGroup:
    """Measured patches as candidates.

    Left out are outputs without a letter or digit or not valid Unicode, and sources that read the
    same tokens up to the patched one as an earlier source: their vectors are the same.
    """
    first = patches[0]
    clean = bench.clean[first.base]
    members: dict[tuple[int, ...], Candidate] = {}
    for patch, output in zip(patches, outputs, strict=True):
        source = bench.prompts[patch.source]
        read = source.ids[: source.places[patch.kind].position + 1]
        if "\ufffd" not in output.text and any(map(str.isalnum, output.text)):
            found = Candidate(clean=clean.text, outcome=output.text, payload=(patch, output))
            members.setdefault(read, found)
    return CandidateGroup(cell=f"{first.kind}/{first.block}", members=tuple(members.values()))


def collect(bench: Bench, size: SplitSize, wanted: int, salt: str) -> list[tuple[Candidate, ...]]:
    """Measure rounds until enough groups can be chosen."""
    candidates: list[CandidateGroup] = []
    selection = Selection(size=wanted, outcome_cap=OUTCOME_CAP)
    for found in rounds(bench, size, salt):
        candidates += [candidate_group(bench, patches, outputs) for patches, outputs in found]
        selection = select(candidates, Selection(size=wanted, outcome_cap=OUTCOME_CAP))
        bench.report(f"groups chosen of {wanted}", 0)
        if len(selection.groups) >= wanted:
            break
    return selection.groups


def keep_stable(
    bench: Bench, groups: Sequence[Sequence[Candidate]], rounded: Callable[[], TargetModel]
) -> tuple[list[CandidateGroup], Stability]:
    """Measure chosen groups again; keep those whose every label is stable.

    Args:
        bench: the split.
        groups: chosen groups.
        rounded: gives the target with weights rounded to bf16.
    """
    probes: list[Probe] = []
    for group in groups:
        base = group[0].payload[0].base
        ids = bench.prompts[base].ids
        probes.append(Probe(ids=ids, branch=Branch(ids=ids), output=bench.clean[base]))
        for member in group:
            patch, output = member.payload
            branch = measure.branch_of(patch, bench.prompts, bench.vectors, bench.target.n_layers)
            position = bench.prompts[base].places[patch.kind].position
            probes.append(Probe(ids=ids, position=position, branch=branch, output=output))
    again = {}
    for name in CONFIGURATIONS:
        model = rounded() if name == "bf16-weights" else bench.target
        again[name] = measure_again(
            model,
            probes,
            name,
            Journal(bench.work / f"{name}.jsonl"),
            on_batch=lambda n, name=name: bench.report(f"stability {name}", n),  # type: ignore[misc]
        )
    verdict = judge(probes, again)
    kept, cursor = [], 0
    for group in groups:
        size = len(group) + 1
        if all(verdict.stable[cursor : cursor + size]):
            patch = group[0].payload[0]
            kept.append(CandidateGroup(cell=f"{patch.kind}/{patch.block}", members=tuple(group)))
        cursor += size
    return kept, verdict


def freeze_member(bench: Bench, member: Candidate) -> Measured:
    """A chosen candidate as the query that is written."""
    patch, output = member.payload
    base = bench.prompts[patch.base]
    where = base.places[patch.kind]
    clean = bench.clean[patch.base]
    return Measured(
        kind=patch.kind,
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
    )


def make_split(
    target: TargetModel,
    split: str,
    *,
    seed: int,
    work: Path,
    report: Progress,
    rounded: Callable[[], TargetModel],
    sizes: Mapping[str, SplitSize] = SIZES,
) -> tuple[list[list[Measured]], dict[str, Any]]:
    """Measured groups of one split, and the stability report (empty for train).

    Args:
        target: the target model, float32.
        split: `train`, `validation` or `test`.
        seed: chooses prompts, demonstrations and sources.
        work: folder for journals of this split.
        report: progress callback.
        rounded: gives the target with bf16-rounded weights.
        sizes: how much to make.
    """
    size = sizes[split]
    bench = prepare(target, split, size, seed, work, report)
    salt = f"{split}:{seed}"
    if split == "train":
        chosen = collect(bench, size, size.groups, salt)
        return [[freeze_member(bench, m) for m in group] for group in chosen], {}
    spare = collect(bench, size, round(size.groups * SPARE), salt)
    stable, verdict = keep_stable(bench, spare, rounded)
    final = select(stable, Selection(size=size.groups, outcome_cap=OUTCOME_CAP))
    groups = [[freeze_member(bench, m) for m in group] for group in final.groups]
    return groups, verdict.report()
