"""Entries beside each other: what each replied and got right, for the labels on the board.

Owns how an entry's runs become what `copies.py` compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ...benchmark.runs.run import read_run
from ...benchmark.scoring.correct import is_right
from ...benchmark.scoring.grade import grade
from ...benchmark.scoring.score import about
from .copies import Key, Label, Replies, find_labels
from .entries import Entry, find_entries
from .schema import ENTRY_ID

OWN_ORG = "introspect-bench"
"""The benchmark's own organisation: its entries are merged by hand and its baselines never
labelled."""


def entry_replies(entry: Entry, *, suite: str | None = None, graded: bool = True) -> Replies:
    """Read what an entry replied, and which replies are exactly right.

    Descriptions are neither right nor wrong; they count among the replies only.

    Args:
        entry: the entry.
        suite: folder of suites, for suites that are not in the package.
        graded: whether to find out which replies are right, which takes longer.

    Raises:
        UsageError: a run's suite is unknown.
        IntegrityError: a run is corrupt or about another version of its suite.
    """
    raw: dict[Key, str] = {}
    right: dict[Key, bool] = {}
    weights: set[str] = set()
    for path in entry.runs:
        run = read_run(path)
        task, where = about(run, suite)
        raw |= {(task.name, qid): str(row["raw"]) for qid, row in run.rows.items()}
        hashes = run.header["explainer"].get("weights_sha256")
        weights |= {str(one) for one in hashes.values()} if isinstance(hashes, dict) else set()
        if graded and not where.describes:
            for one in grade(run, task, where):
                right[task.name, one.query.id] = all(is_right(one))
    match = ENTRY_ID.fullmatch(entry.id)
    org = match["org"] if match else ""
    return Replies(
        id=entry.id,
        org=org,
        date=entry.fields["date"],
        raw=raw,
        right=right,
        baseline=org == OWN_ORG and entry.fields["kind"] in ("baseline", "oracle"),
        weights=frozenset(weights),
    )


def label_entries(entries: Sequence[Entry], *, suite: str | None = None) -> list[Label]:
    """Label copies and additive re-runs among entries, suite by suite.

    Args:
        entries: any entries.
        suite: folder of suites, for suites that are not in the package.

    Raises:
        UsageError: a run's suite is unknown.
        IntegrityError: a run is corrupt or about another version of its suite.
    """
    labels = []
    for name in sorted({entry.suite for entry in entries}):
        beside = [entry for entry in entries if entry.suite == name]
        labels += find_labels([entry_replies(entry, suite=suite) for entry in beside])
    return labels


def labels_of(new: Entry, root: Path, *, suite: str | None = None) -> list[dict[str, Any]]:
    """Return the labels of a new entry beside those of its suite that are there.

    Args:
        new: the entry; it counts as the latest whatever its date says.
        root: the folder of all entries.
        suite: folder of suites, for suites that are not in the package.

    Raises:
        IntegrityError: an entry that is there is wrong.
    """
    found = find_entries(root) if root.is_dir() else []
    there = [entry for entry in found if entry.suite == new.suite]
    own_org = new.id.partition("__")[0]
    others = [  # only an organisation's own re-runs are compared by what is right
        entry_replies(entry, suite=suite, graded=entry.id.partition("__")[0] == own_org)
        for entry in there
    ]
    last = max([one.date for one in others], default=new.fields["date"])
    own = entry_replies(new, suite=suite)
    # a later day than any other's, so that a date in the past hides nothing
    labels = find_labels([*others, replace(own, date=f"{max(last, own.date)}+")])
    return [asdict(label) for label in labels if label.entry == new.id]
