"""Ground truth of activation patching: what the target says, clean and patched.

Runs the target model, once, when a suite is made; every stage is journaled. The vector of a query
is the mean over a block of layers of a source prompt's residual stream at one position; it replaces
the residual stream at the matching position of the base prompt in every layer of that block
(arXiv:2511.08579, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file

from ....benchmark.backends.interventions.outputs import Output, batches, greedy
from ....benchmark.backends.interventions.screen import Screened, screen
from ....benchmark.backends.interventions.trace import Branch, Stem, residuals
from ....benchmark.backends.models.target_model import TargetModel
from ....benchmark.cache import Journal
from ....benchmark.files import canonical_json, sha256_bytes, write_safetensors_atomic
from ..task import KINDS
from .positions import Placed, blocks

CLEAN_ROWS = 64
"""Prompts per batch of the clean pass."""
PATCH_ROWS = 120
"""Branches per batch of patched runs."""
SCREEN_ROWS = 640
"""Branches per batch of first tokens; they run block by block."""

Progress = Callable[[str, int], None]
"""Called with a stage name and the number of items just finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One patched run to be measured."""

    base: int
    """Index of the base prompt."""
    source: int
    """Index of the source prompt."""
    kind: str
    """Position kind, in both prompts."""
    block: int
    """Index of the block of layers."""


def output_of(row: dict[str, object]) -> Output:
    """Output from its journal row."""
    return Output(text=str(row["text"]), ids=tuple(row["ids"]), margin=float(row["margin"]))  # type: ignore[arg-type]


def clean_outputs(
    target: TargetModel, prompts: Sequence[Sequence[int]], journal: Journal, report: Progress
) -> list[Output]:
    """Greedy answers of prompts without any intervention, in order."""
    stems = [Stem(ids=(), branches=(Branch(ids=tuple(ids)),)) for ids in prompts]
    found: dict[int, Output] = {}
    for chosen in batches(stems, CLEAN_ROWS):

        def compute(chosen: Sequence[int] = chosen) -> list[dict[str, object]]:
            return [asdict(output) for output in greedy(target, [stems[i] for i in chosen])]

        rows = journal.run(["clean", [list(prompts[i]) for i in chosen]], compute)
        found.update({i: output_of(row) for i, row in zip(chosen, rows, strict=True)})
        report("clean outputs", len(chosen))
    return [found[i] for i in range(len(prompts))]


def source_vectors(
    target: TargetModel, prompts: Sequence[Placed], folder: Path, report: Progress
) -> npt.NDArray[np.float16]:
    """Block means of the residual stream at every place of every prompt.

    Finished chunks lie in `folder` as safetensors, named by a hash of what they hold.

    Returns:
        float16 (n_prompts, n_kinds, n_blocks, d_model); zero where a prompt lacks the kind. The
        float16 values are what is written into the target, so the shipped vector is exactly the
        measured one.
    """
    spans = blocks(target.n_layers)
    table = np.zeros((len(prompts), len(KINDS), len(spans), target.d_model), dtype=np.float16)
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i].ids), i))
    for start in range(0, len(order), CLEAN_ROWS):
        chosen = order[start : start + CLEAN_ROWS]
        asked = [[prompts[i].ids, [p.position for p in prompts[i].places.values()]] for i in chosen]
        path = folder / f"{sha256_bytes(canonical_json(asked).encode())[:24]}.safetensors"
        if not path.exists():
            means = _chunk(target, [prompts[i] for i in chosen], spans)
            write_safetensors_atomic(path, {"means": means})
        table[chosen] = load_file(path)["means"]
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


def branch_of(
    patch: Patch, prompts: Sequence[Placed], vectors: npt.NDArray[np.float16], n_layers: int
) -> Branch:
    """The branch that performs a patch: base tokens from the patched one on, with the vector."""
    base = prompts[patch.base]
    vector = vectors[patch.source, KINDS.index(patch.kind), patch.block]
    return Branch(
        ids=base.ids[base.places[patch.kind].position :],
        layers=blocks(n_layers)[patch.block],
        vector=torch.from_numpy(vector.astype(np.float32)),
    )


def stems_of(
    target: TargetModel,
    prompts: Sequence[Placed],
    vectors: npt.NDArray[np.float16],
    groups: Sequence[Sequence[Patch]],
) -> list[Stem]:
    """One stem a group: the base's tokens before the patched one, and a branch a patch."""
    stems = []
    for group in groups:
        base = prompts[group[0].base]
        position = base.places[group[0].kind].position
        branches = tuple(branch_of(patch, prompts, vectors, target.n_layers) for patch in group)
        stems.append(Stem(ids=base.ids[:position], branches=branches))
    return stems


def _asked(prompts: Sequence[Placed], groups: Sequence[Sequence[Patch]]) -> list[list[object]]:
    return [
        [prompts[p.base].prompt.text, prompts[p.source].prompt.text, p.kind, p.block]
        for group in groups
        for p in group
    ]


def first_tokens(
    target: TargetModel,
    prompts: Sequence[Placed],
    vectors: npt.NDArray[np.float16],
    groups: Sequence[Sequence[Patch]],
    journal: Journal,
    report: Progress,
) -> list[Screened]:
    """First answer tokens, clean and after each patch; a group shares base and kind."""
    stems = stems_of(target, prompts, vectors, groups)
    found: dict[int, Screened] = {}
    for chosen in batches(stems, SCREEN_ROWS):

        def compute(chosen: Sequence[int] = chosen) -> list[dict[str, object]]:
            return [asdict(one) for one in screen(target, [stems[i] for i in chosen])]

        asked = ["screened", _asked(prompts, [groups[i] for i in chosen])]
        rows = journal.run(asked, compute)
        for i, row in zip(chosen, rows, strict=True):
            found[i] = Screened(
                clean=(row["clean"][0], row["clean"][1]),
                tokens=tuple(row["tokens"]),
                gaps=tuple(row["gaps"]),
            )
        report("patches screened", sum(len(groups[i]) for i in chosen))
    return [found[i] for i in range(len(groups))]


def patched_outputs(
    target: TargetModel,
    prompts: Sequence[Placed],
    vectors: npt.NDArray[np.float16],
    groups: Sequence[Sequence[Patch]],
    journal: Journal,
    report: Progress,
) -> list[list[Output]]:
    """Greedy answers after each patch, group by group; a group shares base and kind."""
    stems = stems_of(target, prompts, vectors, groups)
    found: dict[int, list[Output]] = {}
    for chosen in batches(stems, PATCH_ROWS):

        def compute(chosen: Sequence[int] = chosen) -> list[dict[str, object]]:
            return [asdict(output) for output in greedy(target, [stems[i] for i in chosen])]

        asked = ["patched", _asked(prompts, [groups[i] for i in chosen])]
        rows = journal.run(asked, compute)
        cursor = 0
        for i in chosen:
            size = len(groups[i])
            found[i] = [output_of(row) for row in rows[cursor : cursor + size]]
            cursor += size
        report("patched outputs", len(rows))
    return [found[i] for i in range(len(groups))]
