"""The metric card: what each metric is worth, as a page of Markdown. Deterministic."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..export.tables import bar, title
from ..registry import get_task
from ..scoring.judged import score_feature
from ..suite.features import MATCHED, WINDOW, WINDOWS
from .activations import auprc
from .card_tests import SEED, TESTS, Rng, causal_figures

MAX_LEFT = 0.9  # Share of the perfect score that missing or false labels may leave
MAX_NOTHING = 0.1  # Most that an answerer who knows nothing may score
TASKS = ("activation-patching", "input-ablations", "feature-descriptions")
DESCRIPTIONS = "feature-descriptions"
ABOVE = "above the floor"  # A headline as *Overall* counts it: from the best who know nothing
# What may stand beside a metric that fails a test, the first one that passes it first
COMPANIONS: Mapping[str, Sequence[str]] = {
    "activation-patching": ("balanced_exact_match", "group_consistency", ABOVE),
    "input-ablations": ("kind_mean", ABOVE),
    DESCRIPTIONS: ("weighted_r", "auprc"),
}
Figures = Mapping[str, Mapping[str, float]]

_HEAD = f"""# Metric card

Written by `introspect-bench data metric-card`; change nothing here by hand.

What each metric makes of answers that are known to be worth something or nothing, on simulated
queries and features with a fixed seed. No model runs. Replies to the causal tasks go through the
tasks' own parsers; for descriptions a perfect judge is taken for granted, so that a failure is the
formula's. *Missing* and *false* are the two tests of NeuronEval (arXiv:2506.05774).

| column | answers | passes if |
| --- | --- | --- |
| perfect | all right | for comparison |
| missing | a random half of the `changed` verdicts, parts or active tokens is left out | at most \
{MAX_LEFT:.0%} of perfect |
| false | `changed` is added to unchanged queries, a random part named for half, or activity added \
to silent tokens, at random and as often as in the corpus | at most {MAX_LEFT:.0%} of perfect |
| constant | always unchanged, always changed to the commonest output, always part A, active \
everywhere | at most {MAX_NOTHING} |
| shuffled | the right answers of other queries or features | at most {MAX_NOTHING} |
| copied | the prompt itself; for descriptions, predictions at random | at most {MAX_NOTHING} |
| echo | a line of the prompt, its form of an answer, or its last word as the content; for \
descriptions, words that predict nothing | at most {MAX_NOTHING} |
| hedging | verdict by coin with the likeliest content; for descriptions, the true one joined to \
nineteen others by "or" | at most {MAX_NOTHING}; * |
| two answers | the right one and its opposite, or two contents, in one reply; for descriptions, \
the true one or another's | at most {MAX_NOTHING}; * |
| look-alike | the right verdict and a content that looks right: a letter of another script, a \
zero-width space, other case, another sign; for descriptions, the right token in any context | at \
most {MAX_NOTHING}; * |

\\* Descriptions that hold the truth, or a part of it: at most {MAX_LEFT:.0%} of perfect.

Of several rules the best one by the metric counts. A figure in bold fails. A metric that fails is
published with its failure, and the companion beside it passes what it fails.
"""


def data_metric_card() -> str:
    """Return the page, ending in a line feed."""
    return "\n".join([_HEAD, *(_section(task, figures_of(task)) for task in TASKS), _TAIL])


@functools.cache
def figures_of(task: str) -> dict[str, dict[str, float]]:
    """Return every metric's score by answerer, a causal headline above the floor too."""
    if task == DESCRIPTIONS:
        return description_figures()
    found = causal_figures(task)
    own = found[get_task(task).headline]
    floor = max(own[test] for test in TESTS if _knows_nothing(task, test))
    found[ABOVE] = {test: (value - floor) / (1 - floor) for test, value in own.items()}
    return found


def passes(task: str, figures: Mapping[str, float], test: str) -> bool:
    """Say whether a metric passes a test, by the rules that the page states."""
    if test == "perfect":
        return True
    most = MAX_NOTHING if _knows_nothing(task, test) else MAX_LEFT * figures["perfect"]
    return figures[test] <= most


def companions(task: str, found: Figures, metric: str) -> list[str]:
    """Return the metrics that pass, together, every test that a metric fails."""
    failed = [test for test in TESTS if not passes(task, found[metric], test)]
    kept = []
    for other in COMPANIONS[task]:
        passed = [test for test in failed if passes(task, found[other], test)]
        if passed and other != metric:
            kept.append(other)
            failed = [test for test in failed if test not in passed]
    if failed:
        raise ValueError(f"{metric} of {task} fails {failed}, and nothing beside it passes them")
    return kept


def _knows_nothing(task: str, test: str) -> bool:
    known = ("perfect", "missing", "false")
    partly = ("hedging", "two answers", "look-alike")  # of descriptions, they hold the truth
    return test not in known and not (test in partly and task == DESCRIPTIONS)


def _section(task: str, found: Figures) -> str:
    lines = [f"## {title(task).replace('-', ' ').capitalize()}", ""]
    lines.append(bar(["metric", *TESTS, "fails", "companion"]))
    lines.append(bar(["---", *(["---:"] * len(TESTS)), "---:", "---"]))
    for metric, figures in found.items():
        verdicts = {test: passes(task, figures, test) for test in TESTS}
        cells = [
            _shown(figures[test]) if verdicts[test] else f"**{_shown(figures[test])}**"
            for test in TESTS
        ]
        fails = len(verdicts) - sum(verdicts.values())
        beside = "; ".join(_name(task, one) for one in companions(task, found, metric))
        lines.append(bar([_name(task, metric), *cells, str(fails or "none"), beside]))
    return "\n".join([*lines, ""])


