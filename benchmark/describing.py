"""Descriptions against what is known about their features; reads judgements, runs no model.

Owns how a simulated description becomes the numbers of one query. What a judge found stands in the
run file; it counts only if it is of the suite's own judges and about the text that is read in the
raw reply. Every number is rounded to millionths, so that a score is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.correlations import auroc, signed_r
from introspect_bench.benchmark.description_metrics import UNIT, DescriptionTable
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.judgements import RATED, stored_bytes
from introspect_bench.benchmark.judging import rated
from introspect_bench.benchmark.records import Described, Description, FeatureTruth, Replied
from introspect_bench.benchmark.runfile import Run
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.suite_features import ACTIVE, NEAR_MISS, WINDOW, WINDOWS, arrays

JUDGES = ("simulator", "embedding")
"""Kinds of judges that every suite names in its manifest."""
PREDICATES = "predicates/"
"""How the name of the model-free judge begins."""
DIGITS = 6
"""Decimals of a query's numbers."""

Floats = npt.NDArray[np.float64]


class NotJudgedError(UsageError):
    """A run can be scored once its descriptions have been judged."""


def describe_replies(run: Run, replies: Sequence[Replied], suite: Suite) -> tuple[Described, ...]:
    """Put replies beside what is known about their features and what judges made of them.

    Args:
        run: holds the judgements.
        replies: queries with answers, in the suite's order.
        suite: the suite, whose truth is opened.

    Raises:
        NotJudgedError: an answer was not judged.
        UsageError: the split has no references.
        IntegrityError: a judgement is about another text or of another size, or judges no answer.
    """
    split = run.header["task"]["split"]
    if split == "train":
        raise UsageError(f"{run.path}: descriptions of the train split are not scored")
    truth = suite.feature_truth(split)
    place = {query.id: row for row, query in enumerate(suite.queries(split))}
    rows = [place[reply.query.id] for reply in replies]
    own = arrays(suite, split, "activations")
    activations, kinds = own["activations"][rows], own["kinds"][rows]
    reference = arrays(suite, split, "reference")["predicted"][rows]
    answered = [row for row, reply in enumerate(replies) if reply.answer is not None]
    _check_judged(run, replies, suite)
    judges = suite.manifest["judges"]
    numbers = {
        name: np.zeros(len(replies)) for name in ("pearson", "detection", "similarity", "by_name")
    }
    if answered:
        predicted = _predicted(run, replies, judges["simulator"], answered)
        numbers["pearson"][answered] = signed_r(activations[answered], predicted)[0]
        numbers["detection"][answered] = detection_scores(predicted, kinds[answered])
        numbers["similarity"][answered] = _similarity(run, replies, suite, answered)
    free = _free_judge(run, replies, answered)
    if free is not None:
        predicted = _predicted(run, replies, free, answered)
        numbers["by_name"][answered] = signed_r(activations[answered], predicted)[0]
    raters = [judge for judge in _whole(run, replies, answered) if judge.startswith(RATED)]
    of_reference = signed_r(activations, reference)[0]
    return tuple(
        Described(
            query=reply.query,
            raw=reply.raw,
            answer=_description(reply),
            truth=truth[reply.query.id],
            of_reference=_rounded(of_reference[row]),
            pearson=_rounded(numbers["pearson"][row]),
            detection=_rounded(numbers["detection"][row]),
            similarity=_rounded(numbers["similarity"][row]),
            predicates=None if free is None else _rounded(numbers["by_name"][row]),
            ratings={judge: _rating(run, judge, reply) for judge in raters},
        )
        for row, reply in enumerate(replies)
    )


def description_table(described: Sequence[Described]) -> DescriptionTable:
    """Return described queries as columns for the metrics.

    Raises:
        ValueError: there are none.
    """
    groups = np.unique([one.query.group for one in described], return_inverse=True)[1]
    return DescriptionTable(
        pearson=_column([one.pearson for one in described]),
        of_reference=_column([one.of_reference for one in described]),
        detection=_column([one.detection for one in described]),
        similarity=_column([one.similarity for one in described]),
        predicates=_column([one.predicates or 0.0 for one in described]),
        group=groups.astype(np.int64),
    )


def base_similarity(suite: Suite, split: str) -> Floats:
    """Return how similar the references of other features are to each one's, on average.

    Others are those of the whole folder that stand for another predicate.

    Returns:
        Mean over the others of the largest cosine of their preferred wording with the feature's
        wordings, float64 (n_queries,), rows of `suite.queries(split)`.

    Raises:
        IntegrityError: the folder's features all stand for one predicate, or an embedding is zero.
    """
    folder = suite.folder(split)
    embedding = arrays(suite, folder, "reference")["embedding"]
    truth: dict[str, FeatureTruth] = suite.feature_truth(folder)
    names = np.array([truth[query.id].predicate for query in suite.queries(folder)])
    n, wordings, width = embedding.shape
    every = embedding.reshape(n * wordings, width)
    best = _cosines(embedding[:, 0], every, f"{suite.root}/{folder}").reshape(n, n, wordings)
    other = names[:, None] != names[None, :]
    if not other.any(axis=0).all():
        raise IntegrityError(f"{suite.root}/{folder}: all features stand for one predicate")
    base = np.where(other, best.max(axis=2), 0.0).sum(axis=0) / other.sum(axis=0)
    kept = {query.id for query in suite.queries(split)}
    rows = [query.id in kept for query in suite.queries(folder)]
    return np.asarray(base[rows])


