"""Self-tests of interventions on one target model. They gate everything: suites carry their result.

Each check compares two independent ways to the same numbers; observers are plain torch hooks, so a
patch that silently does nothing cannot pass. Logits are compared relative to their largest absolute
value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from introspect_bench.benchmark.backends import interventions
from introspect_bench.benchmark.backends.interventions import Branch, Stem, pad, position_ids
from introspect_bench.benchmark.backends.target_model import TargetModel, load_target_model

TEXTS = (
    "The capital of France is Paris. The capital of Kenya is",
    "Water boils at a hundred degrees and freezes at",
    "She opened the door, looked at the garden, and then",
    "One two three four five",
)
"""Prompts of different lengths."""

TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-9}
"""Largest relative difference of logits that counts as equal, by dtype."""
LOW_PRECISION_TOLERANCE = 5e-2
"""The same for every other dtype."""
EFFECT = 1e-3
"""Smallest relative difference of logits that counts as a change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Outcome of one self-test."""

    name: str
    """What was tested."""
    passed: bool
    """Whether it held."""
    detail: str
    """What was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Prompts, places and vectors shared by the checks."""

    target: TargetModel
    """The target model."""
    rows: tuple[tuple[int, ...], ...]
    """Tokens of `TEXTS`."""
    place: tuple[int, ...]
    """Patched position in each row: neither first nor last."""
    layer: int
    """Patched layer, in the middle of the model."""
    noise: torch.Tensor
    """A random vector of the residual's norm for each row, (n_rows, d_model)."""
    own: torch.Tensor
    """Each row's own residual at (layer, place), (n_rows, d_model)."""

    def branch(self, row: int, vector: torch.Tensor | None) -> Branch:
        """A one-layer patch of one row."""
        layers = None if vector is None else (self.layer, self.layer)
        return Branch(ids=self.rows[row], layers=layers, vector=vector)


