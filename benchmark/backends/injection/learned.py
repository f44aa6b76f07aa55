"""What an injection learns beside an adapter, and that files and declaration agree.

Owns `injection.safetensors`, which lies in the trained explainer's folder and holds `log_scale`,
float32 (1,): the natural logarithm of the factor on norm-matched vectors. The maps of a projection
lie beside it, see `projection.py`. A part that is declared and not there is refused, and so is one
that is there and not declared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ...errors import IntegrityError, MissingPartError, UsageError
from ...tensors import write_safetensors_atomic
from .projection import PROJECTION, Projection, load_projection, write_projection
from .spec import Injection, Injections, all_injections

LEARNED = "injection.safetensors"
"""Name of the file."""
KEY = "log_scale"
"""Name of its only tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """The learned parts of an injection."""

    log_scale: float | None = None
    """Natural logarithm of the learned factor; None without one."""
    projection: Projection | None = None
    """Maps into the explainer's width; None without them."""

    def used_by(self, injection: Injection) -> Learned:
        """What one task's injection uses of what was learned for all."""
        return Learned(
            log_scale=self.log_scale if injection.scaling == "learned" else None,
            projection=None if injection.projection is None else self.projection,
        )


def check_learned(injections: Injections, learned: Learned) -> None:
    """Refuse a learned part that is missing, or that no injection uses.

    Raises:
        UsageError: one of both.
    """
    ways = all_injections(injections)
    scaled = any(way.scaling == "learned" for way in ways)
    if scaled and learned.log_scale is None:
        raise UsageError(
            "scaling 'learned' is for explainers that were trained with it; train one, or choose "
            "raw or norm-matched"
        )
    if not scaled and learned.log_scale is not None:
        raise UsageError(
            f"this explainer was trained with a learned scale ({LEARNED}) that its injection does "
            "not declare; leave --injection and --scaling out"
        )
    declared = {way.projection for way in ways} - {None}
    if declared and learned.projection is None:
        raise UsageError("a projection is declared, but its maps are missing; train an explainer")
    if learned.projection is not None and declared != {learned.projection.maps}:
        raise UsageError(
            f"this explainer was trained with a projection ({PROJECTION}) that its injection does "
            "not declare; leave --injection and --scaling out"
        )


def write_learned(folder: Path, learned: Learned) -> None:
    """Write what was learned into an explainer's folder.

    Raises:
        MissingPartError: the disk is full or the path cannot be written.
    """
    if learned.log_scale is not None:
        values = {KEY: np.array([learned.log_scale], dtype=np.float32)}
        write_safetensors_atomic(folder / LEARNED, values)
    if learned.projection is not None:
        write_projection(folder, learned.projection)


def read_learned(folder: Path, injections: Injections) -> Learned:
    """Read what belongs to injections from an explainer's folder.

    Raises:
        MissingPartError: a part is declared and its file is not there.
        UsageError: a file is there and its part is not declared.
        IntegrityError: a file is corrupt or holds something else.
    """
    ways = all_injections(injections)
    maps = next((way.projection for way in ways if way.projection is not None), None)
    wanted = (
        (LEARNED, any(way.scaling == "learned" for way in ways), "a learned scale"),
        (PROJECTION, maps is not None, "a projection"),
    )
    for name, declared, what in wanted:
        if declared and not (folder / name).is_file():
            raise MissingPartError(f"{folder} declares {what} but holds no {name}")
    if maps is None and (folder / PROJECTION).is_file():
        raise UsageError(
            f"{folder} holds a projection ({PROJECTION}) that its injection does not declare; "
            "leave --injection and --scaling out"
        )
    found = Learned(
        log_scale=_read_scale(folder / LEARNED) if (folder / LEARNED).is_file() else None,
        projection=None if maps is None else load_projection(folder / PROJECTION, maps),
    )
    check_learned(injections, found)
    return found


def _read_scale(path: Path) -> float:
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise IntegrityError(f"{path} is cut off or corrupt: {error}; get it again") from error
    value = found.get(KEY)
    if set(found) != {KEY} or value is None or value.size != 1 or not np.isfinite(value).all():
        raise IntegrityError(f"{path}: expected {KEY} with one finite number")
    return float(value.reshape(-1)[0])
