"""Differences between runs, task by task and pair by pair. No model, no network.

Also what must be equal of two runs for a difference to be a finding.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..cache import Progress, silent
from ..errors import IncompleteRunError, UsageError, check_choice
from ..metrics import paired
from ..metrics.bootstrap import estimates
from ..metrics.verdicts import METRIC_VERSION, Table
from ..records import COMPARED, GREEDY
from ..registry import BASELINE, provided_baselines
from ..runs.header import Header, decoding_of, n_train
from ..runs.run import Named, run_files
from ..suite.suite import Suite
from ..task import Task
from .grade import SEED, Graded, grade_file, who
from .score import refuse_twice

SCHEMA = "introspect-bench/compare/1"
CLUSTERS = ("auto", "query")  # What is resampled as a whole: contrast groups, or queries
SIGNIFICANT = 0.05  # Corrected p from which a difference is no longer significant


def compare(
    paths: Named,
    *,
    suite: str | None = None,
    metric: str | None = None,
    cluster: str = "auto",
    correction: str = "holm",
    common: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Compare runs, at least two of each task, with one another: every pair of every task.

    `paths` are run files or folders of them. `metric` is each task's headline if None. `cluster`
    `auto` resamples and swaps contrast groups, `query` takes queries as independent. `correction`
    is over all pairs of all tasks. `common` compares partial and unfinished runs on the queries
    that all have answered. In a pair, `first` and `second` are places in `runs`, `difference` is
    first minus second, and `significant` goes by the corrected p of swapping whole groups.
    """
    check_choice("cluster", cluster, CLUSTERS)
    check_choice("correction", correction, paired.CORRECTIONS)
    files = run_files(paths)
    seen: dict[str, Path] = {}
    by_task: dict[tuple[str, str], list[Graded]] = {}
    for number, path in enumerate(files):
        progress("reading runs", number, len(files))
        one = grade_file(path, suite=suite)
        refuse_twice(path, one.task.name, one.run.header.run_id, seen)
        by_task.setdefault((one.suite.name, one.task.name), []).append(one)
    for (name, task), members in by_task.items():
        if len(members) < 2:
            raise UsageError(
                f"{members[0].path} is the only run of {task} on {name}; give two of every task"
            )
    matched = [(members, match(members, common=common)) for members in by_task.values()]
    tasks = [_compared(*one, metric, cluster, progress) for one in matched]
    _correct([pair for task in tasks for pair in task["pairs"]], correction)
    return {
        "schema": SCHEMA,
        "metric_version": METRIC_VERSION,
        "correction": correction,
        "cluster": cluster,
        "common": common,
        "tasks": tasks,
    }


def _compared(
    graded: Sequence[Graded],
    tables: Sequence[Any],
    metric: str | None,
    cluster: str,
    progress: Progress,
) -> dict[str, Any]:
    """Return one task's part of what `compare` returns, before correction."""
    first, task = graded[0], graded[0].task
    name = task.headline if metric is None else metric
    if name not in task.metrics:
        raise UsageError(
            f"{task.name} has no metric {name!r}; choose from {', '.join(task.metrics)}"
        )
    if cluster == "query":
        if name == "group_consistency":
            raise UsageError("group_consistency is about groups; compare it with --cluster auto")
        tables = [dataclasses.replace(t, group=np.arange(t.n)) for t in tables]
    places = list(combinations(range(len(tables)), 2))
    pairs = []
    for number, (a, b) in enumerate(places):
        progress(f"comparing runs of {task.name}", number, len(places))
        # a fresh generator each time: a difference is a property of its two runs
        difference = paired.compare(
            tables[a], tables[b], name, rng=draws(first.suite, task, first.split)
        )
        pairs.append({"first": a, "second": b, **_pair(difference)})
    return {
        "suite": first.suite.name,
        "task": task.name,
        "version": task.version,
        "split": first.split,
        "data_sha256": first.suite.data_sha256,
        "metric": name,
        "n": tables[0].n,
        "n_groups": tables[0].n_groups,
        "runs": [_run(g, t, name) for g, t in zip(graded, tables, strict=True)],
        "pairs": pairs,
    }


def _run(graded: Graded, table: Table, metric: str) -> dict[str, Any]:
    header = graded.run.header
    said = who(header, graded.task)
    return {
        "name": said.pop("name"),
        "kind": said.pop("kind"),
        "access": header.access,
        **{name: value for name, value in said.items() if name not in ("revision", "shots")},
        "run_id": header.run_id,
        "body_sha256": graded.run.body_sha256,
        # the seed of `score`, so that a whole run has the same interval in both
        **estimates(table, [metric], seed=SEED)[metric],
    }


def _pair(difference: paired.Difference) -> dict[str, Any]:
    mcnemar, ends = difference.mcnemar, difference.interval_95
    return {
        "difference": difference.value,
        "interval_95": None if ends is None else list(ends),
        "test": "permutation" if mcnemar is None else "mcnemar",
        "p": difference.p,
        "p_permutation": difference.p_permutation,
        "first_only": None if mcnemar is None else mcnemar.first_only,
        "second_only": None if mcnemar is None else mcnemar.second_only,
        "minimum_detectable": difference.minimum_detectable,
    }


