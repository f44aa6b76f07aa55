"""Every answer of a chosen query measured again; owns its journal, which no other choice spoils."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ....benchmark.backends.interventions.outputs import Output, Probe, confirm
from ....benchmark.backends.interventions.stability import BATCH, judge
from ....benchmark.backends.models.target_model import TargetModel
from ....benchmark.cache import Journal
from . import measure_ablations as measure
from .candidates import Chosen
from .measure_ablations import Progress

CONFIGURATIONS = ("fp32-batch-32-right", "bf16-weights")
"""Without cache and stems, padded on the other side; and the same with rounded weights."""


def keep_stable(
    target: TargetModel,
    chosen: Sequence[Chosen],
    work: Path,
    report: Progress,
    rounded: Callable[[], TargetModel],
) -> tuple[list[Chosen], dict[str, Any]]:
    """Queries all of whose answers are stable, and the stability report.

    Args:
        target: the target model, float32.
        chosen: queries of one answer form.
        work: folder for journals.
        report: progress callback.
        rounded: gives the target with bf16-rounded weights.
    """
    distinct = {_key(probe): probe for one in chosen for probe in one.probes}
    probes = list(distinct.values())
    letter = bool(chosen) and chosen[0].letter
    again = {
        name: _again(
            target if name.startswith("fp32") else rounded(),
            probes,
            name,
            Journal(work / f"{name}.jsonl"),
            measure.letter_ids(target) if letter else (),
            report,
        )
        for name in CONFIGURATIONS
    }
    verdict = judge(probes, again)
    stable = dict(zip(distinct, verdict.stable, strict=True))
    kept = [one for one in chosen if all(stable[_key(probe)] for probe in one.probes)]
    return kept, verdict.report()


def _key(probe: Probe) -> str:
    return " ".join(map(str, (*probe.ids, "to", *probe.output.ids)))


def _again(
    target: TargetModel,
    probes: Sequence[Probe],
    name: str,
    journal: Journal,
    letter_ids: Sequence[int],
    report: Progress,
) -> list[Output]:
    known = {row["key"]: row["output"] for rows in journal.batches.values() for row in rows}
    new = sorted(
        (probe for probe in probes if _key(probe) not in known), key=lambda p: (len(p.ids), p.ids)
    )
    side = "right" if name.endswith("right") else "left"
    for first in range(0, len(new), BATCH):
        few = new[first : first + BATCH]

        def compute(few: Sequence[Probe] = few) -> list[dict[str, Any]]:
            outputs = confirm(target, few, side=side, letter_ids=letter_ids)
            return [
                {"key": _key(probe), "output": asdict(output)}
                for probe, output in zip(few, outputs, strict=True)
            ]

        rows = journal.run([_key(probe) for probe in few], compute)
        known |= {row["key"]: row["output"] for row in rows}
        report(f"stability {name}", len(few))
    found = [known[_key(probe)] for probe in probes]
    return [Output(text=o["text"], ids=tuple(o["ids"]), margin=o["margin"]) for o in found]
