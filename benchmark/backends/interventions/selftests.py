"""The two independent ways to the same numbers that self-tests compare: ours, and plain hooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

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
    layers, made = (ground.layer, ground.layer), []
    for tokens, place, vector in zip(ground.rows, ground.place, ground.noise, strict=True):
        patched = Branch(ids=tokens[place:], layers=layers, vector=vector)
        bare = (Branch(ids=tokens[place:]),) if plain else ()
        made.append(Stem(ids=tokens[:place], branches=(patched, *bare)))
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
    chosen = range(len(ground.rows)) if which is None else which
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


EFFECT = 1e-3  # smallest relative difference of logits that counts as a change
STEPS = 3  # decoding steps that are computed again from scratch


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Outcome of one self-test."""

    name: str  # what was tested
    passed: bool  # whether it held
    detail: str  # what was measured


def _within(ground: Ground, name: str, measured: float) -> Check:
    allowed = TOLERANCE.get(ground.target.model.dtype, LOW_PRECISION_TOLERANCE)
    detail = f"relative gap {measured:.1e}, allowed {allowed:.0e}"
    return Check(name=name, passed=measured <= allowed, detail=detail)


def _equal(ground: Ground, name: str, first: torch.Tensor, second: torch.Tensor) -> Check:
    return _within(ground, name, gap(first, second))


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
    return _within(ground, "position-meant", worst)


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


def check_model(target: TargetModel) -> list[Check]:
    """Run every self-test on a loaded target."""
    ground = lay(target)
    rows, noise = range(len(ground.rows)), ground.noise
    clean, patched = last_logits(ground, None), last_logits(ground, noise)
    same = partial(_equal, ground)
    # writing something else changes every row's output, and writing back what is there does not
    own = last_logits(ground, ground.own)
    least = min(gap(patched[i], clean[i]) for i in rows)
    detail = f"least relative change {least:.1e}, needed {EFFECT:.0e}"
    # prompts of different lengths together give what each gives alone, padded on either side
    alone = torch.cat([last_logits(ground, noise, which=[i]) for i in rows])
    right = last_logits(ground, noise, side="right")
    # nnsight gives what plain forward hooks do: in one layer, and in blocks at all depths
    hook = torch.stack([hooked_logits(ground, i, noise[i]) for i in rows])
    spans = blocks(target.n_layers, len(rows))
    block = last_logits(ground, noise, spans=spans)
    hooks = torch.stack([hooked_logits(ground, i, noise[i], span=spans[i]) for i in rows])
    # shared tokens computed once and patched after give what the whole prompt gives
    stem = interventions.start(target, stems(ground, plain=False)).logits
    return [
        same("identity-patch", own, clean),
        Check(name="random-patch", passed=least >= EFFECT, detail=detail),
        same("batched-equals-unbatched", patched, alone),
        same("left-pad-equals-right-pad", patched, right),
        same("nnsight-equals-hook", patched, hook),
        same("block-equals-hooks", block, hooks),
        right_place(ground),
        same("stem-equals-whole", stem, patched),
        recomputed(ground),
    ]


def run_doctor(name: str, *, device: str = "cpu") -> list[Check]:
    """Run every self-test on a target by name, hub id or folder."""
    from ...models.fetch import prepare_target
    from ...models.targets import resolve_target

    usable_device(device)  # before anything is downloaded
    return check_model(load_target_model(prepare_target(resolve_target(name)), device=device))
