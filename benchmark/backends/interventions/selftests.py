"""The two independent ways to the same numbers that self-tests compare: ours, and plain hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from ..injection.hooks import hooked, rewriting
from ..models.batch import pad
from ..models.devices import usable_device
from ..models.target_model import TargetModel, load_target_model
from . import trace as interventions
from .trace import Branch, Stem

TEXTS = (
    "The capital of France is Paris. The capital of Kenya is",
    "Water boils at a hundred degrees and freezes at",
    "She opened the door, looked at the garden, and then",
    "One two three four five",
)

TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-9}  # largest relative gap of logits
LOW_PRECISION_TOLERANCE = 5e-2  # the same for every other dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Prompts, places and vectors shared by the checks."""

    target: TargetModel  # the target model
    rows: tuple[tuple[int, ...], ...]  # tokens of `TEXTS`
    place: tuple[int, ...]  # patched position in each row: neither first nor last
    layer: int  # patched layer, in the middle of the model
    noise: torch.Tensor  # a random vector of the residual's norm for each row, (n_rows, d_model)
    own: torch.Tensor  # each row's own residual at (layer, place), (n_rows, d_model)

    @property
    def everyone(self) -> range:
        """Indices of all rows."""
        return range(len(self.rows))


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


def blocks(n_layers: int, count: int) -> list[tuple[int, int]]:
    """`count` blocks of a fifth of the layers, at least two, from the first layers to the last."""
    size = min(n_layers, max(2, n_layers // 5))
    starts = [(n_layers - size) * i // max(1, count - 1) for i in range(count)]
    return [(start, start + size - 1) for start in starts]


def stems(ground: Ground, *, plain: bool) -> list[Stem]:
    """Each row as a stem that ends before its place, with its patch and, if `plain`, without."""
    made = []
    for row, (tokens, place) in enumerate(zip(ground.rows, ground.place, strict=True)):
        ids, layers = tokens[place:], (ground.layer, ground.layer)
        patched = Branch(ids=ids, layers=layers, vector=ground.noise[row])
        branches = (patched, Branch(ids=ids)) if plain else (patched,)
        made.append(Stem(ids=tokens[:place], branches=branches))
    return made


def last_logits(
    ground: Ground,
    vectors: torch.Tensor | None,
    *,
    which: Sequence[int] | None = None,
    side: str = "left",
    spans: Sequence[tuple[int, int]] | None = None,
) -> torch.Tensor:
    """Last-token logits of all rows, or some, in one batch; vectors and spans are by all rows."""
    chosen = ground.everyone if which is None else which
    rows = [ground.rows[i] for i in chosen]
    batch = pad(rows, ground.target, side=side)
    width = batch.ids.shape[1]
    start = [width - len(row) if side == "left" else 0 for row in rows]
    branches = [Branch(ids=row) for row in rows]
    if vectors is not None:
        layers = [(ground.layer, ground.layer) if spans is None else spans[i] for i in chosen]
        there = zip(rows, layers, chosen, strict=True)
        branches = [Branch(ids=row, layers=own, vector=vectors[i]) for row, own, i in there]
    columns = [s + ground.place[i] for s, i in zip(start, chosen, strict=True)]
    logits, _ = interventions.patched_forward(ground.target, batch.inputs(), branches, columns)
    last = [s + len(row) - 1 for s, row in zip(start, rows, strict=True)]
    return torch.stack([logits[n, column] for n, column in enumerate(last)]).float()


def hooked_logits(
    ground: Ground,
    row: int,
    vector: torch.Tensor | None,
    *,
    span: tuple[int, int] | None = None,
    said: Sequence[int] = (),
) -> torch.Tensor:
    """The same of one row alone, followed by `said`, by plain torch hooks and without a cache."""
    first, last = span or (ground.layer, ground.layer)
    layers = () if vector is None else tuple(ground.target.modules)[first : last + 1]
    ids = torch.tensor([[*ground.rows[row], *said]], device=ground.target.device)

    def write(hidden: torch.Tensor) -> torch.Tensor:
        assert vector is not None
        hidden = hidden.clone()
        hidden[0, ground.place[row]] = vector
        return hidden

    with hooked((layer, rewriting(write)) for layer in layers), torch.inference_mode():
        logits: torch.Tensor = ground.target.model(input_ids=ids, use_cache=False).logits
    return logits[0, -1].float()


def gap(first: torch.Tensor, second: torch.Tensor) -> float:
    """Largest absolute difference over the largest absolute value."""
    return float((first - second).abs().max() / second.abs().max().clamp(min=1e-9))


def tolerance(target: TargetModel) -> float:
    """Relative difference that counts as equal for the target's dtype."""
    return TOLERANCE.get(target.model.dtype, LOW_PRECISION_TOLERANCE)


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
