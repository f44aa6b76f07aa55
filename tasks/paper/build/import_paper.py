"""From a published dataset to a suite, without rows that are wrong, repeated or contradicted."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....benchmark.cache import Progress, silent
from ....benchmark.errors import IntegrityError, UsageError, check_choice
from ....benchmark.files import write_jsonl_atomic
from ....benchmark.registry import get_task
from ....benchmark.suite.freeze import Measured, query_id, write_manifest, write_split
from ....benchmark.suite.manifest import FOREIGN
from ....benchmark.suite.suite import REFERENCES, open_suite
from ....benchmark.task import Task
from ...build.statistics import describe_kinds
from ...build.verify import verify_suite
from .convert import Converted, RowError, ablation, feature, fits, patching
from .published import (
    ABLATIONS,
    DATASETS,
    FEATURES,
    SPLITS,
    FeatureArchive,
    PaperSource,
    PaperTarget,
    find_source,
)

PAPER = "paper"
LOOKED_AT = 1000  # rows that say how positions are counted
LICENCE = "MIT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row that could be converted."""

    split: str
    number: int  # from 0
    id: str  # of the query
    converted: Converted

    @property
    def says(self) -> list[tuple[str, object]]:
        """What it claims: a text's output, and its query's outputs."""
        query = self.converted.query
        return [self.converted.claim, (self.id, (query.clean, query.outcome))]


Rejected = dict[str, Any]


def data_import(
    what: str,
    *,
    target: str,
    task: str,
    source: Path | None = None,
    revision: str | None = None,
    splits: Sequence[str] = (),
    output: Path = Path("suites"),
    progress: Progress = silent,
) -> dict[str, Any]:
    """Import a dataset of the paper as `OUTPUT/paper-TARGET/TASK/VERSION`; say what was left out.

    `source` is a folder of the published files, without one the hub's dataset at a revision is
    taken. `splits` are test and train if empty; of features the first 1,600 of test alone.

    Returns `path`, `imported` (as in the manifest), `rejected` (`split`, `row` from 0, `reason` of
    each row that stays out) and `rejected_file`, which lists the same.
    """
    check_choice("import", what, (PAPER,))
    check_choice("target", target, DATASETS)
    check_choice("task", task, DATASETS[target])
    there = ("test",) if task == FEATURES else SPLITS
    for split in splits:
        check_choice("split", split, there)
    wanted = tuple(split for split in there if not splits or split in splits)
    known = get_task(task)
    root = output / f"paper-{target}" / task / known.version
    if root.exists():
        raise UsageError(f"{root} exists; choose another --output")
    found = find_source(target, task, source, revision, wanted)
    rows, rejected, counts, more = _read(found, target, task, wanted, progress)
    kept = _sound(rows, rejected)
    listed = root.parent / "rejected.jsonl"
    write_jsonl_atomic(listed, rejected)
    if lacking := [split for split in wanted if not any(row.split == split for row in kept)]:
        raise IntegrityError(f"{found.folder}: no row of {lacking[0]} can be used, see {listed}")
    for split in wanted:
        own = Counter(one["what"] for one in rejected if one["split"] == split)
        counts[split] |= {"queries": sum(row.split == split for row in kept), **own}
    said = {**found.said, **more, "paper": "arXiv:2511.08579", "licence": LICENCE, "rows": counts}
    _write(root, target, known, kept, said)
    verified = open_suite(root.with_name(f".{root.name}.partial"))
    verify_suite(known, verified, progress)
    verified.root.rename(root)
    return {"path": str(root), "imported": said, "rejected": rejected, "rejected_file": str(listed)}


