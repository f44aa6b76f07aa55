"""What each metric makes of answers that are known to be worth something or nothing.

The simulated corpora and answerers of the metric card: a perfect one, the same with labels missing
or false ones added (the two tests of NeuronEval, arXiv:2506.05774), and four that know nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..records import Answer, GroundTruth, Query, Scored
from ..registry import get_task
from ..scoring.grade import score_table
from ..scoring.judged import score_feature
from ..suite.features import MATCHED, WINDOW, WINDOWS
from ..task import Task
from .activations import auprc
from .verdicts import BALANCED_KINDS, NO_VERDICT, WHICH, ScoreTable, evaluate

SEED = 0
# Answerers, in the order of the card's columns
TESTS = ("perfect", "missing", "false", "constant", "shuffled", "copied", "hedging")
N_ANSWERS = 40  # Possible outputs; the k-th commonest in proportion to 1 / k
N_QUERIES = 1000  # Queries of a causal task's corpus; half of the verdicts are `changed`
GROUP = 4  # Queries of a contrast group of activation patching

Rng = np.random.Generator

# Fields of the one query whose prompt is copied
_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "activation-patching": {
        "text": "The capital of Norway is",
        "position": 3,
        "n_tokens": 5,
        "token": " Norway",
        "layers": [6, 11],
        "relation": "capital",
    },
    "input-ablations": {
        "text": "Someone says Rome. The capital of Norway is",
        "span": [0, 18],
        "removed": "Someone says Rome.",
        "answer_prefix": "",
        "answer_form": "text",
        "relation": "capital",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Queries of a causal task with their truth; the last ones may ask for a part."""

    task: Task  # The task
    queries: Sequence[Query]  # Those that ask for a verdict
    truth: Sequence[GroundTruth]  # What is true of them
    parts: npt.NDArray[np.int64]  # The right part, 0 to 3, of each `which` query, (n_which,)

    @property
    def commonest(self) -> str:
        """The commonest outcome of a change."""
        return "answer 0"


def causal_figures(name: str) -> dict[str, dict[str, float]]:
    """Return the score of every answerer by every metric of a causal task."""
    task = get_task(name)
    corpus = _corpus(task, np.random.default_rng(SEED))
    tables = _tables(corpus, np.random.default_rng(SEED + 1))
    return {
        metric: {test: max(evaluate(metric, table) for table in tables[test]) for test in TESTS}
        for metric in task.metrics
    }


def _corpus(task: Task, rng: Rng) -> Corpus:
    kinds: Sequence[str] = BALANCED_KINDS if "kind_mean" in task.metrics else ("any",)
    n_which = N_QUERIES // 5 if "kind_mean" in task.metrics else 0
    group = 1 if n_which else GROUP
    share = 1 / np.arange(1, N_ANSWERS + 1)
    queries, truth = [], []
    for place in range(N_QUERIES - n_which):
        clean, other = rng.choice(N_ANSWERS, size=2, replace=False, p=share / share.sum())
        outcome = other if rng.random() < 0.5 else clean
        queries.append(
            Query(
                id=f"{place:016x}",
                group=f"{place // group:016x}",
                kind=kinds[place % len(kinds)],
                fields={},
            )
        )
        truth.append(
            GroundTruth(
                id=f"{place:016x}",
                clean=f"answer {clean}",
                outcome=f"answer {outcome}",
                clean_ids=(1,),
                outcome_ids=(1,),
                margin=1.0,
            )
        )
    parts = rng.integers(0, 4, n_which)
    return Corpus(task=task, queries=queries, truth=truth, parts=parts)


