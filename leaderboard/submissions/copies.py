"""Copied replies, and re-runs that only ever gained: found by comparing entries, shown as labels.

A label accuses nobody: equal replies also come from equal weights, and a better explainer may well
lose nothing. It says what was seen, with the number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...benchmark.runs.header import Header
from ...benchmark.runs.run import read_run
from ...benchmark.scoring.correct import is_right
from ...benchmark.scoring.grade import about, grade
from .entries import Entry, find_entries
from .schema import OWN_KINDS, org_of

COPY_SHARE = 0.995  # share of identical replies above which an entry is labelled a copy
MIN_COMMON = 20  # fewest common queries that are compared
MIN_GAINS = 5
"""Fewest queries that a re-run must have turned right before 'none turned wrong' is a pattern: by
chance alone, with equal odds, 1 in 2**5."""
MIN_KEPT = 20
"""Fewest right answers that it must have kept: where few were right before, few could turn wrong.
If one in five answers changed by chance, 20 would all stay in 1 of 87 re-runs."""

OWN_ORG = "introspect-bench"
"""The benchmark's own: its entries are merged by hand, and its baselines are never labelled."""
ABSENT = -1  # stands, among numbers, for a reply that is not there

Key = tuple[str, str]  # task and query id


@dataclass(frozen=True, slots=True, kw_only=True)
class Replies:
    """What one entry said, as far as comparing needs it."""

    id: str
    date: str  # its day; of two entries the later one is labelled
    raw: Mapping[Key, str]  # raw replies by task and query
    right: Mapping[Key, bool]  # exactly right; only tasks for which that is a yes or no
    baseline: bool  # of the benchmark: never labelled, nor what an additive re-run is one of
    weights: frozenset[str] = frozenset()  # hashes of its weights, as its run files declare them


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What was seen of an entry beside an earlier one."""

    entry: str  # id of the entry that is labelled
    other: str
    kind: str  # `copy` or `additive`
    text: str  # for the page, a sentence
    share: float = 0.0  # of a copy: identical replies among common queries


# Replies as numbers, one a query of any entry, so that many pairs are quickly compared: the number
# of a reply's text, and 1 or 0 if it is right; `ABSENT` where there is none.
Coded = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def find_labels(entries: Sequence[Replies]) -> list[Label]:
    """Compare every pair of entries and label the later one, in the order of dates and ids."""
    ordered = sorted(entries, key=lambda entry: (entry.date, entry.id))
    coded = _coded(ordered)
    labels = []
    for place, later in enumerate(ordered):
        if later.baseline:
            continue
        for earlier, code in zip(ordered[:place], coded[:place], strict=True):
            labels += _labels(earlier, later, code, coded[place])
    return labels


def _coded(entries: Sequence[Replies]) -> list[Coded]:
    keys = dict.fromkeys(key for entry in entries for key in (*entry.raw, *entry.right))
    places = {key: place for place, key in enumerate(keys)}
    texts: dict[str, int] = {}
    coded = []
    for entry in entries:
        raw, right = (np.full(len(places), ABSENT, dtype=np.int64) for _ in range(2))
        for key, text in entry.raw.items():
            raw[places[key]] = texts.setdefault(text, len(texts))
        for key, exact in entry.right.items():
            right[places[key]] = exact
        coded.append((raw, right))
    return coded


def _labels(earlier: Replies, later: Replies, before: Coded, after: Coded) -> list[Label]:
    labels = []
    (old, was_right), (new, is_right_now) = before, after
    common = (old != ABSENT) & (new != ABSENT)
    n = int(common.sum())
    share = int(((old == new) & common).sum()) / n if n else 0.0
    if n >= MIN_COMMON and share > COPY_SHARE:
        same = " (the same weights)" if earlier.weights & later.weights else ""
        text = f"{share:.1%} of {n} replies are those of {earlier.id}{same}"
        labels.append(Label(entry=later.id, other=earlier.id, kind="copy", text=text, share=share))
    gained, lost, kept = (
        int(((was_right == first) & (is_right_now == second)).sum())
        for first, second in ((0, 1), (1, 0), (1, 1))
    )
    rerun = org_of(earlier.id) == org_of(later.id) and not earlier.baseline
    if rerun and lost == 0 and gained >= MIN_GAINS and kept >= MIN_KEPT:
        text = f"{gained} answers more are right than in {earlier.id}, and none turned wrong"
        labels.append(Label(entry=later.id, other=earlier.id, kind="additive", text=text))
    return labels


def entry_replies(entry: Entry, *, suite: str | None = None, graded: bool = True) -> Replies:
    """Read what an entry replied, and which replies are exactly right.

    Descriptions are neither right nor wrong; they count among the replies only.
    """
    raw: dict[Key, str] = {}
    right: dict[Key, bool] = {}
    headers = []
    for path in entry.runs:
        run = read_run(path)
        headers.append(run.header)
        task, where = about(run, suite)
        raw |= {(task.name, qid): str(row["raw"]) for qid, row in run.rows.items()}
        if graded and not where.describes:
            for scored in grade(run, task, where):
                right[task.name, scored.query.id] = all(is_right(scored))
    return replies_of(entry, headers, raw, right)


def is_own(entry: Entry) -> bool:
    """Whether it is a baseline or an oracle of the benchmark's own entries."""
    return org_of(entry.id) == OWN_ORG and entry.fields.kind in OWN_KINDS


def replies_of(
    entry: Entry,
    headers: Iterable[Header],
    raw: Mapping[Key, str],
    right: Mapping[Key, bool],
) -> Replies:
    """Return what an entry replied beside who it is, as its runs' headers say."""
    hashes = (header.explainer.weights_sha256 for header in headers)
    return Replies(
        id=entry.id,
        date=entry.fields.date,
        raw=raw,
        right=right,
        baseline=is_own(entry),
        weights=frozenset(str(sha) for of_run in hashes for sha in of_run.values()),
    )


def labels_of(new: Entry, root: Path, *, suite: str | None = None) -> list[dict[str, Any]]:
    """Return the labels of a new entry beside those of its suite that are there."""
    own = entry_replies(new, suite=suite)
    others = [  # only an organisation's own re-runs are compared by what is right
        entry_replies(entry, suite=suite, graded=org_of(entry.id) == org_of(own.id))
        for entry in (find_entries(root) if root.is_dir() else ())
        if entry.suite == new.suite
    ]
    # a later day than any other's, so that a date in the past hides nothing
    last = max(replies.date for replies in (own, *others))
    labels = find_labels([*others, replace(own, date=f"{last}+")])
    return [asdict(label) for label in labels if label.entry == new.id]
