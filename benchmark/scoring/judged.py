"""Descriptions against what is known about their features; reads judgements, runs no model."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import IntegrityError, UsageError
from ..judging.rubric import rated
from ..metrics.activations import matched_auroc, weighted_r
from ..metrics.bootstrap import estimates
from ..metrics.descriptions import METRICS, UNIT, DescriptionTable
from ..records import Described, Description, Predicted, Replied
from ..runs.run import MAPPED, PREDICTED, RATED, Run, read_replies, stored_bytes
from ..suite.features import WINDOW, WINDOWS, arrays
from ..suite.suite import Suite
from ..task import Task
from .correct import group_numbers

EXACT = "exact-predicates"  # Kind of the judge that ranks, which every suite names in its manifest
DIGITS = 6  # Decimals of a query's numbers


class NotJudgedError(UsageError):
    """A run can be scored once its descriptions have been judged."""


class Truths:
    """What the features of a split do in the windows they are scored on."""

    def __init__(self, suite: Suite, split: str) -> None:
        """Open windows and activations."""
        self._place = {query.id: row for row, query in enumerate(suite.queries(split))}
        self._own = arrays(suite, split, "windows") | arrays(suite, split, "activations")

    def score(self, qid: str, predicted: npt.NDArray[np.number[Any]]) -> Predicted:
        """Score predicted activations, (16, 32), of the feature of a query."""
        row = self._place[qid]
        return score_feature({name: value[row] for name, value in self._own.items()}, predicted)


def score_feature(
    own: Mapping[str, npt.NDArray[Any]], predicted: npt.NDArray[np.number[Any]]
) -> Predicted:
    """Score predicted activations, (16, 32), against the feature's windows and activations."""
    values, weights = predicted.astype(np.float64), own["weights"].astype(np.float64)
    marked = np.flatnonzero(own["marks"] >= 0)
    area = None
    if len(marked):
        at = values[marked, own["marks"][marked].astype(np.int64)]
        area = _rounded(
            matched_auroc(at, own["strong"][marked] > 0, own["pair_group"][marked].astype(np.int64))
        )
    r = weighted_r(
        own["activations"].astype(np.float64).ravel(), values.ravel(), np.repeat(weights, WINDOW)
    )
    return Predicted(matched_auroc=area, weighted_r=_rounded(r))


def grade_descriptions(run: Run, task: Task, suite: Suite) -> tuple[Described, ...]:
    """Grade a run about features with its judgements; NotJudgedError if the suite's lack."""
    replies, split = read_replies(run, task, suite), run.header.task.split
    if split == "train":
        raise UsageError(f"{run.path}: descriptions of the train split are not scored")
    truth, measured = suite.feature_truth(split), suite.has_windows
    truths = Truths(suite, split) if measured else None
    own = suite.manifest["judges"][EXACT] if measured else None
    _check_judged(run, replies, own)
    whole = _whole(run, replies)
    raters = [judge for judge in whole if judge.startswith(RATED)]
    others = [judge for judge in whole if judge not in (own, *raters)]
    return tuple(
        Described(
            query=reply.query,
            raw=reply.raw,
            answer=reply.answer if isinstance(reply.answer, Description) else None,
            truth=truth[reply.query.id],
            found=_found(run, own, reply, truths),
            mapped=None if reply.answer is None or not own else _mapped(run, own, reply.query.id),
            others={judge: _found(run, judge, reply, truths) for judge in others},
            ratings={judge: _rating(run, judge, reply) for judge in raters},
        )
        for reply in replies
    )


def description_table(described: Sequence[Described], judge: str | None = None) -> DescriptionTable:
    """Return described queries as columns, by the suite's own judge or one of `others`."""
    found = [one.found if judge is None else one.others[judge] for one in described]
    return DescriptionTable(
        matched_auroc=_column([one.matched_auroc or 0.0 for one in found]),
        marked=np.array([one.matched_auroc is not None for one in found], dtype=np.bool_),
        weighted_r=_column([one.weighted_r for one in found]),
        group=group_numbers(described),
    )


def shown_description(one: Described) -> dict[str, Any]:
    """Return what `show` says of a query about a feature."""
    return {
        "truth": one.truth.descriptions[0],
        "predicate": one.truth.predicate,
        "raw": one.raw,
        "status": one.status,
        "answer": None if one.answer is None else one.answer.text,
        "matched_auroc": one.found.matched_auroc,
        "weighted_r": one.found.weighted_r,
        "mapped": one.mapped,
    }


