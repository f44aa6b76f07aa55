"""Which prompts are patched, where and from which sources.

Owns the proposals of one split; what comes out is `survey.py`, which groups are kept is
`contrast.py` and `collect.py`. What is proposed depends on no choice made before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ....benchmark.backends.interventions.outputs import cut
from ....benchmark.backends.models.target_model import TargetModel
from ....benchmark.cache import Journal
from ....benchmark.records import Answer
from ...build.order import Report
from ...facts.facts import facts_of, interleave, names_something, one_shot, other_fact, rank
from ...verdicts import expressible as sayable
from ..task import KINDS
from . import measure_patches as measure
from .measure_patches import Bench, Cell, Patch, blocks, place

SOURCES = 16  # sources screened per place, in every block, by the first token of the answer
POOL = 120  # possible sources looked at for one place, at most
LEAST = 2  # changed and unchanged candidates that a group needs, each
MARGIN = 0.1
"""Smallest gap in logits between the two likeliest tokens, anywhere in the answers, clean and
patched."""
FOREIGN = frozenset({"relation"})
"""Kinds whose sources are of other relations than the base: the word that names the relation
changes nothing when it comes from the same relation. All other kinds stay within the relation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSize:
    """How much of a split to make."""

    groups: int  # groups of four wanted
    disrupted: int = 0  # groups wanted besides these from disrupted cells
    pool: int  # prompts prepared as bases and sources, at most
    tries: int  # kinds of place in which a prompt is tried as base, at most
    more: int = 0  # kinds in which it is tried besides, once every prompt has been
    uses: int  # groups that are kept of one base, at most; 1 keeps groups independent of each other
    slack: float = 1.0
    """By how much the bounds of leans are widened (`matching`); train, which nobody is scored on,
    would else give out before it is full."""
    ruled_changed: float = 0.08  # largest share of changed answers that rules fitted on train guess
    round: int = 10  # places of one kind tried in one round
    sparing: bool = False
    """Whether to measure only what can still give a group, and to fit probes on the first places of
    the split itself, not of train. Frozen suites were made without."""


def prepare(
    target: TargetModel, facts_from: str, pool: int, seed: int, work: Path, report: Report
) -> Bench:
    """Write prompts, keep those the target answers with an entity, and read their vectors."""
    facts = facts_of(facts_from, seed)
    placed = []
    for fact in islice(interleave(facts), pool):
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


def all_cells(target: TargetModel) -> list[Cell]:
    """Every kind in every block."""
    return [(kind, block) for kind in KINDS for block in range(len(blocks(target.n_layers)))]


def expressible(text: str) -> bool:
    """Whether an answer has a letter or digit and a reply can say it."""
    return "\ufffd" not in text and sayable(Answer(changed=True, content=text))


def usable_bases(bench: Bench) -> list[int]:
    """Prompts whose clean answer is clear enough and can be said."""
    return [
        i
        for i, output in enumerate(bench.clean)
        if output.margin >= MARGIN and expressible(output.text)
    ]


def queues(
    bench: Bench, cells: Sequence[Cell], tries: int, salt: str, more: int = 0
) -> dict[str, list[list[Patch]]]:
    """Places to be tried, by kind; each base in `tries` kinds chosen by hash, then in `more`.

    A place is a list of patches: the same sources in every block of the kind's cells.
    """
    kinds = list(dict.fromkeys(kind for kind, _ in cells))
    found: dict[str, list[list[Patch]]] = {kind: [] for kind in kinds}

    def order(index: int) -> int:
        return rank("base", salt, bench.prompts[index].prompt.text)

    bases = sorted(usable_bases(bench), key=order)
    turns = [(0, tries), (tries, tries + more)]
    for first, last, base in ((a, b, base) for a, b in turns for base in bases):
        text = bench.prompts[base].prompt.text
        own = [kind for kind in kinds if kind in bench.prompts[base].places]
        own.sort(key=lambda kind: rank("kind", salt, text, kind))
        for kind in own[first:last]:
            sources = sources_for(bench, base, kind, salt)
            if len(sources) >= 2 * LEAST:
                found[kind].append(
                    [
                        Patch(base=base, source=source, kind=kind, block=block)
                        for block in (b for k, b in cells if k == kind)
                        for source in sources
                    ]
                )
    return found


def sources_for(bench: Bench, base: int, kind: str, salt: str) -> list[int]:
    """Sources for a place, their answers varied.

    Sources that read the same tokens up to the patched one have the same vector and count once.
    """
    own = bench.prompts[base].prompt
    known = {_read(bench, base, kind)}
    pool: list[int] = []
    for index in _ranked(bench, kind, f"{salt}\0{own.text}"):
        fact = bench.prompts[index].prompt.fact
        if fact.subject == own.fact.subject:
            continue
        if (fact.relation != own.fact.relation) != (kind in FOREIGN):
            continue
        read = _read(bench, index, kind)
        if read not in known:
            known.add(read)
            pool.append(index)
        if len(pool) == POOL:
            break
    return varied(pool, lambda index: bench.clean[index].text)[:SOURCES]


def _ranked(bench: Bench, kind: str, salt: str) -> list[int]:
    """Prompts with a kind, in an order of their own for each salt."""
    having = [i for i, p in enumerate(bench.prompts) if kind in p.places]
    generator = np.random.default_rng(rank("source", salt))
    return [having[i] for i in generator.permutation(len(having))]


def _read(bench: Bench, index: int, kind: str) -> tuple[int, ...]:
    prompt = bench.prompts[index]
    return prompt.ids[: prompt.places[kind].position + 1]


def varied(
    ordered: Sequence[int], name_of: Callable[[int], Hashable], seen: Iterable[Hashable] = ()
) -> list[int]:
    """Items whose name was not seen before, then the others, each in their order."""
    names = set(seen)
    fresh: list[int] = []
    rest: list[int] = []
    for one in ordered:
        (rest if name_of(one) in names else fresh).append(one)
        names.add(name_of(one))
    return fresh + rest
