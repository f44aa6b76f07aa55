"""Every verb as a Python function; the command line calls these and prints what they return.

Owns no computing of its own: finding, reading and handing on. A verb is imported when it is asked
for, torch when a model is needed. A verb of two words has an underscore: `board_build`.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .benchmark._version import METRIC_VERSION, PROMPT_VERSION
from .benchmark.cache import Progress, cache_dir, silent
from .benchmark.runs import provenance

if TYPE_CHECKING:
    from .baselines.train_recipes import train_recipes
    from .benchmark.backends.training.command import plan_training, train
    from .benchmark.evaluation.import_run import import_run
    from .benchmark.evaluation.plan import TaskPlan
    from .benchmark.evaluation.spec import RunSpec
    from .benchmark.explainer import Explainer
    from .benchmark.export.export import export
    from .benchmark.export.frames import to_pandas
    from .benchmark.export.repository import data_export
    from .benchmark.metrics.card import data_metric_card
    from .benchmark.runs.run import Run
    from .benchmark.scoring.compare import compare
    from .benchmark.scoring.score import (
        check_score,
        has_truth,
        score,
        score_all,
        score_table,
        show,
        validate,
    )
    from .benchmark.suite.select import data_split
    from .citation import cite
    from .leaderboard.report.report import board_report
    from .leaderboard.report.studies import board_scaling
    from .leaderboard.site.folder import board_build, board_check, board_diff
    from .leaderboard.submissions.submit import submit
    from .leaderboard.submissions.validate import validate_all
    from .leaderboard.verification.recheck import recheck
    from .leaderboard.verification.record import ledger_add, ledger_show
    from .listing import ls
    from .tasks.build.command import hold_out_data as data_hold_out
    from .tasks.build.command import make_data as data_make
    from .tasks.feature_descriptions.judge.command import judge, rate, show_judge
    from .tasks.nulls.command import check_nulls, data_nulls
    from .tasks.paper.build.import_paper import data_import
    from .trust import doctor_fill, doctor_report

__all__ = [
    "board_build",
    "board_check",
    "board_diff",
    "board_report",
    "board_scaling",
    "check_nulls",
    "check_score",
    "cite",
    "compare",
    "data_export",
    "data_hold_out",
    "data_import",
    "data_make",
    "data_metric_card",
    "data_nulls",
    "data_path",
    "data_split",
    "data_verify",
    "doctor",
    "doctor_fill",
    "doctor_report",
    "export",
    "has_truth",
    "import_run",
    "judge",
    "labels",
    "ledger_add",
    "ledger_show",
    "load",
    "ls",
    "plan",
    "plan_training",
    "rate",
    "recheck",
    "run",
    "score",
    "score_all",
    "score_table",
    "show",
    "show_judge",
    "submit",
    "to_pandas",
    "train",
    "train_recipes",
    "validate",
    "validate_all",
    "version",
]

_PLACES = {
    "baselines.train_recipes": "train_recipes",
    "benchmark.backends.training.command": "plan_training train",
    "benchmark.evaluation.import_run": "import_run",
    "benchmark.export.export": "export",
    "benchmark.export.frames": "to_pandas",
    "benchmark.export.repository": "data_export",
    "benchmark.metrics.card": "data_metric_card",
    "benchmark.scoring.compare": "compare",
    "benchmark.scoring.score": "check_score has_truth score score_all score_table show validate",
    "benchmark.suite.select": "data_split",
    "citation": "cite",
    "leaderboard.report.report": "board_report",
    "leaderboard.report.studies": "board_scaling",
    "leaderboard.site.folder": "board_build board_check board_diff",
    "leaderboard.submissions.submit": "submit",
    "leaderboard.submissions.validate": "validate_all",
    "leaderboard.verification.recheck": "recheck",
    "leaderboard.verification.record": "ledger_add ledger_show",
    "listing": "ls",
    "tasks.build.command": "data_hold_out data_make",
    "tasks.feature_descriptions.judge.command": "judge rate show_judge",
    "tasks.nulls.command": "check_nulls data_nulls",
    "tasks.paper.build.import_paper": "data_import",
    "trust": "doctor_fill doctor_report",
}
"""Verbs that are not defined here, by the module that has them; imported when asked for."""
_NAMES = {"data_hold_out": "hold_out_data", "data_make": "make_data"}
"""What those are called there that have another name."""


def __getattr__(name: str) -> Any:
    """Import a verb from its place."""
    for place, names in _PLACES.items():
        if name in names.split():
            found = importlib.import_module(f".{place}", __package__)
            globals()[name] = getattr(found, _NAMES.get(name, name))
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def run(
    model: str | Path | Explainer,
    *,
    progress: Progress = silent,
    **options: Any,
) -> tuple[Run, ...]:
    """Answer the queries of a suite with a model; one run file a task, resumed if it is there.

    Args:
        model: `baseline/NAME`, a folder, a hub id, a target's name, `lm-eval:BACKEND,ARGS`,
            `openai:NAME`, `py:module:Class`, or an object with a method `complete(prompts)`.
        progress: told of downloads, queries answered and descriptions judged.
        **options: fields of `RunSpec`, such as `split="mini"`.

    Raises:
        UsageError: unknown name, or an impossible combination.
        MissingPartError: weights, hub, device or disk space are missing.
        IntegrityError: a file is corrupt, or the run file is another run's.
    """
    from .benchmark.evaluation.run import run as run_all

    return run_all(_request(model, options), progress=progress)


def _request(model: str | Path | Explainer, options: dict[str, Any]) -> RunSpec:
    from .benchmark.evaluation.objects import object_name
    from .benchmark.evaluation.spec import RunSpec

    if isinstance(model, str | Path):
        return RunSpec(model=str(model), **options)
    return RunSpec(model=object_name(model), explainer=model, **options)


def plan(model: str | Path | Explainer, **options: Any) -> tuple[TaskPlan, ...]:
    """Say what `run` with the same arguments would do; loads no weights."""
    from .benchmark.evaluation.plan import plan_run

    return plan_run(_request(model, options))


def load(path: Path | str) -> Run:
    """Read a run file, or a folder's only one, strictly.

    Raises:
        UsageError: it can't be opened.
        IntegrityError: it is not a sound run file; the message starts with `file:line`.
    """
    from .benchmark.runs.run import read_run, run_file

    return read_run(run_file(path))


def doctor(
    target: str, *, device: str = "cpu", progress: Progress = silent
) -> list[dict[str, Any]]:
    """Run the self-tests of interventions on a target; a row each: `name`, `passed`, `detail`.

    UsageError: unknown target; MissingPartError: weights or device are missing.
    """
    from .benchmark.models.targets import resolve_target

    spec = resolve_target(target)  # before torch is imported
    from .benchmark.backends.models.devices import usable_device
    from .benchmark.models.fetch import prepare_target

    usable_device(device)  # before anything is downloaded
    prepare_target(spec, progress=progress)
    progress(f"testing interventions on {target}")
    from .benchmark.backends.interventions.selftests import run_doctor

    return [dataclasses.asdict(check) for check in run_doctor(target, device=device)]


def labels(
    target: str, *, suite: str | None = None, split: str = "mini", **options: Any
) -> list[dict[str, Any]]:
    """Measure labels again on this machine and count those that come out as frozen.

    Of the target's shipped suite, or another one by name or folder. `options` are device,
    batch_size and progress of `calculator.reproduce`, whose rows are returned, one a causal task;
    none if no suite is about the target.
    """
    from .baselines.calculator import reproduce, suite_about

    found = suite or suite_about(target)
    return [] if found is None else reproduce(found, split=split, **options)


def data_verify(
    suite: str | None = None,
    tasks: Sequence[str] = (),
    *,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """Check every byte and cross-reference of suites, and what their manifests say of them.

    Of a shipped suite, a folder of suites, or every shipped suite; IntegrityError: the first thing
    that is wrong, with the file's name.
    """
    from .benchmark.suite.select import tasks_of
    from .tasks import SUITES
    from .tasks.build.verify import verify_suite

    rows = []
    for name in SUITES if suite is None else (suite,):
        for task, found in tasks_of(name, tasks):
            verify_suite(task, found, progress)
            rows.append(
                {
                    "suite": found.name,
                    "task": task.name,
                    "version": found.version,
                    "frozen": found.frozen,
                    "files": len(found.manifest["files"]),
                    "data_sha256": found.data_sha256,
                }
            )
    return rows


def data_path() -> dict[str, str]:
    """Say where suites, tasks for lm-eval and the cache are."""
    from .benchmark.export.lm_eval_tasks import INCLUDED
    from .benchmark.suite.select import shipped_tasks
    from .tasks import SUITES, suite_root

    roots = {
        f"{name}/{task.name}": suite_root(name, task.name)
        for name in SUITES
        for task in shipped_tasks(name)
    }
    own = {"cache": str(cache_dir()), "lm-eval": str(INCLUDED)}
    return own | {key: str(root) for key, root in roots.items()}


def version() -> dict[str, Any]:
    """Return the versions of the package, its metrics and prompts, and what results depend on."""
    hashes = {"metric_version": METRIC_VERSION, "prompt_version": PROMPT_VERSION}
    return {"package": provenance.package(), "environment": provenance.environment(), **hashes}
