"""What comes out of the places that are tried: first tokens, whole answers, candidates, a survey.

What is read in full depends on no choice made before, so that journals serve whatever is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ....benchmark.backends.interventions.outputs import Output
from ....benchmark.backends.interventions.screen import Screened
from ....benchmark.backends.models.target_model import TargetModel
from ....benchmark.cache import Journal
from ...build.order import Report
from ...facts.facts import OneShot
from ..task import KINDS
from . import measure_patches as measure
from . import trials
from .balance import Candidate, CandidateGroup, Probes, no_probes, overlap
from .measure_patches import Bench, Cell, Patch, blocks
from .rules import Rows, Rules, cell_name
from .trials import LEAST, expressible, varied

READ = 4  # changed and unchanged candidates of a group whose whole answers are read, at most, each


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """Where the vectors of a cell lie."""

    mean: npt.NDArray[np.float32]  # their mean, shape (d_model,)
    spread: float  # their mean distance from it
    probes: npt.NDArray[np.float64]
    """Directions of linear probes of the verdict, shape (2, d_model)."""
    rules: Rules | None = None  # what was fitted on the queries of train, where they are known


def centre(bench: Bench, cell: Cell, probes: Probes | None, rules: Rules | None = None) -> Centre:
    """Mean and spread of a cell's vectors over all prompts of a bench, and the cell's probes."""
    own = bench.stack([i for i, p in enumerate(bench.prompts) if cell[0] in p.places], cell)
    mean = own.mean(axis=0)
    return Centre(
        mean=mean,
        spread=float(np.linalg.norm(own - mean, axis=-1).mean()),
        probes=no_probes(len(mean)) if probes is None else probes.of(name_of(cell)),
        rules=rules,
    )


def worth_reading(bench: Bench, group: Sequence[Patch], screened: Screened) -> list[Patch]:
    """Patches whose whole answers are read; none if the group can't give two and two.

    Those come first whose distances are where changed and unchanged ones meet.
    """
    first = group[0]
    cell = first.cell
    original = bench.stack([first.base], cell)
    gaps = np.linalg.norm(bench.stack([p.source for p in group], cell) - original, axis=-1)
    clear = [i for i, gap in enumerate(screened.gaps) if gap >= trials.MARGIN]
    changed = [i for i in clear if screened.tokens[i] != screened.clean[0]]
    same = [i for i in clear if screened.tokens[i] == screened.clean[0]]
    if len({screened.tokens[i] for i in changed}) < LEAST or len(same) < LEAST:
        return []
    middle = (gaps[changed].mean() + gaps[same].mean()) / 2
    changed.sort(key=lambda i: abs(gaps[i] - middle))
    same.sort(key=lambda i: abs(gaps[i] - middle))
    # the runner-up of the clean run is guessed most easily
    changed = varied(changed, lambda i: screened.tokens[i], [screened.clean[1]])
    return [group[i] for i in changed[:READ] + same[:READ]]


def distinct(group: Sequence[Patch], screened: Screened) -> list[Patch]:
    """Patches of a disrupted place whose answers are read: clear ones that begin differently."""
    first: dict[int, Patch] = {}
    for patch, token, gap in zip(group, screened.tokens, screened.gaps, strict=True):
        if gap >= trials.MARGIN:
            first.setdefault(token, patch)
    return list(first.values()) if len(first) >= 2 * LEAST else []


def by_block(place: Sequence[Patch], screened: Screened) -> Iterator[tuple[list[Patch], Screened]]:
    """The patches of a place, one block after the other, each with its own first tokens."""
    for _, places in groupby(range(len(place)), lambda i: place[i].block):
        own = list(places)
        yield (
            [place[i] for i in own],
            Screened(
                clean=screened.clean,
                tokens=tuple(screened.tokens[i] for i in own),
                gaps=tuple(screened.gaps[i] for i in own),
            ),
        )


def measured(
    bench: Bench, places: Sequence[Sequence[Patch]], centres: Mapping[Cell, Centre], *, both: bool
) -> tuple[list[list[CandidateGroup]], dict[str, Counter[str]]]:
    """Screen places of one kind and read what is worth it.

    Return for each place the groups that can be chosen from, at most one a block; counts by cell.
    """
    journal = Journal(bench.work / "patched" / f"{places[0][0].kind}.jsonl")
    screened = measure.first_tokens(bench, places, journal)
    chosen: list[list[Patch]] = []
    tried: dict[str, Counter[str]] = {}
    for place_, one in zip(places, screened, strict=True):
        read: list[Patch] = []
        for group, own in by_block(place_, one):
            few = worth_reading(bench, group, own) if both else distinct(group, own)
            tried.setdefault(name_of(group[0].cell), Counter()).update(
                groups=1, patches=len(group), groups_read=bool(few), patches_read=len(few)
            )
            read += few
        chosen.append(read)
    asked = [few for few in chosen if few]
    outputs = iter(measure.patched_outputs(bench, asked, journal))
    found: list[list[CandidateGroup]] = []
    for few, one in zip(chosen, screened, strict=True):
        answers = list(zip(few, next(outputs) if few else (), strict=True))
        by_cell = groupby(answers, lambda answer: answer[0].cell)
        found.append(
            [candidates(bench, list(own), one.clean[1], centres[cell]) for cell, own in by_cell]
        )
    return found, tried


def name_of(cell: Cell) -> str:
    """A cell as a word."""
    return f"{cell[0]}/{cell[1]}"


def candidates(
    bench: Bench, answers: Sequence[tuple[Patch, Output]], runner_up: int, where: Centre
) -> CandidateGroup:
    """Patches whose answers are clear, can be said, and are the clean one or unlike it."""
    first = answers[0][0]
    cell = first.cell
    clean, prompt = bench.clean[first.base], bench.prompts[first.base].prompt
    members = []
    for patch, output in answers:
        changed = output.text != clean.text
        if output.margin < trials.MARGIN or not expressible(output.text):
            continue
        if changed and overlap(output.text, clean.text):
            continue
        members.append(
            Candidate(
                changed=changed,
                outcome=output.text,
                source=bench.clean[patch.source].text,
                guessed=changed
                and (output.ids[0] == runner_up or overlap(output.text, prompt.shown.objects[0])),
                vector=bench.stack([patch.source], cell)[0],
                payload=(patch, output),
            )
        )
    if where.rules is not None and members:
        members = _ruled(members, where.rules, clean.text, prompt, first, bench.target.n_layers)
    return CandidateGroup(
        cell=name_of(cell),
        relation=prompt.fact.relation,
        original=bench.stack([first.base], cell)[0],
        mean=where.mean,
        spread=where.spread,
        probes=where.probes,
        members=tuple(members),
    )


def _ruled(
    members: Sequence[Candidate],
    rules: Rules,
    clean: str,
    prompt: OneShot,
    patch: Patch,
    depth: int,
) -> list[Candidate]:
    """The members with what rules fitted on train say of them."""
    n = len(members)
    rows = Rows(
        cells=[cell_name(patch.kind, blocks(depth)[patch.block])] * n,
        relations=[prompt.fact.relation] * n,
        texts=[prompt.text] * n,
        vectors=np.stack([member.vector for member in members]),
    )
    hits = rules.guessed(rows, [clean] * n, [member.outcome for member in members])
    said = rules.verdicts(rows, [clean] * n)
    return [
        replace(member, verdict=float(verdict), ruled=hit)
        for member, verdict, hit in zip(members, said, hits, strict=True)
    ]


def survey(
    target: TargetModel, pool: int, groups: int, seed: int, work: Path, report: Report
) -> dict[Cell, dict[str, float]]:
    """Try a few groups of every cell on training facts, the same for every split.

    Return for each cell the share of patches after which the answer begins like `neither` prompt's
    own, and the share after which it begins unlike the base prompt's (`changed`).
    """
    bench = trials.prepare(target, "train", pool, seed, work, report)
    journal = Journal(work / "survey.jsonl")
    seen: dict[Cell, list[tuple[bool, bool]]] = {}
    queues = trials.queues(bench, trials.all_cells(target), len(KINDS), f"survey:{seed}")
    for queue in queues.values():
        tried = queue[:groups]
        screened = measure.first_tokens(bench, tried, journal)
        for place_, one in zip(tried, screened, strict=True):
            for patch, token in zip(place_, one.tokens, strict=True):
                own = bench.clean[patch.source].ids[0]
                found = token not in (one.clean[0], own), token != one.clean[0]
                seen.setdefault(patch.cell, []).append(found)
    means = {cell: np.mean(pairs, axis=0).tolist() for cell, pairs in seen.items()}
    return {cell: {"neither": one[0], "changed": one[1]} for cell, one in means.items()}
