"""Self-tests of interventions on one target model: a suite is made only if all of them pass.

Each compares two independent ways to the same numbers; observers are plain torch hooks, so a patch
that silently does nothing cannot pass. Logits are compared relative to their largest absolute
value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from ..models.pretrained import usable_device
from ..models.target_model import TargetModel, load_target_model
from . import trace as interventions
from .reference_hooks import Ground, blocks, gap, hooked_logits, last_logits, lay, stems, tolerance

EFFECT = 1e-3  # smallest relative difference of logits that counts as a change
STEPS = 3  # decoding steps that are computed again from scratch


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Outcome of one self-test."""

    name: str  # what was tested
    passed: bool  # whether it held
    detail: str  # what was measured


def _equal(ground: Ground, name: str, first: torch.Tensor, second: torch.Tensor) -> Check:
    return _within(name, gap(first, second), tolerance(ground.target))


def _within(name: str, measured: float, allowed: float) -> Check:
    detail = f"relative gap {measured:.1e}, allowed {allowed:.0e}"
    return Check(name=name, passed=measured <= allowed, detail=detail)


def identity_patch(ground: Ground) -> Check:
    """Writing back what is there changes nothing."""
    patched = last_logits(ground, ground.own)
    return _equal(ground, "identity-patch", patched, last_logits(ground, None))


def random_patch(ground: Ground) -> Check:
    """Writing something else changes every row's output."""
    clean = last_logits(ground, None)
    patched = last_logits(ground, ground.noise)
    least = min(gap(patched[i], clean[i]) for i in ground.everyone)
    detail = f"least relative change {least:.1e}, needed {EFFECT:.0e}"
    return Check(name="random-patch", passed=least >= EFFECT, detail=detail)


def batched(ground: Ground) -> Check:
    """A batch of prompts of different lengths gives what each gives alone."""
    together = last_logits(ground, ground.noise)
    alone = torch.cat([last_logits(ground, ground.noise, which=[i]) for i in ground.everyone])
    return _equal(ground, "batched-equals-unbatched", together, alone)


def padding(ground: Ground) -> Check:
    """Padding on the left gives what padding on the right gives."""
    left = last_logits(ground, ground.noise, side="left")
    right = last_logits(ground, ground.noise, side="right")
    return _equal(ground, "left-pad-equals-right-pad", left, right)


def plain_hook(ground: Ground) -> Check:
    """A trace of nnsight gives what a plain forward hook gives."""
    traced = last_logits(ground, ground.noise)
    hooked = [hooked_logits(ground, i, ground.noise[i]) for i in ground.everyone]
    return _equal(ground, "nnsight-equals-hook", traced, torch.stack(hooked))


def block(ground: Ground) -> Check:
    """A patch over a block, at all depths, gives what a plain hook on each of its layers gives."""
    spans = blocks(ground.target.n_layers, len(ground.rows))
    patched = last_logits(ground, ground.noise, spans=spans)
    hooked = [hooked_logits(ground, i, ground.noise[i], span=spans[i]) for i in ground.everyone]
    return _equal(ground, "block-equals-hooks", patched, torch.stack(hooked))


def right_place(ground: Ground) -> Check:
    """The next layer reads the vector at the position meant, and untouched values before it."""
    seen: list[torch.Tensor] = []

    def watch(_module: nn.Module, arguments: tuple[object, ...], named: dict[str, object]) -> None:
        hidden = arguments[0] if arguments else named["hidden_states"]
        seen.append(hidden.detach().clone())  # type: ignore[attr-defined]

    layer = min(ground.layer, ground.target.n_layers - 2)
    moved = replace(ground, layer=layer)
    handle = ground.target.modules[layer + 1].register_forward_pre_hook(watch, with_kwargs=True)
    try:
        last_logits(moved, None)
        last_logits(moved, ground.noise)
    finally:
        handle.remove()
    clean, patched = seen
    width = clean.shape[1]
    worst = 0.0
    for row, tokens in enumerate(ground.rows):
        column = width - len(tokens) + ground.place[row]
        before = slice(width - len(tokens), column)
        worst = max(worst, gap(patched[row, column].float(), ground.noise[row].float()))
        worst = max(worst, gap(patched[row, before].float(), clean[row, before].float()))
    return _within("position-meant", worst, tolerance(ground.target))


def shared_stem(ground: Ground) -> Check:
    """Computing shared tokens once and patching after them gives what the whole prompt gives."""
    shared = interventions.start(ground.target, stems(ground, plain=False)).logits
    whole = last_logits(ground, ground.noise)
    return _equal(ground, "stem-equals-whole", shared, whole)


def recomputed(ground: Ground) -> Check:
    """Greedy steps with a cache, patched or not, give what the whole text gives, as rows leave."""
    target = ground.target
    flow = interventions.start(target, stems(ground, plain=True))
    alive = list(range(len(flow.logits)))
    said: list[list[int]] = [[] for _ in alive]
    cached, whole = [], []
    for _ in range(STEPS):
        tokens = flow.logits.argmax(-1)
        for place, one in enumerate(alive):
            said[one].append(int(tokens[place]))
        going = [place for place, one in enumerate(alive) if one != 1]
        flow = interventions.step(target, flow, tokens, torch.tensor(going, device=tokens.device))
        alive = [alive[place] for place in going]
        cached.append(flow.logits)
        for one in alive:
            row, plain = divmod(one, 2)
            vector = None if plain else ground.noise[row]
            whole.append(hooked_logits(ground, row, vector, said=said[one]))
    return _equal(ground, "greedy-equals-recompute", torch.cat(cached), torch.stack(whole))


CHECKS: tuple[Callable[[Ground], Check], ...] = (
    identity_patch,
    random_patch,
    batched,
    padding,
    plain_hook,
    block,
    right_place,
    shared_stem,
    recomputed,
)
"""All self-tests, in the order they are reported."""


def check_model(target: TargetModel) -> list[Check]:
    """Run every self-test on a loaded target."""
    ground = lay(target)
    return [check(ground) for check in CHECKS]


def run_doctor(name: str, *, device: str = "cpu") -> list[Check]:
    """Run every self-test on a target by name, hub id or folder."""
    from ...models.fetch import prepare_target
    from ...models.targets import resolve_target

    usable_device(device)  # before anything is downloaded
    return check_model(load_target_model(prepare_target(resolve_target(name)), device=device))