def _check_judged(run: Run, replies: Sequence[Replied], judge: str | None) -> None:
    """Refuse a run whose answers are not all judged, or one that judges what is no answer."""
    texts = {
        reply.query.id: reply.answer.text
        for reply in replies
        if isinstance(reply.answer, Description)
    }
    for (name, qid), row in run.judgements.items():
        if qid not in texts:
            raise IntegrityError(f"{run.path}: {name} judges query {qid}, which has no answer")
        if row["text"] != texts[qid]:
            raise IntegrityError(
                f"{run.path}: {name} judged another text for query {qid} than its reply holds"
            )
    if judge is None:
        return
    lacking = sum((judge, qid) not in run.judgements for qid in texts)
    if lacking:
        kind = judge.split("/")[0]
        others = sorted({name for name, _ in run.judgements if name.split("/")[0] == kind})
        hint = f" (it has those of {others[0]})" if others else ""
        raise NotJudgedError(
            f"{run.path}: {lacking} of {len(texts)} descriptions are not judged by {judge}{hint}; "
            f"run `introspect-bench judge {run.path}`"
        )


def _whole(run: Run, replies: Sequence[Replied]) -> list[str]:
    """Names of the judges that judged every answer."""
    qids = [reply.query.id for reply in replies if reply.answer is not None]
    names = sorted({judge for judge, _ in run.judgements})
    return [name for name in names if all((name, qid) in run.judgements for qid in qids)]


def _found(run: Run, judge: str | None, reply: Replied, truths: Truths | None) -> Predicted:
    """Score what a judge predicts; a constant if there is no description, or nothing is known."""
    if judge is None or truths is None:
        return Predicted(matched_auroc=None, weighted_r=0.0)
    qid, predicted = reply.query.id, np.zeros((WINDOWS, WINDOW), dtype=np.uint8)
    if reply.answer is not None:
        where = f"{run.path}: {judge}, query {qid}: field {PREDICTED}"
        data = stored_bytes(run.judgements[judge, qid].get(PREDICTED), where)
        if len(data) != predicted.size:
            raise IntegrityError(f"{where} has {len(data)} bytes, expected {predicted.size}")
        predicted = np.frombuffer(data, dtype=np.uint8).reshape(predicted.shape)
    return truths.score(qid, predicted)


def _mapped(run: Run, judge: str, qid: str) -> str:
    found = run.judgements[judge, qid].get("mapped")
    if not isinstance(found, str):
        raise IntegrityError(f"{run.path}: {judge}, query {qid}: field mapped is missing")
    return found


def _rating(run: Run, judge: str, reply: Replied) -> float | None:
    """Rating of a reply from the judge's raw text; 0 for no answer, None for no rating."""
    if reply.answer is None:
        return 0.0
    return rated(run.judgements[judge, reply.query.id]["raw"])


def _rounded(value: float) -> float:
    return round(float(value), DIGITS) + 0.0  # no negative zero


def _column(values: Sequence[float]) -> npt.NDArray[np.int64]:
    return np.array([round(value * UNIT) for value in values], dtype=np.int64)


def describe_result(described: Sequence[Described], *, seed: int) -> dict[str, Any]:
    """Say what descriptions look like, and what judges that do not rank make of them.

    `mapped` is the share that the suite's judge read by each of `MAPPED`; `judges` has the metrics
    of each other judge of the whole run; `ratings` the mean rating, 0 to 1, of each language model
    that judged all: a query without a description counts 0, a malformed reply nowhere.
    """
    texts = [one.answer for one in described if one.answer is not None]
    how = Counter(one.mapped for one in described)
    return {
        "mean_characters": sum(len(one.text) for one in texts) / len(texts) if texts else None,
        "distinct": len({one.text for one in texts}),
        "truncated": sum(one.truncated for one in texts),
        "mapped": {name: how[name] / len(texts) for name in MAPPED} if any(how) else None,
        "judges": {
            judge: estimates(description_table(described, judge), tuple(METRICS), seed=seed)
            for judge in described[0].others
        },
        "ratings": {
            judge: {
                **_mean_rating(described, judge, seed),
                "malformed": sum(one.ratings[judge] is None for one in described),
            }
            for judge in described[0].ratings
        },
    }


def _mean_rating(described: Sequence[Described], judge: str, seed: int) -> dict[str, Any]:
    """Mean of the ratings that exist, with its interval over groups."""
    kept = [
        dataclasses.replace(one, found=Predicted(matched_auroc=None, weighted_r=value))
        for one in described
        if (value := one.ratings[judge]) is not None
    ]
    # the plain mean of that column
    column = "weighted_r"
    return estimates(description_table(kept), [column], seed=seed)[column] if kept else {}
