"""The ends of a metric's scale, from the null models in a suite's manifest.

`nulls` is `{split: [{"name", "access", "metrics": {metric: number or null}}]}`. The floor, for
every class, is the best null of class `words`; the ceiling is `calculator`, or 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import IntegrityError
from ..records import ORACLE

FLOOR_CLASS = "words"
CALCULATOR = "calculator"


class NoScaleError(IntegrityError):
    """A manifest does not say where a metric's scale begins or ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The scores of a task's headline that count as 0 and as 1."""

    floor: float  # Score that becomes 0
    ceiling: float  # Score that becomes 1
    floor_of: str = ""  # Name of the null that reaches the floor

    def __post_init__(self) -> None:
        """Refuse a scale without length."""
        if not math.isfinite(self.floor) or not math.isfinite(self.ceiling):
            raise ValueError("an end of a scale is not finite")
        if self.ceiling <= self.floor:
            raise ValueError(f"the ceiling {self.ceiling} is not above the floor {self.floor}")


def scale_of(manifest: Mapping[str, Any], split: str, metric: str) -> Scale:
    """Read the scale of a metric on a split; the message of a NoScaleError is a clause."""
    where = f"{manifest.get('suite')}/{manifest.get('task')}"
    values: list[tuple[float, str]] = []
    ceiling = 1.0
    for row in _rows(manifest, split, where):
        value = _value(row, metric, where)
        if value is not None and row["name"] == CALCULATOR:
            ceiling = value
        elif value is not None and row["access"] == FLOOR_CLASS:
            values.append((value, row["name"]))
    if not values:
        raise NoScaleError(
            f"the manifest of {where} has no null model of class {FLOOR_CLASS} with a value of "
            f"{metric} on {split}"
        )
    floor, name = max(values, key=lambda one: one[0])
    if ceiling <= floor:
        raise NoScaleError(f"the best null of {where}, {name}, is not below the ceiling")
    return Scale(floor=floor, ceiling=ceiling, floor_of=name)


def best_told(manifest: Mapping[str, Any], split: str, metric: str) -> float | None:
    """Return what the best of those reach that are told more than a contestant, if there is one."""
    where = f"{manifest.get('suite')}/{manifest.get('task')}"
    told = (CALCULATOR, ORACLE)
    rows = (
        row for row in _rows(manifest, split, where) if row["name"] in told or row["access"] in told
    )
    values = (_value(row, metric, where) for row in rows)
    return max((one for one in values if one is not None), default=None)


def bars_missed(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the bars that a suite misses, a sentence each."""
    found = manifest.get("bars_missed", [])
    if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
        raise IntegrityError("bars_missed of a manifest is not a list of sentences")
    return tuple(found)


def _rows(manifest: Mapping[str, Any], split: str, where: str) -> Sequence[Mapping[str, Any]]:
    nulls = manifest.get("nulls", {})
    rows = nulls.get(split, []) if isinstance(nulls, dict) else None
    if not isinstance(rows, list) or not all(map(_is_row, rows)):
        raise IntegrityError(
            f"nulls of the manifest of {where} are no lists of name, access and metrics by split"
        )
    return rows


def _is_row(row: object) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("name"), str)
        and isinstance(row.get("access"), str)
        and isinstance(row.get("metrics"), dict)
    )


def _value(row: Mapping[str, Any], metric: str, where: str) -> float | None:
    value = row["metrics"].get(metric)
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value):
        raise IntegrityError(f"{metric} of a null of {where} is no finite number")
    return float(value)