def _name(task: str, metric: str) -> str:
    return f"{title(get_task(task).headline)}, {ABOVE}" if metric == ABOVE else title(metric)


def _shown(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00")


# Simulated features and what each answerer predicts of them
N_FEATURES = 40  # Features, each with its own corpus
N_WINDOWS = 2000  # Windows of a corpus
# How common a feature's token is, and on which share of its occurrences the feature is active
TOKEN_SHARE, CONTEXT_SHARE = 0.02, 0.25
N_OTHERS = 19  # Descriptions of other features that a hedging one adds to the true one

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What is scored of one feature."""

    windows: npt.NDArray[np.int64]  # Places in the corpus, (16,): matched ones, then random
    own: Mapping[str, npt.NDArray[Any]]  # What a suite holds of these, as `score_feature` reads it


def description_figures() -> dict[str, dict[str, float]]:
    """Return the mean score over features of every answerer, by metric."""
    rng = np.random.default_rng(SEED)
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(N_FEATURES):
        sample, predictions = _feature(rng)
        for test in TESTS:
            for metric, value in _scores(sample, predictions[test]).items():
                found.setdefault(metric, {}).setdefault(test, []).append(value)
    return {
        metric: {test: float(np.mean(values)) for test, values in own.items()}
        for metric, own in found.items()
    }


def _feature(rng: Rng) -> tuple[Sample, dict[str, Floats]]:
    """Draw a feature, what is sampled of it, and what each answerer predicts on its corpus."""
    shape = (N_WINDOWS, WINDOW)
    token = rng.random(shape) < TOKEN_SHARE
    active = token & (rng.random(shape) < CONTEXT_SHARE)
    density = float(active.mean())
    # each is active on occurrences of a token of its own
    another = ~token & (rng.random(shape) < TOKEN_SHARE * CONTEXT_SHARE)
    any_other = ~token & (rng.random(shape) < 1 - (1 - TOKEN_SHARE * CONTEXT_SHARE) ** N_OTHERS)
    predictions = {
        "perfect": active,
        "missing": active & (rng.random(shape) < 0.5),
        "false": active | (rng.random(shape) < density),
        "constant": np.ones(shape),
        "shuffled": another,
        "copied": rng.random(shape),
        "echo": np.zeros(shape),
        "hedging": active | any_other,
        "two answers": active | another,
        "look-alike": token,
    }
    activations = np.where(active, 1 + rng.exponential(size=shape), 0.0)
    sample = _sampled(activations, token, rng)
    return sample, {name: value.astype(np.float64) for name, value in predictions.items()}


def _sampled(activations: Floats, token: npt.NDArray[np.bool_], rng: Rng) -> Sample:
    """Sample as a suite does: marked strong and silent tokens, active and other windows."""
    each, half = (WINDOWS - MATCHED) // 2, MATCHED // 2
    holds = (activations > 0).any(axis=1)
    sides = np.flatnonzero(holds), np.flatnonzero(~holds)
    flat = activations.ravel()
    strong = np.flatnonzero(flat >= np.sort(flat)[-10:].mean() / 2)
    silent = np.flatnonzero((token & (activations == 0)).ravel())
    marked = np.append(rng.choice(strong, half, False), rng.choice(silent, half, False))
    drawn = np.concatenate([rng.choice(side, each, False) for side in sides])
    windows = np.append(marked // WINDOW, drawn)
    none = np.full(2 * each, -1)
    shares = np.repeat([len(side) / each / N_WINDOWS for side in sides], each)
    own = {
        "marks": np.append(marked % WINDOW, none),
        "pair_group": np.append(np.zeros(MATCHED, dtype=np.int64), none),
        "strong": np.arange(WINDOWS) < half,
        "weights": np.append(np.zeros(MATCHED), shares),
        "activations": activations[windows],
    }
    return Sample(windows=windows, own=own)


def _scores(sample: Sample, predicted: Floats) -> dict[str, float]:
    said = predicted[sample.windows]
    found = score_feature(sample.own, said)
    assert found.matched_auroc is not None
    weights = np.repeat(sample.own["weights"], WINDOW)
    active = sample.own["activations"].ravel() > 0
    return {
        "matched_auroc": found.matched_auroc,
        "weighted_r": found.weighted_r,
        "auprc": auprc(active, said.ravel(), weights),
    }


_TAIL = """## What follows

- Balanced exact match gives nothing to one verdict, and a coin with the likeliest content
  0.5 sqrt(p), p being its share of right contents. That is why *Overall* begins at the best null
  that only reads, which is tuned to hedge: above the floor nothing is left of it, by construction.
- Exact match on one class, the verdict's accuracy and F1 describe; alone they rank nobody. The
  verdict's see no content, so one that only looks right is all right to them.
- Descriptions of contextual features are ranked by matched AUROC (2 AUROC - 1), with weighted r
  beside it. They are judged by exact predicates: every score shows the share of descriptions that
  the judge read by its grammar, mapped to the nearest known one, or could not map, which predict
  nothing.
- Matched AUROC looks at marked tokens alone, where a false label at corpus density hardly ever
  falls and other features' tokens never occur: it fails these three tests by construction. Weighted
  r and the average precision over random windows stand beside it.
"""
