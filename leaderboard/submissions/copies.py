"""What is another's: copied answers, re-runs that only ever gained, names of the benchmark's own.

The first two are found by comparing entries and shown as labels. A label accuses nobody: equal
replies also come from equal weights, and a better explainer may well lose nothing. It says what was
seen, with the number.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...benchmark.models.targets import TARGETS
from ...benchmark.registry import BASELINE, REFERENCE, provided_baselines, suites, tasks
from ...benchmark.runs.header import Header
from ...benchmark.runs.run import Run, read_replies, read_run
from ...benchmark.scoring.correct import is_right
from ...benchmark.scoring.grade import about, grade
from ...benchmark.suite.select import shipped_suite
from .entries import ENTRY, Entry, find_entries
from .findings import Finding, failed_check
from .schema import ENTRY_ID, OWN_KINDS, org_of
from .text_rules import skeleton

COPY_SHARE = 0.95
"""Share of equal answers above which an entry is labelled a copy of one entry, or of a few: of the
benchmark's own entries no two contestants have more than 0.94."""
MAX_PARTS = 4  # most entries that one is taken to be put together from
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
    place: int = (
        0  # see `build._merge_order`; of two entries the later one is labelled, of equals both
    )
    raw: Mapping[Key, str]  # what was read in its replies, by task and query; see `said`
    right: Mapping[Key, bool]  # exactly right; only tasks for which that is a yes or no
    baseline: bool  # of the benchmark: never labelled, nor what an additive re-run is one of
    weights: frozenset[str] = frozenset()  # hashes of its weights, as its run files declare them


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What was seen of an entry beside an earlier one."""

    entry: str  # id of the entry that is labelled
    other: str
    kind: str  # `copy`, `union` or `additive`
    text: str  # for the page, a sentence
    share: float = 0.0  # of a copy: identical replies among common queries


# Replies as numbers, one a query of any entry, so that many pairs are quickly compared: the number
# of a reply's text, and 1 or 0 if it is right; `ABSENT` where there is none.
Coded = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def find_labels(entries: Sequence[Replies]) -> list[Label]:
    """Compare every entry with those that were there before, and label it."""
    ordered = sorted(entries, key=lambda entry: (entry.place, entry.id))
    coded = list(zip(ordered, _coded(ordered), strict=True))
    labels = []
    for later, code in coded:
        if later.baseline:
            continue
        before = [one for one in coded if one[0].place <= later.place and one[0] is not later]
        found = [label for one in before for label in _labels(*one, later, code)]
        if not any(label.kind == "copy" for label in found):
            found += _union(later, code, before)
        labels += found
    return labels


def said(read: str | None, raw: str | None) -> str:
    """Return what is compared of a reply: the answer that was read in it, or all of it."""
    return " ".join((read if read is not None else raw or "").split())


def _union(later: Replies, after: Coded, before: Sequence[tuple[Replies, Coded]]) -> list[Label]:
    """Label an entry whose answers are those of a few others, of these the right ones."""
    new, right_now = after
    open_, n = new != ABSENT, int((new != ABSENT).sum())
    parts: list[str] = []
    known = np.zeros_like(open_)
    for _ in range(MAX_PARTS):
        gains = [int(((old == new) & open_).sum()) for _, (old, _) in before]
        if n < MIN_COMMON or max(gains, default=0) < MIN_GAINS:
            break
        entry, (old, was_right) = before[int(np.argmax(gains))]
        parts.append(entry.id)
        open_ &= old != new
        known |= was_right == 1
    share = 1 - int(open_.sum()) / max(n, 1)
    lost = int((known & (right_now == 0)).sum())
    if len(parts) < 2 or share <= COPY_SHARE or lost > (1 - COPY_SHARE) * int(known.sum()):
        return []
    text = f"{share:.1%} of {n} answers are those of {', '.join(parts)}, taken together"
    if known.any():
        text += f"; of what one of them has right, {lost} are wrong"
    return [Label(entry=later.id, other=parts[0], kind="union", text=text, share=share)]


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


def _labels(earlier: Replies, before: Coded, later: Replies, after: Coded) -> list[Label]:
    labels = []
    (old, was_right), (new, is_right_now) = before, after
    common = (old != ABSENT) & (new != ABSENT)
    n = int(common.sum())
    share = int(((old == new) & common).sum()) / n if n else 0.0
    if n >= MIN_COMMON and share > COPY_SHARE:
        same = " (the same weights)" if earlier.weights & later.weights else ""
        wrong = int(((old == new) & (is_right_now == 0)).sum())
        text = f"{share:.1%} of {n} replies are those of {earlier.id}{same}"
        text += f", {wrong} of them wrong" if wrong else ""
        text += "; which came first is not known" if earlier.place == later.place else ""
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
        for one in read_replies(run, task, where):
            read = None if one.answer is None else task.format_answer(one.answer)
            raw[task.name, one.query.id] = said(read, one.raw)
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
    place: int = 0,
) -> Replies:
    """Return what an entry replied beside who it is, as its runs' headers say."""
    hashes = (header.explainer.weights_sha256 for header in headers)
    return Replies(
        id=entry.id,
        place=place,
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
    labels = find_labels([*others, replace(own, place=1)])
    return [asdict(label) for label in labels if label.entry == new.id]


@functools.cache
def official_names() -> Mapping[str, str]:
    """Return baselines, reference explainers, nulls and targets, by what the eye sees of a name."""
    own = provided_baselines()
    named = [*(spec.name for spec in own.BASELINES), *own.reference_names()]
    named += [spec.name for spec in TARGETS]
    for suite, task in ((suite, task) for suite in suites() for task in tasks()):
        nulls = shipped_suite(suite, task.name).manifest.get("nulls", {})
        named += [row["name"] for rows in nulls.values() for row in rows]
    return {skeleton(name): name for name in named}


def official(name: str) -> str | None:
    """Return the official name that a name equals to the eye: case, blanks and look-alikes aside.

    Whatever follows `baseline/` or `reference/` is official.
    """
    seen = skeleton(name)
    for prefix in (BASELINE, REFERENCE):
        if "/" in name and seen.startswith(skeleton(prefix)):
            seen = seen.removeprefix(skeleton(prefix))
            return official_names().get(seen, name)
    return official_names().get(seen)


def name_findings(entry: Entry, runs: Mapping[str, Run]) -> Iterator[Finding]:
    """Yield names of others that equal official ones; a baseline that was run keeps its own."""
    if org_of(entry.id) == OWN_ORG:
        return
    ran = {run.header.explainer.name: run for run in runs.values()}
    own = {official(name) for name, run in ran.items() if run.header.explainer.kind in OWN_KINDS}
    expected = "a name that none of the benchmark's own resembles"
    match = ENTRY_ID.fullmatch(entry.id)
    for name in dict.fromkeys((entry.fields.name, match["name"] if match else "")):
        if (known := official(name)) not in {None, *own}:
            said = f"the name {name} is easily taken for {known}, which is the benchmark's own"
            yield failed_check(entry.folder / ENTRY, None, said, expected, "choose another name")
    for name, run in ran.items():
        # of a target, hashes say what it loaded
        if (known := official(name)) not in {None, *own, *(spec.name for spec in TARGETS)}:
            said = f"explainer.name {name[:80]!r} is easily taken for {known}, which it is not"
            fix = "run it under a name of its own"
            yield failed_check(run.path, 1, said, expected, fix)
