"""What the ledger says of an entry: its tier, its flags, whether it answers without the target.

Owns what confirms an entry, and for which bytes of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from .ledger import Line

TIERS: Mapping[int, tuple[str, str]] = {
    1: ("re-scored", "CI computed every number from the raw replies."),
    2: ("spot-checked", "A maintainer asked the explainer some queries again, chosen by hash."),
    3: ("re-run", "A maintainer ran the explainer on every query again."),
    4: ("fresh-split confirmed", "The explainer was run on queries that did not exist before."),
}
"""Label of each tier, and what it means in a sentence."""
AGREEMENT = 0.9
"""Share of queries answered the same from which a check confirms an entry. Not 1: a model's last
bits depend on device and batch, and the share itself is shown."""
MIN_ASKED = 20
"""Fewest queries of a task that make a spot check."""
WITHOUT_TARGET = "without_target"
"""Key of `details`: whether a check ran in a process that holds no weights of the target."""
_CHECKS = {"recheck": 2, "rerun": 3, "fresh": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an entry stands."""

    tier: int
    """1 to 4, see `TIERS`."""
    label: str
    """The tier in words."""
    lines: tuple[Line, ...]
    """All that the ledger says of the entry, oldest first."""
    withdrawn: bool
    """Whether it is withdrawn; it stays on the board, greyed out."""
    flags: tuple[str, ...]
    """Reasons of its flags since it was last restored."""
    without_target: bool | None = None
    """Whether it gave its answers in a process that holds no weights of the target: True if all of
    them, for every task; False if it failed; None if that was not tried."""


def standing(
    lines: Sequence[Line], entry: str, entry_sha256: str, tasks: Collection[str] = ()
) -> Standing:
    """Say where an entry stands; checks of other bytes than those it holds now do not count.

    An entry has the tier that all of its tasks have. Of several checks of one kind the last counts.

    Args:
        lines: the ledger.
        entry: id of the entry.
        entry_sha256: hash of its files as they are.
        tasks: the tasks it has runs of; those that were checked if empty.
    """
    own = tuple(line for line in lines if line.entry == entry)
    withdrawn = False
    flags: list[str] = []
    confirmed: dict[tuple[str, str], bool] = {}
    alone: dict[str, bool] = {}
    for line in own:
        if line.event == "withdraw":
            withdrawn = True
        elif line.event == "restore":
            withdrawn, flags = False, []
        elif line.event == "flag":
            flags.append(line.reason)
        elif line.event in _CHECKS and line.entry_sha256 == entry_sha256:
            sound = {task: confirms(line, task) for task in line.tasks}
            if line.details.get(WITHOUT_TARGET) is True:
                alone |= _alone(line)
                # that an explainer needs the target says nothing of who gave the answers
                sound = {task: True for task, ok in sound.items() if ok}
            confirmed |= {(task, line.event): ok for task, ok in sound.items()}
    tiers = [
        max(_CHECKS[event] if confirmed.get((task, event)) else 1 for event in _CHECKS)
        for task in tasks or {task for task, _ in confirmed}
    ]
    tier = min(tiers, default=1)
    return Standing(
        tier=tier,
        label=TIERS[tier][0],
        lines=own,
        withdrawn=withdrawn,
        flags=tuple(flags),
        without_target=_all_alone(alone, tasks),
    )


def _alone(line: Line) -> dict[str, bool]:
    """By task: whether enough came out the same; a part of the queries can only refute."""
    found = {task: agreed >= AGREEMENT * asked for task, (agreed, asked) in line.tasks.items()}
    return {task: ok for task, ok in found.items() if line.event != "recheck" or not ok}


def _all_alone(alone: Mapping[str, bool], tasks: Collection[str]) -> bool | None:
    if not all(alone.values()):
        return False
    return True if alone and set(tasks) <= alone.keys() else None


def confirms(line: Line, task: str) -> bool:
    """Whether a check asked enough of a task and found enough of it the same."""
    agreed, asked = line.tasks[task]
    enough = line.event != "recheck" or asked >= MIN_ASKED
    return enough and agreed >= AGREEMENT * asked
