"""A fresh test measures only places that can still give a group."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from introspect_bench.tasks.activation_patching.build import collect as collecting
from introspect_bench.tasks.activation_patching.build import survey as reading
from introspect_bench.tasks.activation_patching.build import trials
from introspect_bench.tasks.activation_patching.build.balance import Candidate, CandidateGroup
from introspect_bench.tasks.activation_patching.build.contrast import FREE, RULED, Selection
from introspect_bench.tasks.activation_patching.build.measure_patches import Patch
from introspect_bench.tasks.activation_patching.build.trials import SplitSize

KINDS = ("last", "relation")
BASES = 60


class World:
    """Places of made-up bases; those of kind `last` never give a group in block 0."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kept: set[int] = set()
        self.asked: list[tuple[int, str, int]] = []  # base, kind, block, in the order measured
        self.again: list[int] = []  # bases measured when a group of theirs was kept already
        self.bench: Any = SimpleNamespace(
            clean=[SimpleNamespace(text=f"answer {i % 20}", margin=1.0) for i in range(BASES)],
            report=lambda _stage, _n: None,
        )
        monkeypatch.setattr(trials, "queues", lambda *_: self.queues())
        monkeypatch.setattr(reading, "centre", lambda *_: None)
        monkeypatch.setattr(reading, "measured", self.measured)
        monkeypatch.setattr(Selection, "offer", lambda chosen, one: self.offer(chosen, one))

    def queues(self) -> dict[str, list[list[Patch]]]:
        return {
            kind: [
                [Patch(base=base, source=0, kind=kind, block=block) for block in (0, 1)]
                for base in range(BASES)
            ]
            for kind in KINDS
        }

    def measured(self, _bench: Any, places: Any, _centres: Any, *, both: bool) -> Any:
        assert both
        tried: dict[str, Counter[str]] = {}
        found = []
        for place in places:
            base, kind = place[0].base, place[0].kind
            if base in self.kept:
                self.again.append(base)
            self.asked += [(base, kind, patch.block) for patch in place]
            for patch in place:
                tried.setdefault(f"{kind}/{patch.block}", Counter())["groups"] += 1
            found.append(
                [
                    group(f"{kind}/{patch.block}", base)
                    for patch in place
                    if (kind, patch.block) != ("last", 0) and base % 3 == 0
                ]
            )
        return found, tried

    def offer(self, chosen: Selection, one: CandidateGroup) -> bool:
        chosen.groups.append((one, ()))
        chosen.cells[one.cell] += 1
        self.kept.add(int(one.relation))
        return True


def group(cell: str, base: int) -> CandidateGroup:
    rng = np.random.default_rng(base)
    members = tuple(
        Candidate(
            changed=i % 2 == 0,
            outcome=str(i),
            source="",
            guessed=False,
            vector=rng.normal(size=4).astype(np.float32),
            payload=None,
        )
        for i in range(4)
    )
    return CandidateGroup(
        cell=cell,
        relation=str(base),
        original=np.zeros(4, np.float32),
        mean=np.zeros(4, np.float32),
        spread=1.0,
        probes=np.zeros((2, 4)),
        members=members,
    )


def collected(world: World, wanted: int, *, sparing: bool = True) -> collecting.Kept:
    size = SplitSize(groups=wanted, pool=BASES, tries=2, uses=1, round=5, sparing=sparing)
    cells = [(kind, block) for kind in KINDS for block in (0, 1)]
    return collecting.collect(world.bench, cells, wanted, size, "salt")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(collecting, "PROBED", 5)
    monkeypatch.setattr(collecting, "LEAST_PLACES", 5)
    monkeypatch.setattr(collecting, "DRY", 10)
    return World(monkeypatch)


def test_bases_that_gave_a_group_and_cells_that_give_none_are_spared(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected(world, 15, sparing=False)
    dry = sum(row[1:] == ("last", 0) for row in world.asked)
    assert world.again
    frugal = World(monkeypatch)
    kept = collected(frugal, 15)
    assert len(kept.groups) == 15
    first = {base for base, *_ in frugal.asked[: 4 * collecting.PROBED]}  # asked to fit probes
    assert set(frugal.again) <= first
    assert sum(row[1:] == ("last", 0) for row in frugal.asked) <= min(dry, collecting.DRY + 5)
    assert any(np.abs(one.probes).max() > 0 for one, _ in kept.groups)  # its own are fitted


def test_it_ends_when_every_cell_is_dry(world: World) -> None:
    assert len(collected(world, 50).groups) <= BASES // 3
    assert len(world.asked) <= 4 * BASES


def test_places_whose_clean_answer_may_not_be_kept_are_spared() -> None:
    chosen = Selection(size=50, outcome_cap=0.04)
    assert chosen.open_to("Rome", ruled=True)
    chosen.outcomes["Oslo"] = max(FREE, int(0.04 * 50 * 4)) - 1
    assert not chosen.open_to("Oslo", ruled=False)
    chosen.ruled[False] = int(RULED * 2 * 50) - 1
    assert not chosen.open_to("Rome", ruled=True)
    assert chosen.open_to("Rome", ruled=False)
