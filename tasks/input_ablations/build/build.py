"""Makes the frozen suite of input ablations for any target, from facts and a seed.

Owns how many questions are tried and how many queries are kept. Everything measured is journaled,
and nothing measured depends on the choice, so that a changed choice costs minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ....benchmark.backends.models.target_model import TargetModel
from ....benchmark.suite.freeze import Measured
from ...build.statistics import Bar
from . import draw as drawing
from . import filter as filtering
from . import four_parts as four
from .candidates import Chosen, candidates_of, four_candidates_of
from .four_parts import FourCandidate
from .measure_ablations import Progress
from .pools import HEADLINE_KINDS, TEST_ONLY_KINDS, Tried, measure_pool
from .stable import keep_stable

BUILD = 2
"""Version of what is measured. Raise it with every change after which rows of an old journal would
be wrong under their key: wording, delimiters, how outputs are read."""

POOL: dict[str, dict[str, int]] = {
    "validation": {"hint": 400, "context": 400, "which": 320},
    "test": {
        "hint": 960,
        "context": 840,
        "which": 800,
        "option": 360,
        "demonstration": 1_200,
        "word": 240,
    },
    "train": {"hint": 2_247, "context": 1_560, "which": 1_900},
}
"""Questions tried, by split and kind; fewer where the facts give out."""
LAPS = {
    ("validation", "hint"): 2.0,
    ("validation", "context"): 1.4,
    ("validation", "which"): 3.6,
    ("test", "hint"): 1.5,
    ("test", "which"): 2.0,
    ("train", "hint"): 1.4,
    ("train", "which"): 1.15,
}
"""How often each question of a split and kind is tried, with other arrangements, if not once; a
fraction stands for the first questions."""
SIZES: dict[str, dict[str, int]] = {
    "train": {"hint": 2_500, "context": 2_500, "which": 1_000},
    "validation": {"hint": 160, "context": 160, "which": 80},
    "test": {
        "hint": 400,
        "context": 400,
        "which": 200,
        "demonstration": 150,
        "option": 150,
        "word": 150,
    },
}
"""Queries wanted, by split and kind."""
PER_QUESTION = {"train": 4}
"""Queries that one question may give; one in the other splits, so that no other query of it gives
anything away."""
LEAST_POOL = 48  # questions tried at least, whatever the sizes
SPARE = 1.05  # queries put through the stability test for each one wanted
OUTCOME_CAP = {"hint": 0.05, "context": 0.05, "demonstration": 0.08, "word": 0.08, "option": 0.40}
"""Largest share of one answer without the part, by kind; options have four answers only."""
MARGIN = 0.1  # least gap of logits of every answer in validation and test

BARS = {
    "train": (Bar(name="queries", low=6_000),),
    "validation": (Bar(name="queries", low=400),),
    "test": (Bar(name="queries", low=1_000),),
}
"""Bars of single splits, over the headline kinds."""
BARS_ALL: tuple[Bar, ...] = ()  # bars of every split: none; see `BARS_KIND`
BARS_KIND = {
    **{
        kind: (
            Bar(name="share_changed", low=0.40, high=0.60),
            Bar(name="share_commonest_outcome", high=0.06),
        )
        for kind in ("hint", "context")
    },
    **{
        kind: (Bar(name="queries", low=150), Bar(name="share_changed", low=0.40, high=0.60))
        for kind in TEST_ONLY_KINDS
    },
}
"""Bars of each kind within a split."""


def make_split(
    target: TargetModel,
    split: str,
    *,
    seed: int,
    work: Path,
    report: Progress,
    rounded: Callable[[], TargetModel],
    sizes: Mapping[str, Mapping[str, int]] = SIZES,
    facts: str | None = None,
) -> tuple[list[list[Measured]], dict[str, Any]]:
    """Measured queries of one split, a group each base text, and the stability report by kind.

    Returns:
        Groups, and for each kind what stability runs gave (empty for train).
    """
    groups: list[list[Measured]] = []
    reports: dict[str, Any] = {}
    for kind, wanted in sizes[split].items():
        splits = (split,) if facts is not None else _filtered_with(kind, split, sizes)
        pools = {
            name: measure_pool(
                target,
                kind,
                facts or name,
                _pool_size(name, kind, sizes),
                seed=seed,
                work=work if name == split else work.parent / name,
                report=report,
                laps=LAPS.get((name, kind), 1.0),
            )
            for name in splits
        }
        chosen = _choose(target, kind, split, pools, sizes)
        if split != "train":
            chosen, reports[kind] = keep_stable(target, chosen, work / kind, report, rounded)
        groups += _grouped(chosen, wanted)
    return groups, reports


def _filtered_with(kind: str, split: str, sizes: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Splits whose pools the regressions are fitted on: all that have the kind."""
    return [name for name in sizes if kind in sizes[name] or name == split]


def _pool_size(split: str, kind: str, sizes: Mapping[str, Mapping[str, int]]) -> int:
    usual, wanted = SIZES[split][kind], sizes[split][kind]
    return max(LEAST_POOL, -(-POOL[split][kind] * wanted // usual))


def _choose(
    target: TargetModel,
    kind: str,
    split: str,
    pools: Mapping[str, Sequence[Tried]],
    sizes: Mapping[str, Mapping[str, int]],
) -> list[Chosen]:
    """Queries of one split that no regression on the text can tell: those wanted and spare ones.

    What is kept of train is known first: others are matched on what a regression on it tells, too.
    """
    margins = {name: 0.0 if name == "train" else MARGIN for name in pools}
    wanted = {name: sizes[name][kind] for name in pools}
    drawn = {name: n if name == "train" else round(SPARE * n) for name, n in wanted.items()}
    if kind == "which":
        fours = [
            one
            for name, pool in pools.items()
            for one in four_candidates_of(target, name, pool, margins[name])
        ]
        fours = [*{one.payload.query.fields["text"]: one for one in fours}.values()]
        known: list[FourCandidate] = []
        for name in dict.fromkeys(("train", split)):
            if name in pools:
                known = four.choose(fours, name, drawn[name], PER_QUESTION.get(name, 1), known)
        return [one.payload for one in known]
    found = [
        one
        for name, pool in pools.items()
        for one in candidates_of(target, name, pool, margins[name])
    ]
    found = [*{one.text: one for one in found}.values()]  # laps may come to the same text
    likely, hits = filtering.nothing_known(found)
    if kind in HEADLINE_KINDS:
        left, likely, _ = filtering.undecidable(found, _fitted_on(pools))
        hits = filtering.guessed(found)[left]
        found = [found[i] for i in left]
    rations = {
        name: drawing.Ration(
            size=drawn[name],
            wanted=wanted[name],
            per_question=PER_QUESTION.get(name, 1),
            outcome_cap=OUTCOME_CAP[kind],
        )
        for name in dict.fromkeys(("train", split))
        if name in pools
    }
    return [one.payload for one in drawing.draw_in_turn(found, likely, hits, rations)]


def _fitted_on(pools: Mapping[str, Sequence[Tried]]) -> str:
    return "train" if "train" in pools else next(iter(pools))


def _grouped(chosen: Sequence[Chosen], wanted: int) -> list[list[Measured]]:
    """The first queries wanted, those of one base text together."""
    groups: dict[str, list[Measured]] = {}
    for one in chosen[:wanted]:
        groups.setdefault(one.question, []).append(one.query)
    return list(groups.values())
