"""A process that must not load one target's weights: a guard against mistakes, no sandbox."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckFailedError

VARIABLE = "INTROSPECT_BENCH_WITHOUT_TARGET"


class WithheldError(CheckFailedError):
    """Something asked for the weights of the target in a process that must not hold them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """What a process must not load."""

    name: str  # Name of the target
    weights_sha256: Sequence[str]  # Hashes of its weight files, in every form that is known
    folders: Sequence[str]  # Absolute paths of folders that hold them on this machine

    def as_environment(self) -> dict[str, str]:
        """Return the environment variable that withholds it from a process and its children."""
        return {VARIABLE: json.dumps(asdict(self))}


def withheld() -> Withheld | None:
    """Return what this process must not load, or None."""
    text = os.environ.get(VARIABLE)
    return None if not text else Withheld(**json.loads(text))


def refuse_target(name: str, weights_sha256: Iterable[str] = ()) -> None:
    """Refuse the target that is withheld, by its name or by the hash of a weight file."""
    known = withheld()
    if known is not None and (name == known.name or set(weights_sha256) & {*known.weights_sha256}):
        raise WithheldError(_sentence(known.name))


def guard_folders() -> None:
    """Refuse, for the life of this process, to open any file in the withheld folders."""
    known = withheld()
    folders = [] if known is None else [Path(os.path.realpath(one)) for one in known.folders]

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes):
            return
        path = Path(os.path.realpath(os.fsdecode(arguments[0])))
        if any(path.is_relative_to(folder) for folder in folders):
            raise WithheldError(_sentence(known.name if known else ""))

    if folders:
        sys.addaudithook(look)


def _sentence(name: str) -> str:
    return (
        f"the weights of {name} are withheld from this process: an explainer of class words "
        "answers without them; submit it as replays if it needs them"
    )
