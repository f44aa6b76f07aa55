"""Which of several equal self-explainers another explainer is set against."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from introspect_bench.leaderboard.site.matrix import _partner


def contestant(name: str, seed: int | None = None, *, is_self: bool = True) -> Any:
    """One whose entry's id is its name and a hash, as folders are called."""
    settings = {} if seed is None else {"seed": seed}
    return SimpleNamespace(
        is_self=is_self,
        column=("task", "words"),
        suite=SimpleNamespace(name="s"),
        run=SimpleNamespace(header=SimpleNamespace(explainer=SimpleNamespace(settings=settings))),
        found=SimpleNamespace(name=name, entry=SimpleNamespace(id=f"{name}__0")),
        equals=lambda _other: True,
    )


@pytest.mark.parametrize(("seed", "partner"), [(None, "self"), (0, "self"), (1, "self-seed-1")])
def test_it_is_that_of_its_seed_or_the_first_by_name(seed: int | None, partner: str) -> None:
    seeds = (None, None) if seed is None else (1, 0)
    selves = [contestant("self-seed-1", seeds[0]), contestant("self", seeds[1])]
    # ids alone would put the longer name first
    assert min(one.found.entry.id for one in selves) == "self-seed-1__0"
    other = contestant("other", seed, is_self=False)
    found = _partner(other, [*selves, other])
    assert found is not None
    assert found.found.name == partner
