"""Which prompts are patched, where and from which sources: groups to choose from, round by round.

Owns the proposals of one split and their measurement; which groups are kept is `build.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.backends.answers import Output, cut
from introspect_bench.benchmark.backends.target_model import TargetModel
from introspect_bench.benchmark.journal import Journal
from introspect_bench.tasks.activation_patching import measure
from introspect_bench.tasks.activation_patching.measure import Patch, Progress
from introspect_bench.tasks.activation_patching.places import KINDS, Placed, blocks, place
from introspect_bench.tasks.facts.prompts import (
    facts_of,
    interleave,
    names_something,
    one_shot,
    other_fact,
    rank,
)

SOURCES = 6
"""Vectors tried per group; four are kept."""
FOREIGN = {"relation": 3}
"""Sources taken from other relations, by kind; 1 where not listed. A relation token of the same
relation seldom changes anything."""
ROUND = 12
"""Groups tried per cell in one round."""
POOR_YIELD = 0.15
"""Cells with a smaller share of groups that show two outcomes are given up after their first
round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSize:
    """How much of a split to make."""

    groups: int
    """Groups of four wanted."""
    pool: int
    """Prompts prepared as bases and sources, at most."""
    uses: int
    """Groups tried per base prompt, at most; 1 keeps test groups independent of each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One split at work: target, prompts, clean outputs and vectors."""

    target: TargetModel
    """The target model."""
    work: Path
    """Folder of journals."""
    report: Progress
    """Progress callback."""
    prompts: tuple[Placed, ...]
    """Base and source prompts."""
    clean: tuple[Output, ...]
    """Their clean outputs."""
    vectors: npt.NDArray[np.float16]
    """float16 (n_prompts, n_kinds, n_blocks, d_model)."""


def prepare(
    target: TargetModel, split: str, size: SplitSize, seed: int, work: Path, report: Progress
) -> Bench:
    """Write prompts, keep those the target answers with an entity, and read their vectors."""
    facts = facts_of(split, seed)
    placed = []
    for fact in islice(interleave(facts), size.pool):
        shown = other_fact(fact, facts[fact.relation], f"shown:{seed}")
        if shown is not None:
            placed.append(place(target.tokenizer, one_shot(fact, shown)))
    clean = measure.clean_outputs(
        target, [p.ids for p in placed], Journal(work / "clean.jsonl"), report
    )
    kept = [i for i, out in enumerate(clean) if names_something(out.text, cut(target, out.ids)[1])]
    prompts = tuple(placed[i] for i in kept)
    return Bench(
        target=target,
        work=work,
        report=report,
        prompts=prompts,
        clean=tuple(clean[i] for i in kept),
        vectors=measure.source_vectors(target, prompts, work / "vectors", report),
    )


def sources_for(bench: Bench, base: int, kind: str, salt: str) -> list[int]:
    """Source prompts for a group, their answers as varied as possible.

    Other subjects, mostly of the same relation.
    """
    own = bench.prompts[base].prompt.fact
    same: list[int] = []
    foreign: list[int] = []
    for index, other in enumerate(bench.prompts):
        if kind in other.places and other.prompt.fact.subject != own.subject:
            (same if other.prompt.fact.relation == own.relation else foreign).append(index)
    text = bench.prompts[base].prompt.text

    def order(index: int) -> int:
        return rank("source", salt, text, kind, bench.prompts[index].prompt.text)

    n_foreign = FOREIGN.get(kind, 1)
    chosen = _varied(sorted(same, key=order), bench, SOURCES - n_foreign)
    chosen += sorted(foreign, key=order)[: SOURCES - len(chosen)]
    return chosen


def _varied(ordered: Sequence[int], bench: Bench, count: int) -> list[int]:
    seen: set[str] = set()
    fresh: list[int] = []
    rest: list[int] = []
    for index in ordered:
        answer = bench.clean[index].text
        (rest if answer in seen else fresh).append(index)
        seen.add(answer)
    return (fresh + rest)[:count]


def rounds(
    bench: Bench, size: SplitSize, salt: str
) -> Iterator[list[tuple[list[Patch], list[Output]]]]:
    """Measured groups, round by round; cells that never show two outcomes are given up."""
    cells = [(kind, block) for kind in KINDS for block in range(len(blocks(bench.target.n_layers)))]
    orders = {cell: _bases(bench, cell, salt) for cell in cells}
    uses = [0] * len(bench.prompts)
    journal = Journal(bench.work / "patched.jsonl")
    first = True
    while cells:
        groups: list[list[Patch]] = []
        for kind, block in cells:
            queue, taken = orders[kind, block], 0
            while queue and taken < ROUND:
                base = queue.pop(0)
                if uses[base] < size.uses:
                    uses[base] += 1
                    taken += 1
                    groups.append(
                        [
                            Patch(base=base, source=source, kind=kind, block=block)
                            for source in sources_for(bench, base, kind, salt)
                        ]
                    )
        groups = [group for group in groups if len(group) >= 4]
        if not groups:
            return
        outputs = measure.patched_outputs(
            bench.target, bench.prompts, bench.vectors, groups, journal, bench.report
        )
        if first:
            cells = _fruitful(cells, groups, outputs)
            first = False
        yield list(zip(groups, outputs, strict=True))


def _bases(bench: Bench, cell: tuple[str, int], salt: str) -> list[int]:
    """Prompts that have a cell's kind of position, in hash order."""
    kind, block = cell

    def order(index: int) -> int:
        return rank("base", salt, kind, str(block), bench.prompts[index].prompt.text)

    return sorted((i for i, p in enumerate(bench.prompts) if kind in p.places), key=order)


def _fruitful(
    cells: Sequence[tuple[str, int]], groups: Sequence[list[Patch]], outputs: Sequence[list[Output]]
) -> list[tuple[str, int]]:
    tried: dict[tuple[str, int], list[bool]] = {}
    for group, found in zip(groups, outputs, strict=True):
        varied = len({output.text for output in found}) >= 2
        tried.setdefault((group[0].kind, group[0].block), []).append(varied)
    return [c for c in cells if c in tried and sum(tried[c]) / len(tried[c]) >= POOR_YIELD]