def _write(
    root: Path, target: str, task: Task, rows: Sequence[Row], said: Mapping[str, Any]
) -> None:
    """Write a suite beside the place that it gets once it is verified."""
    partial = root.with_name(f".{root.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    splits = list(said["rows"])
    groups = {split: _groups(row for row in rows if row.split == split) for split in splits}
    fields = {
        "suite": f"paper-{target}",
        "task": task.name,
        "version": task.version,
        "frozen": False,
        "target": DATASETS[target][task.name][1].fields,
        "splits": {
            split: write_split(partial / split, task.name, own) for split, own in groups.items()
        },
        "mini": [],
        "prompt_sha256": task.prompt_sha256,
        "doctor": FOREIGN,
        "imported": said,
    }
    if task.name == FEATURES:
        fields["truth"] = REFERENCES
    else:
        fields["statistics"] = {split: _statistics(own, task) for split, own in groups.items()}
    write_manifest(partial, fields)


def _read(
    source: PaperSource | FeatureArchive,
    target: str,
    task: str,
    splits: Sequence[str],
    progress: Progress,
) -> tuple[list[Row], list[Rejected], dict[str, dict[str, int]], dict[str, int]]:
    """Convert every row; return those that could be, the others, counts, and how it was done."""
    rows, rejected, counts = [], [], {}
    more: dict[str, int] = {}
    convert = None
    for split in splits:
        stream, n = source.rows(split, task), 0
        if convert is None:
            first = list(itertools.islice(stream, LOOKED_AT))
            convert, more = _converter(task, DATASETS[target][task][1], [row for _, row in first])
            stream = itertools.chain(first, stream)
        for number, row in stream:
            n += 1
            if not number % LOOKED_AT:
                progress(f"importing {task}, {split}", number)
            try:
                one = convert(row, number)
            except RowError as error:
                rejected.append(_rejected(split, number, "unusable", str(error)))
                continue
            key = query_id(task, one.query)
            rows.append(Row(split=split, number=number, id=key, converted=one))
        counts[split] = {"rows": n}
    return rows, rejected, counts, more


def _converter(
    task: str, target: PaperTarget, rows: Sequence[Mapping[str, Any]]
) -> tuple[Callable[[Mapping[str, Any], int], Converted], dict[str, int]]:
    """Return what converts the rows of a task, and what it took from the first `rows`."""
    if task == FEATURES:
        return lambda row, number: feature(row, number, target), {}
    if task == ABLATIONS:
        return ablation, {}
    n_fits = [sum(fits(row, offset) for row in rows) for offset in (0, 1)]
    offset = int(n_fits[1] > n_fits[0])
    return lambda row, number: patching(row, number, target, offset), {"position_offset": offset}


def _sound(rows: Sequence[Row], rejected: list[Rejected]) -> list[Row]:
    """Return the rows that no other contradicts, each query once; the first split has it."""
    claims: dict[str, set[object]] = {}
    for row in rows:
        for what, value in row.says:
            claims.setdefault(what, set()).add(value)
    seen: dict[str, Row] = {}
    for row in rows:
        if any(len(claims[what]) > 1 for what, _ in row.says):
            reason = "another row says something else of the same query or text"
            rejected.append(_rejected(row.split, row.number, "contradicted", reason))
        elif (first := seen.setdefault(row.id, row)) is not row:
            reason = f"the query of row {first.number} of {first.split}"
            rejected.append(_rejected(row.split, row.number, "duplicate", reason))
    rejected.sort(key=lambda one: (one["split"], one["row"]))
    return list(seen.values())


def _rejected(split: str, number: int, what: str, reason: str) -> Rejected:
    return {"split": split, "row": number, "what": what, "reason": reason}


def _statistics(groups: Sequence[Sequence[Measured]], task: Task) -> dict[str, Any]:
    """Describe a split, without what presupposes that groups are contrasts of one size."""
    found = describe_kinds(groups, task.headline_kinds)
    return {name: value for name, value in found.items() if name != "input_only_ceiling"}


def _groups(rows: Iterator[Row]) -> list[list[Measured]]:
    groups: dict[str, list[Measured]] = {}
    for row in rows:
        groups.setdefault(row.converted.group, []).append(row.converted.query)
    return list(groups.values())
