"""Which prompts are patched, where and from which sources, and what comes out.

Owns the proposals of one split and their measurement; which groups are kept is `matching.py` and
`build.py`. What is proposed and what is measured in full depends on no choice made before, so that
journals serve whatever is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.backends.answers import Output, cut
from introspect_bench.benchmark.backends.screening import Screened
from introspect_bench.benchmark.backends.target_model import TargetModel
from introspect_bench.benchmark.journal import Journal
from introspect_bench.benchmark.records import Answer
from introspect_bench.tasks.activation_patching import measure
from introspect_bench.tasks.activation_patching.matching import Candidate, CandidateGroup, overlap
from introspect_bench.tasks.activation_patching.measure import Patch, Progress
from introspect_bench.tasks.activation_patching.places import KINDS, Placed, blocks, place
from introspect_bench.tasks.answers import format_answer, parse_answer
from introspect_bench.tasks.facts.prompts import (
    facts_of,
    interleave,
    names_something,
    one_shot,
    other_fact,
    rank,
)

SOURCES = 16
"""Sources screened per place, in every block, by the first token of the answer."""
POOL = 120
"""Possible sources looked at for one place, at most."""
READ = 4
"""Changed and unchanged candidates of a group whose whole answers are read, at most, each."""
LEAST = 2
"""Changed and unchanged candidates that a group needs, each."""
MARGIN = 0.1
"""Smallest gap in logits between the two likeliest tokens, anywhere in the answers, clean and
patched."""
FOREIGN = frozenset({"relation"})
"""Kinds whose sources are of other relations than the base: the word that names the relation
changes nothing when it comes from the same relation. All other kinds stay within the relation."""

Cell = tuple[str, int]
"""Kind and index of the block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSize:
    """How much of a split to make."""

    groups: int
    """Groups of four wanted."""
    disrupted: int = 0
    """Groups wanted besides these from disrupted cells."""
    pool: int
    """Prompts prepared as bases and sources, at most."""
    tries: int
    """Kinds of place in which a prompt is tried as base, at most."""
    uses: int
    """Groups that are kept of one base, at most; 1 keeps groups independent of each other."""


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

    def stack(self, indices: Sequence[int], cell: Cell) -> npt.NDArray[np.float32]:
        """Vectors of prompts at a cell, float32 (n, d_model)."""
        kind, block = cell
        own = self.vectors[list(indices), KINDS.index(kind), block]
        return own.astype(np.float32)


def prepare(
    target: TargetModel, facts_from: str, pool: int, seed: int, work: Path, report: Progress
) -> Bench:
    """Write prompts, keep those the target answers with an entity, and read their vectors.

    Args:
        target: the target model.
        facts_from: split of the facts.
        pool: prompts written, at most.
        seed: chooses facts and demonstrations.
        work: folder of journals.
        report: progress callback.
    """
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
    answer = Answer(changed=True, content=text)
    return (
        "\ufffd" not in text
        and any(map(str.isalnum, text))
        and parse_answer(format_answer(answer)) == answer
    )


def usable_bases(bench: Bench) -> list[int]:
    """Prompts whose clean answer is clear enough and can be said."""
    return [
        i
        for i, output in enumerate(bench.clean)
        if output.margin >= MARGIN and expressible(output.text)
    ]


def queues(
    bench: Bench, cells: Sequence[Cell], tries: int, salt: str
) -> dict[str, list[list[Patch]]]:
    """Places to be tried, by kind; each base in at most `tries` kinds, chosen by hash.

    A place is a list of patches: the same sources in every block of the kind's cells.
    """
    kinds = list(dict.fromkeys(kind for kind, _ in cells))
    found: dict[str, list[list[Patch]]] = {kind: [] for kind in kinds}

    def order(index: int) -> int:
        return rank("base", salt, bench.prompts[index].prompt.text)

    for base in sorted(usable_bases(bench), key=order):
        text = bench.prompts[base].prompt.text
        own = [kind for kind in kinds if kind in bench.prompts[base].places]
        own.sort(key=lambda kind: rank("kind", salt, text, kind))
        for kind in own[:tries]:
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
    return _varied(pool, bench)


