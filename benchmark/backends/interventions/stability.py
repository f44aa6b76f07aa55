"""Would the label be the same under other batch sizes, padding sides and rounded weights?

A test label is frozen only if every float32 configuration gives it, and rounded weights give it too
or its margin is above the noise that rounding causes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...cache import Journal
from ...errors import CheckFailedError
from ..models.target_model import TargetModel
from .outputs import Output, Probe, confirm

BATCH = 32  # batch size of the batched configurations

NOISE_QUANTILE = 0.99  # quantile of the margin's change under rounded weights that counts as noise

CONFIGURATIONS = ("fp32-batch-1", "fp32-batch-32-left", "fp32-batch-32-right", "bf16-weights")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """Verdicts on a list of probes, and the rates they give."""

    stable: tuple[bool, ...]  # for each probe, whether its label may be frozen
    flip_rate: dict[str, float]  # share of probes whose output differs, by configuration
    noise_logits: float | None  # `NOISE_QUANTILE` of the margin's change in bf16

    def report(self) -> dict[str, Any]:
        """JSON fields for the manifest."""
        dropped = self.stable.count(False)
        return {
            "flip_rate": self.flip_rate,
            "noise_logits": self.noise_logits,
            "n_tested": len(self.stable),
            "n_dropped": dropped,
            "share_dropped": dropped / len(self.stable),
        }


def measure_again(
    target: TargetModel,
    probes: Sequence[Probe],
    configuration: str,
    journal: Journal,
    *,
    on_batch: Callable[[int], None] = lambda _: None,
) -> list[Output]:
    """Outputs of all probes under one configuration; finished batches come from the journal."""
    size = 1 if configuration == "fp32-batch-1" else BATCH
    side = "right" if configuration.endswith("right") else "left"
    order = sorted(range(len(probes)), key=lambda i: (len(probes[i].ids), i))
    found: dict[int, Output] = {}

    def asked(chosen: Sequence[int]) -> list[Any]:
        return [configuration, [_identity(probes[i]) for i in chosen]]

    def compute(chosen: Sequence[int]) -> list[dict[str, Any]]:
        few = [probes[i] for i in chosen]
        parts = [few[first : first + size] for first in range(0, len(few), size)]
        outputs = [confirm(target, part, side=side) for part in parts]
        return [asdict(output) for own in outputs for output in own]

    jobs = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    for chosen, rows in journal.deal(jobs, asked, compute):
        on_batch(len(chosen))
        for i, row in zip(chosen, rows, strict=True):
            found[i] = Output(text=row["text"], ids=tuple(row["ids"]), margin=row["margin"])
    return [found[i] for i in range(len(probes))]


def _identity(probe: Probe) -> list[Any]:
    vector = probe.branch.vector
    return [
        list(probe.ids),
        probe.position,
        probe.branch.layers,
        None if vector is None else vector.double().sum().item(),
        list(probe.output.ids),
    ]


def judge(probes: Sequence[Probe], again: Mapping[str, Sequence[Output]]) -> Stability:
    """Apply the rule of the module docstring to outputs by configuration."""
    if not probes:
        raise CheckFailedError("no label could be tested for stability: no group was chosen")
    first = [probe.output for probe in probes]
    same = {
        name: np.array([a.text == b.text for a, b in zip(first, outputs, strict=True)])
        for name, outputs in again.items()
    }
    margin = np.array([output.margin for output in first])
    rounded = np.array([output.margin for output in again["bf16-weights"]])
    agreed = same["bf16-weights"]
    moved = np.abs(margin - rounded)[agreed]
    noise = float(np.quantile(moved, NOISE_QUANTILE)) if moved.size else float("inf")
    fp32 = np.all([same[name] for name in again if name.startswith("fp32")], axis=0)
    stable = fp32 & (agreed | (margin > noise))
    return Stability(
        stable=tuple(stable.tolist()),
        flip_rate={name: float(1 - same[name].mean()) for name in again},
        noise_logits=noise if np.isfinite(noise) else None,
    )