def _check_judged(run: Run, replies: Sequence[Replied], suite: Suite) -> None:
    """Refuse a run whose answers are not all judged, or one that judges what is no answer."""
    texts = {
        reply.query.id: reply.answer.text
        for reply in replies
        if isinstance(reply.answer, Description)
    }
    for (judge, qid), row in run.judgements.items():
        if qid not in texts:
            raise IntegrityError(f"{run.path}: {judge} judges query {qid}, which has no answer")
        if row["text"] != texts[qid]:
            raise IntegrityError(
                f"{run.path}: {judge} judged another text for query {qid} than its reply holds"
            )
    for judge in (suite.manifest["judges"][kind] for kind in JUDGES):
        lacking = sum((judge, qid) not in run.judgements for qid in texts)
        if lacking:
            others = sorted(
                {j for j, _ in run.judgements if j.split("@")[0] == judge.split("@")[0]}
            )
            hint = f" (it has those of {others[0]})" if others else ""
            raise NotJudgedError(
                f"{run.path}: {lacking} of {len(texts)} descriptions are not judged by "
                f"{judge}{hint}; run `introspect-bench simulate {run.path}`"
            )


def _free_judge(run: Run, replies: Sequence[Replied], answered: Sequence[int]) -> str | None:
    """Return the model-free judge if it judged every answer."""
    whole = [name for name in _whole(run, replies, answered) if name.startswith(PREDICATES)]
    return whole[-1] if whole else None


def _whole(run: Run, replies: Sequence[Replied], answered: Sequence[int]) -> list[str]:
    """Names of the judges that judged every answer."""
    qids = [replies[row].query.id for row in answered]
    names = sorted({judge for judge, _ in run.judgements})
    return [name for name in names if all((name, qid) in run.judgements for qid in qids)]


def _rating(run: Run, judge: str, reply: Replied) -> float | None:
    """Rating of a reply from the judge's raw text; 0 for no answer, None for no rating."""
    if reply.answer is None:
        return 0.0
    return rated(run.judgements[judge, reply.query.id]["raw"])


def _predicted(
    run: Run, replies: Sequence[Replied], judge: str, answered: Sequence[int]
) -> npt.NDArray[np.uint8]:
    rows = _stored(run, replies, judge, answered, "predicted", WINDOWS * WINDOW)
    return rows.view(np.uint8).reshape(len(answered), WINDOWS, WINDOW)


def _stored(
    run: Run, replies: Sequence[Replied], judge: str, answered: Sequence[int], name: str, size: int
) -> npt.NDArray[np.int8]:
    found = np.empty((len(answered), size), dtype=np.int8)
    for place, row in enumerate(answered):
        qid = replies[row].query.id
        where = f"{run.path}: {judge}, query {qid}: field {name}"
        data = stored_bytes(run.judgements[judge, qid].get(name), where)
        if len(data) != size:
            raise IntegrityError(f"{where} has {len(data)} bytes, expected {size}")
        found[place] = np.frombuffer(data, dtype=np.int8)
    return found


def detection_scores(predicted: npt.NDArray[np.uint8], kinds: npt.NDArray[np.uint8]) -> list[float]:
    """Return how well the largest prediction in a window tells active windows from near misses.

    Args:
        predicted: stored predictions, uint8 (n, n_windows, 32).
        kinds: what each window is, uint8 (n, n_windows).

    Returns:
        Area under the ROC curve of each query, 0 to 1.
    """
    largest = predicted.max(axis=2).astype(np.float64)
    return [
        auroc(own[np.isin(kind, ACTIVE)], own[kind == NEAR_MISS])
        for own, kind in zip(largest, kinds, strict=True)
    ]


def _similarity(
    run: Run, replies: Sequence[Replied], suite: Suite, answered: Sequence[int]
) -> Floats:
    split = run.header["task"]["split"]
    every = arrays(suite, split, "reference")["embedding"]
    judge = suite.manifest["judges"]["embedding"]
    stored = _stored(run, replies, judge, answered, "embedding", every.shape[2])
    place = {query.id: row for row, query in enumerate(suite.queries(split))}
    rows = [place[replies[row].query.id] for row in answered]
    n, wordings, width = every.shape
    where = f"{run.path}: {judge}, or references of {suite.root}"
    cosines = _cosines(stored, every.reshape(n * wordings, width), where)
    own = cosines.reshape(len(answered), n, wordings)[np.arange(len(answered)), rows]
    base = base_similarity(suite, split)[rows]
    return np.asarray((own.max(axis=1) - base) / (1 - base))


def _cosines(some: npt.NDArray[Any], others: npt.NDArray[Any], where: str) -> Floats:
    """Cosines of stored embeddings, (n_some, n_others); products of whole numbers are exact."""
    left, right = some.astype(np.float64), others.astype(np.float64)
    lengths = [np.sqrt((side**2).sum(axis=1)) for side in (left, right)]
    if not all(bool((length > 0).all()) for length in lengths):
        raise IntegrityError(f"{where}: an embedding is zero")
    return np.asarray((left @ right.T) / np.outer(*lengths))


def _description(reply: Replied) -> Description | None:
    return reply.answer if isinstance(reply.answer, Description) else None


def _rounded(value: float) -> float:
    return round(float(value), DIGITS) + 0.0  # no negative zero


def _column(values: Sequence[float]) -> npt.NDArray[np.int64]:
    return np.array([round(value * UNIT) for value in values], dtype=np.int64)