def _ranked(bench: Bench, kind: str, salt: str) -> list[int]:
    """Prompts with a kind, in an order of their own for each salt."""
    having = [i for i, p in enumerate(bench.prompts) if kind in p.places]
    generator = np.random.default_rng(rank("source", salt))
    return [having[i] for i in generator.permutation(len(having))]


def _read(bench: Bench, index: int, kind: str) -> tuple[int, ...]:
    prompt = bench.prompts[index]
    return prompt.ids[: prompt.places[kind].position + 1]


def _varied(ordered: Sequence[int], bench: Bench) -> list[int]:
    seen: set[str] = set()
    fresh: list[int] = []
    rest: list[int] = []
    for index in ordered:
        answer = bench.clean[index].text
        (rest if answer in seen else fresh).append(index)
        seen.add(answer)
    return (fresh + rest)[:SOURCES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """Where the vectors of a cell lie."""

    mean: npt.NDArray[np.float32]
    """Their mean, shape (d_model,)."""
    spread: float
    """Their mean distance from it."""


def centre(bench: Bench, cell: Cell) -> Centre:
    """Mean and spread of a cell's vectors over all prompts of a bench."""
    own = bench.stack([i for i, p in enumerate(bench.prompts) if cell[0] in p.places], cell)
    mean = own.mean(axis=0)
    return Centre(mean=mean, spread=float(np.linalg.norm(own - mean, axis=-1).mean()))


def worth_reading(bench: Bench, group: Sequence[Patch], screened: Screened) -> list[Patch]:
    """Patches whose whole answers are read; none if the group can't give two and two.

    Those come first whose distances are where changed and unchanged ones meet.
    """
    first = group[0]
    cell = (first.kind, first.block)
    original = bench.stack([first.base], cell)
    gaps = np.linalg.norm(bench.stack([p.source for p in group], cell) - original, axis=-1)
    clear = [i for i, gap in enumerate(screened.gaps) if gap >= MARGIN]
    changed = [i for i in clear if screened.tokens[i] != screened.clean[0]]
    same = [i for i in clear if screened.tokens[i] == screened.clean[0]]
    if len({screened.tokens[i] for i in changed}) < LEAST or len(same) < LEAST:
        return []
    middle = (gaps[changed].mean() + gaps[same].mean()) / 2
    changed.sort(key=lambda i: abs(gaps[i] - middle))
    same.sort(key=lambda i: abs(gaps[i] - middle))
    seen: set[int] = {screened.clean[1]}  # the runner-up of the clean run is guessed most easily
    fresh: list[int] = []
    for i in changed:
        if screened.tokens[i] not in seen:
            fresh.append(i)
            seen.add(screened.tokens[i])
    changed = (fresh + [i for i in changed if i not in fresh])[:READ]
    return [group[i] for i in changed + same[:READ]]


def distinct(group: Sequence[Patch], screened: Screened) -> list[Patch]:
    """Patches of a disrupted place whose answers are read: clear ones that begin differently."""
    first: dict[int, Patch] = {}
    for patch, token, gap in zip(group, screened.tokens, screened.gaps, strict=True):
        if gap >= MARGIN:
            first.setdefault(token, patch)
    return list(first.values()) if len(first) >= 2 * LEAST else []


def by_block(
    place: Sequence[Patch], screened: Screened
) -> Iterator[tuple[list[Patch], Screened]]:
    """The patches of a place, one block after the other, each with its own first tokens."""
    for block in dict.fromkeys(patch.block for patch in place):
        own = [i for i, patch in enumerate(place) if patch.block == block]
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
    """Screen places of one kind, read what is worth it.

    Args:
        bench: the split.
        places: patches of each place.
        centres: where the vectors of each cell lie.
        both: whether a group needs changed and unchanged answers.

    Returns:
        For each place the groups that can be chosen from, at most one a block; counts by cell.
    """
    journal = Journal(bench.work / "patched" / f"{places[0][0].kind}.jsonl")
    args = (bench.target, bench.prompts, bench.vectors)
    screened = measure.first_tokens(*args, places, journal, bench.report)
    chosen: list[list[Patch]] = []
    tried: dict[str, Counter[str]] = {}
    for place_, one in zip(places, screened, strict=True):
        read: list[Patch] = []
        for group, own in by_block(place_, one):
            few = worth_reading(bench, group, own) if both else distinct(group, own)
            tried.setdefault(name_of(group[0]), Counter()).update(
                groups=1, patches=len(group), groups_read=bool(few), patches_read=len(few)
            )
            read += few
        chosen.append(read)
    outputs = iter(
        measure.patched_outputs(*args, [few for few in chosen if few], journal, bench.report)
    )
    found: list[list[CandidateGroup]] = []
    for few, one in zip(chosen, screened, strict=True):
        answers = list(zip(few, next(outputs) if few else (), strict=True))
        found.append([])
        for block in dict.fromkeys(patch.block for patch in few):
            own_answers = [(p, output) for p, output in answers if p.block == block]
            where = centres[few[0].kind, block]
            found[-1].append(candidates(bench, own_answers, one.clean[1], where))
    return found, tried


def name_of(patch: Patch) -> str:
    """A patch's cell as a word."""
    return f"{patch.kind}/{patch.block}"


def candidates(
    bench: Bench, answers: Sequence[tuple[Patch, Output]], runner_up: int, where: Centre
) -> CandidateGroup:
    """Patches whose answers are clear, can be said, and are the clean one or unlike it."""
    first = answers[0][0]
    cell = (first.kind, first.block)
    clean, prompt = bench.clean[first.base], bench.prompts[first.base].prompt
    members = []
    for patch, output in answers:
        changed = output.text != clean.text
        if output.margin < MARGIN or not expressible(output.text):
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
    return CandidateGroup(
        cell=name_of(first),
        relation=prompt.fact.relation,
        original=bench.stack([first.base], cell)[0],
        mean=where.mean,
        spread=where.spread,
        members=tuple(members),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """What patches of a cell do, by first tokens."""

    neither: float
    """Share of patches after which the answer begins like neither prompt's own."""
    changed: float
    """Share of patches after which it begins unlike the base prompt's own."""


def survey(
    target: TargetModel, pool: int, groups: int, seed: int, work: Path, report: Progress
) -> Mapping[Cell, Surveyed]:
    """Try a few groups of every cell on training facts, the same for every split."""
    bench = prepare(target, "train", pool, seed, work, report)
    found: dict[Cell, Surveyed] = {}
    cells = all_cells(target)
    salt = f"survey:{seed}"
    journal = Journal(work / "survey.jsonl")
    for queue in queues(bench, cells, len(KINDS), salt).values():
        tried = queue[:groups]
        if not tried:
            continue
        screened = measure.first_tokens(
            target, bench.prompts, bench.vectors, tried, journal, report
        )
        found |= _surveyed(bench, tried, screened)
    return found


def _surveyed(
    bench: Bench, places: Sequence[Sequence[Patch]], screened: Sequence[Screened]
) -> dict[Cell, Surveyed]:
    seen: dict[Cell, list[tuple[bool, bool]]] = {}
    for place_, one in zip(places, screened, strict=True):
        for patch, token in zip(place_, one.tokens, strict=True):
            own = bench.clean[patch.source].ids[0]
            seen.setdefault((patch.kind, patch.block), []).append(
                (token not in (one.clean[0], own), token != one.clean[0])
            )
    return {
        cell: Surveyed(
            neither=float(np.mean([neither for neither, _ in pairs])),
            changed=float(np.mean([changed for _, changed in pairs])),
        )
        for cell, pairs in seen.items()
    }
