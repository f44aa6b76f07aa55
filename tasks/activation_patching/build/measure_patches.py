"""Ground truth of activation patching: what the target says, clean and patched.

Runs the target model, once, when a suite is made; every stage is journaled. The vector of a query
is the mean over a block of layers of a source prompt's residual stream at one position; it replaces
the residual stream at the matching position of the base prompt in every layer of that block
(arXiv:2511.08579, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load, save

from ....benchmark.backends.explainer.chat import offsets_of
from ....benchmark.backends.interventions.outputs import Output, greedy
from ....benchmark.backends.interventions.screen import Screened, screen
from ....benchmark.backends.interventions.trace import Branch, Stem, residuals
from ....benchmark.backends.models.target_model import TargetModel
from ....benchmark.cache import Journal
from ....benchmark.files import canonical_json, read_derived, sha256_bytes, write_derived
from ....benchmark.team import team
from ...build.answers import answers, journaled
from ...build.order import Report
from ...facts.facts import OneShot, rank, tokens_in
from ..task import KINDS

CLEAN_ROWS = 64  # prompts per batch of the clean pass
PATCH_ROWS = 120  # branches per batch of patched runs
MAX_CHUNK_BYTES = 1 << 30  # of the vectors of a batch of the clean pass
SCREEN_ROWS = 640  # branches per batch of first tokens; they run block by block

N_BLOCKS = 5  # blocks the layers are cut into


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One token of one prompt."""

    position: int  # 0-based index in the target's tokenisation
    token: str  # the characters it covers


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A prompt with its tokens and the places where it may be patched."""

    prompt: OneShot
    ids: tuple[int, ...]
    places: dict[str, Place]  # kind to place; kinds the prompt does not have are absent


def blocks(n_layers: int) -> tuple[tuple[int, int], ...]:
    """First and last layer of each block, inclusive; blocks are as equal as they can be."""
    count = min(N_BLOCKS, n_layers)
    edges = [round(i * n_layers / count) for i in range(count + 1)]
    return tuple((low, high - 1) for low, high in pairwise(edges))


def place(tokenizer: Any, prompt: OneShot) -> Placed:
    """Find the places of a prompt. The first token is never one: it is the attention sink."""
    ids = tuple(tokenizer(prompt.text)["input_ids"])
    spans = offsets_of(tokenizer, prompt.text, special=True)
    subject = tokens_in(spans, prompt.spans["subject"])
    last = len(ids) - 1
    found: dict[str, int] = {"last": last}
    if subject:
        found["last-subject"] = subject[-1]
        if len(subject) > 1:
            salt = rank("other-subject", prompt.text)
            found["other-subject"] = subject[salt % (len(subject) - 1)]
    for kind, span in (("relation", "key"), ("demonstration", "shown")):
        tokens = tokens_in(spans, prompt.spans[span])
        if tokens:
            found[kind] = tokens[-1]
    return Placed(
        prompt=prompt,
        ids=ids,
        places={
            kind: Place(position=index, token=_text(prompt.text, spans[index]))
            for kind, index in found.items()
            if index > 0 and (index < last or kind == "last")
        },
    )


def _text(text: str, span: Sequence[int]) -> str:
    return text[span[0] : span[1]].strip() or text[span[0] : span[1]]


Cell = tuple[str, int]  # kind and index of the block


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One patched run to be measured."""

    base: int  # index of the base prompt
    source: int  # index of the source prompt
    kind: str  # position kind, in both prompts
    block: int  # index of the block of layers

    @property
    def cell(self) -> Cell:
        """Kind and block."""
        return self.kind, self.block


def clean_outputs(
    target: TargetModel, prompts: Sequence[Sequence[int]], journal: Journal, report: Report
) -> list[Output]:
    """Greedy answers of prompts without any intervention, in order."""
    stems = [Stem(ids=(), branches=(Branch(ids=tuple(ids)),)) for ids in prompts]
    batched = journaled(
        stems,
        CLEAN_ROWS,
        journal,
        lambda chosen: ["clean", [list(prompts[i]) for i in chosen]],
        lambda few: greedy(target, few),
    )
    return [one for (one,) in answers(stems, batched, partial(report, "clean outputs"))]


