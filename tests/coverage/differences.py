"""How often intervals and tests do what they say, over simulated explainers whose truth is known.

Run it by hand: `python tests/coverage/differences.py`, some minutes on one core. Each set is two
explainers on the same groups of queries. Their answers depend on how hard the group is for both
(shared), on how hard it is for each, and on chance, so that members of a group are won and lost
together. It prints

(a) `coverage`: share of 1,000 sets whose 95 % interval holds the true difference, by metric and
    size. It should be between 0.93 and 0.97.
(b) `false alarms`: share of sets without any difference that a test at 5 % calls different. It
    should be at most 0.07 for swapping groups; McNemar's exceeds it, since it takes queries as
    independent.
(c) `power`: share of sets found at 5 % when the true difference is the minimum detectable one. It
    should be near 0.80.
(d) `told apart`: share of boards of ten equal explainers on which any two do not share a letter. It
    should be at most 0.07.
(e) `overall`: coverage of the interval of the mean over three rescaled tasks.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from introspect_bench.benchmark.metrics.bootstrap import ends, resample
from introspect_bench.benchmark.metrics.descriptions import UNIT, DescriptionTable
from introspect_bench.benchmark.metrics.paired import (
    RIGHT,
    mcnemar,
    minimum_detectable,
    permutation_test,
)
from introspect_bench.benchmark.metrics.verdicts import ScoreTable, Table
from introspect_bench.benchmark.scoring.scale import Scale
from introspect_bench.leaderboard.site.ranking import Headline, overall, told_apart

SHARED, OWN = 0.8, 0.6
"""Standard deviations of a group's difficulty, on the scale of a standard normal answer."""
SPREAD = float(np.sqrt(1 + SHARED**2 + OWN**2))
PERMUTATIONS = 999
LOW, HIGH = 0.93, 0.97
"""Where coverage of a 95 % interval should be."""

Floats = npt.NDArray[np.float64]


def share_right(level: float) -> float:
    """True share of right answers of an explainer of this level."""
    return float(norm.cdf(level / SPREAD))


def right(
    levels: tuple[float, ...], n_groups: int, size: int, rng: np.random.Generator
) -> list[npt.NDArray[np.bool_]]:
    """Right or wrong of several explainers on the same groups, each (n_groups * size,)."""
    shared = SHARED * rng.normal(size=(n_groups, 1))
    found = []
    for level in levels:
        own = OWN * rng.normal(size=(n_groups, 1))
        noise = rng.normal(size=(n_groups, size))
        found.append((level + shared + own + noise > 0).ravel())
    return found


def causal(levels: tuple[float, ...], n_groups: int, rng: np.random.Generator) -> list[ScoreTable]:
    """Tables of groups of four; verdict and content of an answer are both right or both wrong."""
    changed = np.tile([True, True, False, False], n_groups)
    return [
        ScoreTable(
            exact=hit,
            content=hit,
            true_changed=changed,
            pred_changed=np.where(hit, changed, ~changed).astype(np.int8),
            kind=np.full(len(hit), "k"),
            group=np.repeat(np.arange(n_groups), 4),
        )
        for hit in right(levels, n_groups, 4, rng)
    ]


def descriptions(
    levels: tuple[float, ...], n: int, rng: np.random.Generator
) -> list[DescriptionTable]:
    """Tables of features with skewed correlations, many of them near 0."""
    hardness = rng.beta(1.2, 1.2, size=n)
    found = []
    for level in levels:
        r = np.clip(level * hardness * rng.exponential(size=n), -1, 1)
        column = np.round(r * UNIT).astype(np.int64)
        found.append(
            DescriptionTable(
                matched_auroc=column,
                marked=np.ones(n, dtype=np.bool_),
                weighted_r=column,
                group=np.arange(n),
            )
        )
    return found


def mean_r(level: float) -> float:
    """True mean of `descriptions`, from a sample so large that its error does not matter."""
    rng = np.random.default_rng(0)
    hardness = rng.beta(1.2, 1.2, size=4_000_000)
    return float(np.clip(level * hardness * rng.exponential(size=hardness.size), -1, 1).mean())