def _tables(corpus: Corpus, rng: Rng) -> dict[str, list[ScoreTable]]:
    """Scored answers of every answerer; the best of several rules counts."""
    n, n_which = len(corpus.truth), len(corpus.parts)
    coins, part_coins = rng.random(n) < 0.5, rng.random(n_which) < 0.5
    perfect = [corpus.task.format_answer(one.answer) for one in corpus.truth]
    share = float(np.mean([one.changed for one in corpus.truth]))
    false = rng.random(n) < share
    random_parts = rng.integers(0, 4, n_which)
    order = rng.permutation(n)

    def said(reply: Callable[[int], str | None], parts: npt.NDArray[np.int64]) -> ScoreTable:
        return _scored(corpus, [reply(place) for place in range(n)], parts)

    def unchanged(place: int) -> str:
        return _line(corpus, False, corpus.truth[place].clean)

    def changed(_: int) -> str:
        return _line(corpus, True, corpus.commonest)

    def with_missing(place: int) -> str:
        lost = corpus.truth[place].changed and coins[place]
        return unchanged(place) if lost else perfect[place]

    def with_false(place: int) -> str:
        added = not corpus.truth[place].changed and false[place]
        return changed(place) if added else perfect[place]

    none, first = np.full(n_which, -1), np.zeros(n_which, dtype=np.int64)
    copied = corpus.task.render(_asked(corpus.task.name))
    return {
        "perfect": [said(lambda place: perfect[place], corpus.parts)],
        "missing": [said(with_missing, np.where(part_coins, corpus.parts, none))],
        "false": [said(with_false, np.where(part_coins, corpus.parts, random_parts))],
        "constant": [said(unchanged, first), said(changed, first)],
        "shuffled": [said(lambda place: perfect[order[place]], rng.permutation(corpus.parts))],
        "copied": [said(lambda _: f"{copied.instructions}\n{copied.question}", none)],
        "hedging": [
            said(lambda place: unchanged(place) if coins[place] else changed(place), random_parts),
            said(lambda place: f"{unchanged(place)} or {changed(place)}", none),
            said(lambda place: f"{unchanged(place)}\n{changed(place)}", none),
        ],
    }


def _asked(name: str) -> Query:
    return Query(id="0" * 16, group="0" * 16, kind="hint", fields=_FIELDS[name])


def _line(corpus: Corpus, changed: bool, content: str) -> str:
    return corpus.task.format_answer(Answer(changed=changed, content=content))


def _scored(
    corpus: Corpus, replies: Sequence[str | None], parts: npt.NDArray[np.int64]
) -> ScoreTable:
    """Parse and score replies; parts are taken as read, -1 for no answer."""
    found = []
    for query, truth, raw in zip(corpus.queries, corpus.truth, replies, strict=True):
        answer = None if raw is None else corpus.task.parse(raw)
        known = answer if isinstance(answer, Answer) else None
        found.append(Scored(query=query, raw=raw, answer=known, truth=truth))
    table, n = score_table(found), len(parts)
    right = parts == corpus.parts
    return ScoreTable(
        exact=np.append(table.exact, right),
        content=np.append(table.content, right),
        true_changed=np.append(table.true_changed, np.ones(n, dtype=np.bool_)),
        pred_changed=np.append(table.pred_changed, np.full(n, NO_VERDICT, dtype=np.int8)),
        kind=np.append(table.kind, np.full(n, WHICH)),
        group=np.append(table.group, table.n_groups + np.arange(n)),
    )


N_FEATURES = 40  # Features, each with its own corpus
N_WINDOWS = 2000  # Windows of a corpus
# How common a feature's token is, and on which share of its occurrences the feature is active
TOKEN_SHARE, CONTEXT_SHARE = 0.02, 0.25
N_OTHERS = 19  # Descriptions of other features that a hedging one adds to the true one

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


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
        "hedging": active | any_other,
    }
    activations = np.where(active, 1 + rng.exponential(size=shape), 0.0)
    sample = _sampled(activations, token, rng)
    return sample, {name: value.astype(np.float64) for name, value in predictions.items()}


def _sampled(activations: Floats, token: Bools, rng: Rng) -> Sample:
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