def _correct(pairs: Sequence[dict[str, Any]], correction: str) -> None:
    """Add corrected p values to every pair that has some, over all pairs of all tasks."""
    for pair in pairs:
        pair |= {"p_corrected": None, "p_permutation_corrected": None, "significant": None}
    tested = [pair for pair in pairs if pair["p"] is not None]
    for key in ("p", "p_permutation"):
        adjusted = paired.adjust([pair[key] for pair in tested], correction)
        for pair, value in zip(tested, adjusted, strict=True):
            pair[f"{key}_corrected"] = value
    for pair in tested:
        pair["significant"] = pair["p_permutation_corrected"] < SIGNIFICANT


def draws(suite: Suite, task: Task, split: str) -> np.random.Generator:
    """Return the generator of everything that is drawn for runs of one suite, task and split."""
    name = f"{suite.name}/{task.name}/{task.version}/{split}"
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([SEED, int.from_bytes(digest[:8], "big")])


def match(graded: Sequence[Graded], *, common: bool = False) -> tuple[Table, ...]:
    """Return the headline answers of runs of one task, at least one, to the same queries.

    Runs are compared on the whole of what they are about, and only if that is the same. With
    `common`, on the queries that all have a row for, which somebody chose: for looking, not for
    claims.
    """
    first = graded[0]
    for other in graded[1:]:
        theirs = _about(other)
        for what, ours in _about(first).items():
            if ours != theirs[what]:
                raise UsageError(
                    f"{first.path} and {other.path} are about different queries: {what} is "
                    f"{ours!r} and {theirs[what]!r}; compare runs of one task, suite, version and "
                    "split"
                )
    answered = [
        {one.query.id for one in g.headline if not common or one.raw is not None} for g in graded
    ]
    ids = set.intersection(*answered)
    for g, own in zip(graded, answered, strict=True):
        if not common and own != answered[0]:
            raise UsageError(
                f"{first.path} is about {len(answered[0])} queries and {g.path} about {len(own)}, "
                "which are not the same ones; compare whole runs, or add --common"
            )
        if not common and not g.run.complete:
            raise IncompleteRunError(
                f"{g.path}: {sum(one.raw is None for one in g.scored)} queries have no row; run "
                "the same command again to complete it, or add --common"
            )
    if not ids:
        raise UsageError(f"{first.path} and the other runs have no query in common")
    kept = [[row for row, one in enumerate(g.scored) if one.query.id in ids] for g in graded]
    return tuple(g.table(rows) for g, rows in zip(graded, kept, strict=True))


def _about(graded: Graded) -> dict[str, str]:
    suite = graded.suite
    about = {"the task": graded.task.name, "the suite": suite.name, "the version": suite.version}
    return about | {"the split": graded.split, "data_sha256": suite.data_sha256}


# Settings that are no part of a recipe, or are compared on their own: who was trained and from
# which seed, the learning rate, which each base model has for itself, and what changes no reply
NOT_RECIPE = frozenset(
    {
        "base",
        "batch_size",
        "decoding",
        "engine",
        "injection",
        "learning_rate",
        "n_train",
        "seed",
        "twin",
        "validation_loss",
        "vectors",
        "verdict_thresholds",
    }
)


def recipe(header: Header, task: Task, *, vectors: bool = True) -> dict[str, Any]:
    """Return what two runs must share; without `vectors`, not how vectors enter."""
    explainer = header.explainer
    settings = explainer.settings
    found: dict[str, Any] = {
        "kind": explainer.kind,
        # what a baseline, or somebody's code, does is in its name; a model is one of many
        "name": None if explainer.kind == "local" else explainer.name,
        "shots": explainer.shots,
        "decoding": decoding_of(explainer.settings).get("decoding", GREEDY),
        "n_train": n_train(settings, task.name),
        "threshold": task.name in (settings.get("verdict_thresholds") or {}),
        "settings": _fixed(settings),
    }
    return found | ({"injection": _entering(settings.get("injection"))} if vectors else {})


def _fixed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that two runs must share: of vLLM its arguments, such as how weights are packed."""
    found = {key: one for key, one in settings.items() if key not in NOT_RECIPE}
    if isinstance(vllm := found.get("vllm"), Mapping):
        found["vllm"] = {key: one for key, one in vllm.items() if key != "version"}
    return {key: one for key, one in found.items() if key != "vllm" or one}


def fixed_verdict(header: Header, suite: Suite, metric: str) -> bool:
    """Whether a run could give but one verdict, so that its metric differs by construction.

    A reply that is compared with itself never says `changed`; some baselines say one thing always.
    """
    if suite.describes or metric.startswith("content_match"):
        return False
    explainer = header.explainer
    compared = decoding_of(explainer.settings).get("decoding") == COMPARED
    name = explainer.name
    single = (f"{BASELINE}{one.name}" for one in provided_baselines().BASELINES if one.one_verdict)
    return (compared and explainer.no_vector) or name in single


def _entering(injection: object) -> object:
    """How vectors enter, without the maps into a model of another width."""
    if not isinstance(injection, Mapping):
        return injection
    return {key: one for key, one in injection.items() if key != "projection"}