def consistency(level: float) -> float:
    """True share of groups of four that are all right: an integral over the group's difficulty."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    member = norm.cdf(level + np.sqrt(SHARED**2 + OWN**2) * nodes)
    return float((weights * member**4).sum() / weights.sum())


Make = Callable[..., Sequence[Table]]
SETS: dict[str, tuple[str, Make, int, float, float, Callable[[float], float]]] = {
    "exact match, 250 x 4": ("exact_match", causal, 250, -0.7, -0.5, share_right),
    "exact match, 60 x 4": ("exact_match", causal, 60, -0.7, -0.2, share_right),
    # verdicts are right as often in both classes, so the mean of both F1 scores is that share
    "macro-F1, 250 x 4": ("has_changed_macro_f1", causal, 250, 0.1, 0.3, share_right),
    "group consistency, 250 x 4": ("group_consistency", causal, 250, 0.2, 0.5, consistency),
    "weighted r, 600": ("weighted_r", descriptions, 600, 0.3, 0.36, mean_r),
}
"""Name: metric, maker, groups, levels of both, true value of a level."""


def coverage(name: str, n_sets: int, seed: int) -> float:
    """Share of sets whose interval holds the true difference."""
    metric, make, n, first, second, value = SETS[name]
    truth = value(first) - value(second)
    hits = 0
    for number in range(n_sets):
        rng = np.random.default_rng([seed, number])
        tables = make((first, second), n, rng)
        values = resample(tables, [metric], rng=rng)[metric]
        low, high = ends(values[0] - values[1])
        hits += low <= truth <= high
    return hits / n_sets


def alarms(name: str, n_sets: int, seed: int) -> dict[str, float]:
    """Share of sets of two equally good explainers that tests call different."""
    metric, make, n, first, _, _ = SETS[name]
    swapped = tossed = 0
    for number in range(n_sets):
        rng = np.random.default_rng([seed, number])
        one, other = make((first, first), n, rng)
        p = permutation_test(one, other, metric, rng=rng, n_permutations=PERMUTATIONS)
        swapped += p < 0.05
        if metric in RIGHT:
            tossed += mcnemar(RIGHT[metric](one), RIGHT[metric](other)).p < 0.05
    found = {"swapping groups": swapped / n_sets}
    return found | ({"McNemar": tossed / n_sets} if metric in RIGHT else {})


def power(n_sets: int, seed: int) -> float:
    """Share of sets found when the truth is what `minimum_detectable` says, 250 groups of four."""
    tables = causal((-0.6, -0.6), 4000, np.random.default_rng(seed))
    values = resample(tables, ["exact_match"], rng=np.random.default_rng(seed))["exact_match"]
    detectable = minimum_detectable(values[0] - values[1])
    assert detectable is not None
    wanted = detectable * np.sqrt(4000 / 250)  # a precise value, brought to 250 groups
    middle = share_right(-0.6)
    levels = tuple(SPREAD * float(norm.ppf(middle + sign * wanted / 2)) for sign in (1, -1))
    found = 0
    for number in range(n_sets):
        rng = np.random.default_rng([seed, number])
        one, other = causal(levels, 250, rng)
        found += (
            permutation_test(one, other, "exact_match", rng=rng, n_permutations=PERMUTATIONS) < 0.05
        )
    return found / n_sets


def boards(n_sets: int, seed: int) -> float:
    """Share of boards of ten equal explainers on which some two are told apart."""
    wrong = 0
    for number in range(n_sets):
        rng = np.random.default_rng([seed, number])
        tables = causal((-0.6,) * 10, 250, rng)
        resampled = resample(tables, ["exact_match"], rng=rng)["exact_match"]
        values = np.array([table.exact.mean() for table in tables])
        wrong += bool(told_apart(values, resampled).any())
    return wrong / n_sets


def overalls(n_sets: int, seed: int) -> float:
    """Coverage of the overall of three tasks of different size and scale."""
    parts = {"a": (250, -0.7, 0.05, 1.0), "b": (250, 0.3, 0.1, 0.98), "c": (120, 0.0, 0.0, 0.6)}
    scales = {name: Scale(floor=p, ceiling=c) for name, (_, _, p, c) in parts.items()}
    truth = np.mean([(share_right(v) - p) / (c - p) for _, v, p, c in parts.values()])
    hits = 0
    for number in range(n_sets):
        rng = np.random.default_rng([seed, number])
        scores = {}
        for name, (n, level, _, _) in parts.items():
            (table,) = causal((level,), n, rng)
            values = resample([table], ["exact_match"], rng=rng)["exact_match"][0]
            scores[name] = Headline(value=float(table.exact.mean()), resampled=values)
        found = overall(scores, scales)
        assert found is not None
        hits += bool(found.interval_95[0] <= truth <= found.interval_95[1])
    return hits / n_sets


def main() -> int:
    """Print all figures as JSON lines; exit 1 if one is not where it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    n, seed = arguments.sets, arguments.seed
    good = True

    def say(what: str, figure: float, low: float, high: float) -> None:
        nonlocal good
        met = bool(low <= figure <= high)
        good &= met
        line = {"what": what, "figure": round(figure, 4), "from": low, "to": high, "met": met}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    for name in SETS:
        say(f"coverage, {name}", coverage(name, n, seed), LOW, HIGH)
    say("coverage, overall", overalls(n, seed), LOW, HIGH)
    for name in SETS:
        for test, figure in alarms(name, n, seed).items():
            free = test == "McNemar" and "group" not in name
            say(f"false alarms, {name}, {test}", figure, 0, 1 if free else 0.07)
    say("power at the minimum detectable difference", power(n, seed), 0.76, 0.84)
    say("told apart among ten equals", boards(n, seed), 0, 0.07)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
