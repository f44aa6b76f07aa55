"""Makes the frozen suite of input ablations for any target, from facts and a seed.

Owns how many questions are tried and how many queries are kept. Everything measured is journaled,
and nothing measured depends on the choice, so that a changed choice costs minutes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....benchmark.suite.freeze import Measured
from ...build.order import FRESH, SplitJob
from ...build.statistics import Bar
from . import draw as drawing
from . import filter as filtering
from .candidates import Drawn, candidates_of, four_candidates_of, keep_stable
from .draw import FourCandidate
from .pools import HEADLINE_KINDS, TEST_ONLY_KINDS, Tried, measure_pool

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
    FRESH: {"hint": 320, "context": 320, "which": 160},
}
"""Queries wanted, by split and kind. A fresh test has what is made in half an hour, of the kinds of
the headline alone."""
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
    FRESH: (Bar(name="queries", low=800),),
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
    job: SplitJob,
    *,
    sizes: Mapping[str, Mapping[str, int]] = SIZES,
    facts: str | None = None,
) -> tuple[list[list[Measured]], dict[str, Any]]:
    """Measured queries of one split, a group each base text, and the stability report by kind.

    `sizes` are queries wanted, by split and kind; pools shrink in proportion. `facts` is the split
    whose subjects are asked about, if not the job's: with `reserve` a test split is made alone, and
    its regressions are fitted on its own questions only, in folds. Nothing of train is tested for
    stability.
    """
    split = job.split
    groups: list[list[Measured]] = []
    reports: dict[str, Any] = {}
    own = {name: kinds for name, kinds in sizes.items() if name != FRESH}
    if facts is not None:
        own = {split: sizes.get(FRESH, sizes[split])}
    for kind, wanted in own[split].items():
        # regressions are fitted on the pools of all splits that have the kind
        splits = [name for name in own if kind in own[name] or name == split]
        pools = {
            name: measure_pool(
                job,
                kind,
                facts or name,
                _pool_size(name, kind, own),
                work=job.work if name == split else job.work.parent / name,
                laps=LAPS.get((name, kind), 1.0),
            )
            for name in splits
        }
        chosen = _choose(job, kind, pools, {name: own[name][kind] for name in pools})
        if split != "train":
            chosen, reports[kind] = keep_stable(job, kind, chosen)
        by_question: dict[str, list[Measured]] = {}
        for one in chosen[:wanted]:
            by_question.setdefault(one.question, []).append(one.payload.query)
        groups += by_question.values()
    return groups, reports


def _pool_size(split: str, kind: str, sizes: Mapping[str, Mapping[str, int]]) -> int:
    usual, wanted = SIZES[split][kind], sizes[split][kind]
    return max(LEAST_POOL, -(-POOL[split][kind] * wanted // usual))


def _choose(
    job: SplitJob, kind: str, pools: Mapping[str, Sequence[Tried]], wanted: Mapping[str, int]
) -> Sequence[Drawn]:
    """Queries of one split that no regression on the text can tell: those wanted and spare ones.

    What is kept of train is known first: others are matched on what a regression on it tells, too.
    """
    margins = {name: 0.0 if name == "train" else MARGIN for name in pools}
    drawn = {name: n if name == "train" else round(SPARE * n) for name, n in wanted.items()}
    in_turn = [name for name in dict.fromkeys(("train", job.split)) if name in pools]
    if kind == "which":
        fours = [
            one
            for name, pool in pools.items()
            for one in four_candidates_of(job.target, name, pool, margins[name])
        ]
        fours = [*{one.payload.query.fields["text"]: one for one in fours}.values()]
        known: list[FourCandidate] = []
        for name in in_turn:
            known = drawing.choose(fours, name, drawn[name], PER_QUESTION.get(name, 1), known)
        return known
    found = [
        one
        for name, pool in pools.items()
        for one in candidates_of(job.target, name, pool, margins[name])
    ]
    found = [*{one.text: one for one in found}.values()]  # laps may come to the same text
    likely, hits = filtering.nothing_known(found)
    if kind in HEADLINE_KINDS:
        fitted_on = "train" if "train" in pools else next(iter(pools))
        left, likely = filtering.undecidable(found, fitted_on)
        hits = filtering.guessed(found)[left]
        found = [found[i] for i in left]
    rations = {
        name: drawing.Ration(
            size=drawn[name],
            wanted=wanted[name],
            per_question=PER_QUESTION.get(name, 1),
            outcome_cap=OUTCOME_CAP[kind],
        )
        for name in in_turn
    }
    return drawing.draw_in_turn(found, likely, hits, rations)