def source_vectors(
    target: TargetModel, prompts: Sequence[Placed], folder: Path, report: Report
) -> npt.NDArray[np.float16]:
    """Block means of the residual stream at every place of every prompt.

    Finished chunks lie in `folder` as safetensors behind their hash, named by what was asked.

    Returns:
        float16 (n_prompts, n_kinds, n_blocks, d_model); zero where a prompt lacks the kind. The
        float16 values are what is written into the target, so the shipped vector is exactly the
        measured one.
    """
    spans = blocks(target.n_layers)
    table = np.zeros((len(prompts), len(KINDS), len(spans), target.d_model), dtype=np.float16)
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i].ids), i))

    def measure(chosen: Sequence[int]) -> bytes:
        asked = [[prompts[i].ids, [p.position for p in prompts[i].places.values()]] for i in chosen]
        path = folder / f"{sha256_bytes(canonical_json(asked).encode())[:24]}.safetensors"
        data = read_derived(path, max_bytes=MAX_CHUNK_BYTES)
        if data is None:
            data = save({"means": _chunk(target, [prompts[i] for i in chosen], spans)})
            write_derived(path, data)
        return data

    jobs = [order[start : start + CLEAN_ROWS] for start in range(0, len(order), CLEAN_ROWS)]
    for chosen, data in team().deal(jobs, measure):
        table[chosen] = load(data)["means"]
        report("source vectors", len(chosen))
    return table


def _chunk(
    target: TargetModel, prompts: Sequence[Placed], spans: Sequence[tuple[int, int]]
) -> npt.NDArray[np.float16]:
    reads = residuals(
        target,
        [prompt.ids for prompt in prompts],
        [[place.position for place in prompt.places.values()] for prompt in prompts],
    )
    means = np.zeros((len(prompts), len(KINDS), len(spans), target.d_model), dtype=np.float16)
    for row, (prompt, read) in enumerate(zip(prompts, reads, strict=True)):
        for kind, values in zip(prompt.places, read.float().cpu(), strict=True):
            for block, (low, high) in enumerate(spans):
                means[row, KINDS.index(kind), block] = values[low : high + 1].mean(0).half().numpy()
    return means


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One split at work: target, prompts, clean outputs and vectors."""

    target: TargetModel
    work: Path
    report: Report
    prompts: tuple[Placed, ...]  # base and source prompts
    clean: tuple[Output, ...]  # their clean outputs
    vectors: npt.NDArray[np.float16]  # float16 (n_prompts, n_kinds, n_blocks, d_model)

    def stack(self, indices: Sequence[int], cell: Cell) -> npt.NDArray[np.float32]:
        """Vectors of prompts at a cell, float32 (n, d_model)."""
        kind, block = cell
        own = self.vectors[list(indices), KINDS.index(kind), block]
        return own.astype(np.float32)


def branch_of(bench: Bench, patch: Patch) -> Branch:
    """The branch that performs a patch: base tokens from the patched one on, with the vector."""
    base = bench.prompts[patch.base]
    return Branch(
        ids=base.ids[base.places[patch.kind].position :],
        layers=blocks(bench.target.n_layers)[patch.block],
        vector=torch.from_numpy(bench.stack([patch.source], patch.cell)[0]),
    )


def _stem(bench: Bench, group: Sequence[Patch]) -> Stem:
    """The base's tokens before the patched one, and a branch a patch."""
    base = bench.prompts[group[0].base]
    position = base.places[group[0].kind].position
    branches = tuple(branch_of(bench, patch) for patch in group)
    return Stem(ids=base.ids[:position], branches=branches)


def _asked(
    what: str, bench: Bench, groups: Sequence[Sequence[Patch]], chosen: Sequence[int]
) -> list[Any]:
    patches = [patch for i in chosen for patch in groups[i]]
    texts = [prompt.prompt.text for prompt in bench.prompts]
    return [what, [[texts[p.base], texts[p.source], p.kind, p.block] for p in patches]]


def first_tokens(
    bench: Bench, groups: Sequence[Sequence[Patch]], journal: Journal
) -> list[Screened]:
    """First answer tokens, clean and after each patch; a group shares base and kind."""
    stems = [_stem(bench, group) for group in groups]
    found: dict[int, Screened] = {}
    asked, read = partial(_asked, "screened", bench, groups), partial(screen, bench.target)
    for chosen, rows in journaled(stems, SCREEN_ROWS, journal, asked, read):
        found |= {
            i: Screened(**{name: tuple(values) for name, values in row.items()})
            for i, row in zip(chosen, rows, strict=True)
        }
        bench.report("patches screened", sum(len(groups[i]) for i in chosen))
    return [found[i] for i in range(len(groups))]


def patched_outputs(
    bench: Bench, groups: Sequence[Sequence[Patch]], journal: Journal
) -> list[list[Output]]:
    """Greedy answers after each patch, group by group; a group shares base and kind."""
    stems = [_stem(bench, group) for group in groups]
    asked = partial(_asked, "patched", bench, groups)
    batched = journaled(stems, PATCH_ROWS, journal, asked, lambda few: greedy(bench.target, few))
    return answers(stems, batched, partial(bench.report, "patched outputs"))