def lay(target: TargetModel) -> Ground:
    """Tokenise the prompts, choose places and read residuals."""
    rows = tuple(tuple(target.encode(text)) for text in TEXTS)
    place = tuple(max(1, len(row) // 2) for row in rows)
    layer = target.n_layers // 2
    reads = interventions.residuals(target, rows, [[p] for p in place])
    own = torch.stack([read[0, layer] for read in reads])
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(own.shape, generator=generator).to(own)
    noise = noise / noise.norm(dim=-1, keepdim=True) * own.norm(dim=-1, keepdim=True)
    return Ground(target=target, rows=rows, place=place, layer=layer, noise=noise, own=own)


def last_logits(
    ground: Ground, which: Sequence[int], vectors: torch.Tensor | None, *, side: str = "left"
) -> torch.Tensor:
    """Last-token logits of some rows as one padded batch, patched or not; (n_rows, vocabulary)."""
    target = ground.target
    rows = [ground.rows[i] for i in which]
    batch = pad(rows, target, side=side)
    width = batch.ids.shape[1]
    start = [width - len(row) if side == "left" else 0 for row in rows]
    branches = [ground.branch(i, None if vectors is None else vectors[i]) for i in which]
    inputs: dict[str, object] = {
        "input_ids": batch.ids,
        "attention_mask": batch.mask,
        "position_ids": position_ids(batch.mask),
        "use_cache": False,
    }
    columns = [s + ground.place[i] for s, i in zip(start, which, strict=True)]
    logits, _ = interventions.patched_forward(target, inputs, branches, columns)
    return torch.stack(
        [logits[n, s + len(row) - 1] for n, (s, row) in enumerate(zip(start, rows, strict=True))]
    ).float()


def hooked_logits(ground: Ground, row: int, vector: torch.Tensor) -> torch.Tensor:
    """Last-token logits of one row, patched by a plain torch forward hook; (vocabulary,)."""

    def write(_module: nn.Module, _inputs: object, output: Any) -> object:
        hidden = (output[0] if isinstance(output, tuple) else output).clone()
        hidden[0, ground.place[row]] = vector
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handle = ground.target.modules[ground.layer].register_forward_hook(write)
    try:
        with torch.inference_mode():
            ids = torch.tensor([ground.rows[row]], device=ground.target.device)
            logits: torch.Tensor = ground.target.model(input_ids=ids, use_cache=False).logits
    finally:
        handle.remove()
    return logits[0, -1].float()


def gap(first: torch.Tensor, second: torch.Tensor) -> float:
    """Largest absolute difference over the largest absolute value."""
    return float((first - second).abs().max() / second.abs().max().clamp(min=1e-9))


def tolerance(target: TargetModel) -> float:
    """Relative difference that counts as equal for the target's dtype."""
    return TOLERANCE.get(target.model.dtype, LOW_PRECISION_TOLERANCE)


def _equal(ground: Ground, name: str, first: torch.Tensor, second: torch.Tensor) -> Check:
    found, allowed = gap(first, second), tolerance(ground.target)
    passed = found <= allowed
    return Check(
        name=name, passed=passed, detail=f"relative gap {found:.1e}, allowed {allowed:.0e}"
    )


def identity_patch(ground: Ground) -> Check:
    """Writing back what is there changes nothing."""
    everyone = range(len(ground.rows))
    patched = last_logits(ground, everyone, ground.own)
    return _equal(ground, "identity-patch", patched, last_logits(ground, everyone, None))


def random_patch(ground: Ground) -> Check:
    """Writing something else changes every row's output."""
    everyone = range(len(ground.rows))
    clean = last_logits(ground, everyone, None)
    patched = last_logits(ground, everyone, ground.noise)
    least = min(gap(patched[i], clean[i]) for i in everyone)
    passed = least >= EFFECT
    return Check(
        name="random-patch",
        passed=passed,
        detail=f"least relative change {least:.1e}, needed {EFFECT:.0e}",
    )


def batched(ground: Ground) -> Check:
    """A batch of prompts of different lengths gives what each gives alone."""
    everyone = range(len(ground.rows))
    together = last_logits(ground, everyone, ground.noise)
    alone = torch.cat([last_logits(ground, [i], ground.noise) for i in everyone])
    return _equal(ground, "batched-equals-unbatched", together, alone)


def padding(ground: Ground) -> Check:
    """Padding on the left gives what padding on the right gives."""
    everyone = range(len(ground.rows))
    left = last_logits(ground, everyone, ground.noise, side="left")
    right = last_logits(ground, everyone, ground.noise, side="right")
    return _equal(ground, "left-pad-equals-right-pad", left, right)


def plain_hook(ground: Ground) -> Check:
    """A trace of nnsight gives what a plain forward hook gives."""
    everyone = range(len(ground.rows))
    traced = last_logits(ground, everyone, ground.noise)
    hooked = torch.stack([hooked_logits(ground, i, ground.noise[i]) for i in everyone])
    return _equal(ground, "nnsight-equals-hook", traced, hooked)


def right_place(ground: Ground) -> Check:
    """The next layer reads the vector at the position meant, and untouched values before it."""
    seen: list[torch.Tensor] = []

    def watch(_module: nn.Module, arguments: tuple[object, ...], named: dict[str, object]) -> None:
        hidden = arguments[0] if arguments else named["hidden_states"]
        seen.append(hidden.detach().clone())  # type: ignore[attr-defined]

    layer = min(ground.layer, ground.target.n_layers - 2)
    moved = Ground(
        target=ground.target,
        rows=ground.rows,
        place=ground.place,
        layer=layer,
        noise=ground.noise,
        own=ground.own,
    )
    handle = ground.target.modules[layer + 1].register_forward_pre_hook(watch, with_kwargs=True)
    everyone = range(len(ground.rows))
    try:
        last_logits(moved, everyone, None)
        last_logits(moved, everyone, ground.noise)
    finally:
        handle.remove()
    clean, patched = seen
    width = clean.shape[1]
    allowed = tolerance(ground.target)
    worst = 0.0
    for row, tokens in enumerate(ground.rows):
        column = width - len(tokens) + ground.place[row]
        before = slice(width - len(tokens), column)
        worst = max(worst, gap(patched[row, column].float(), ground.noise[row].float()))
        worst = max(worst, gap(patched[row, before].float(), clean[row, before].float()))
    return Check(
        name="position-meant",
        passed=worst <= allowed,
        detail=f"relative gap {worst:.1e}, allowed {allowed:.0e}",
    )


def shared_stem(ground: Ground) -> Check:
    """Computing shared tokens once and patching after them gives what the whole prompt gives."""
    stems = [
        Stem(
            ids=tokens[:place],
            branches=(
                Branch(
                    ids=tokens[place:],
                    layers=(ground.layer, ground.layer),
                    vector=ground.noise[row],
                ),
            ),
        )
        for row, (tokens, place) in enumerate(zip(ground.rows, ground.place, strict=True))
    ]
    shared = interventions.start(ground.target, stems).logits
    whole = last_logits(ground, range(len(ground.rows)), ground.noise)
    return _equal(ground, "stem-equals-whole", shared, whole)


CHECKS: tuple[Callable[[Ground], Check], ...] = (
    identity_patch,
    random_patch,
    batched,
    padding,
    plain_hook,
    right_place,
    shared_stem,
)
"""All self-tests, in the order they are reported."""


def check_model(target: TargetModel) -> list[Check]:
    """Run every self-test on a loaded target."""
    ground = lay(target)
    return [check(ground) for check in CHECKS]


def run_doctor(name: str, *, device: str = "cpu") -> list[Check]:
    """Run every self-test on a target by name, hub id or folder.

    Raises:
        UsageError: unknown target or architecture.
        MissingPartError: its weights or the device are missing.
    """
    from introspect_bench.benchmark.fetch import prepare_target
    from introspect_bench.benchmark.targets import resolve_target

    return check_model(load_target_model(prepare_target(resolve_target(name)), device=device))
