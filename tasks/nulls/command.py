"""What null models score on suites: as the manifests say, or fitted again.

Owns which suites are asked and what a comparison allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...benchmark.cache import Progress, silent
from ...benchmark.errors import CheckFailedError, UsageError
from ...benchmark.models.fetch import prepare_target
from ...benchmark.models.targets import resolve_target
from ...benchmark.registry import suites
from ...benchmark.suite.select import shipped_suite, tasks_of
from ...benchmark.suite.suite import Suite
from . import check_installed

ABLATIONS = "input-ablations"
TOLERANCE = 0.01
"""How far a metric of a null that is fitted again may be from the manifest's: solvers differ in
their last bits from machine to machine, and a threshold may then fall elsewhere."""


def data_nulls(
    suite: str | None = None,
    tasks: Sequence[str] = (),
    *,
    split: str = "test",
    refit: bool = False,
    progress: Progress = silent,
) -> list[dict[str, Any]]:
    """Return every null's score on a split of suites.

    A row a null: `suite`, `task`, `version`, `name`, `access`, `rule`, `metrics`, and with `refit`
    the manifest's metrics as `said`, None where it has no such null. A null that the manifest alone
    has comes without metrics.

    Raises UsageError: unknown suite, task or split, or no suite has nulls; IntegrityError: a file
    is corrupt; MissingPartError: the target's weights or scikit-learn are missing (`refit` only).
    """
    rows = []
    for name in suites() if suite is None else (suite,):
        for task, found in tasks_of(name, tasks):
            if refit and found.describes:
                continue
            said: list[dict[str, Any]] = found.manifest.get("nulls", {}).get(split, [])
            head = {"suite": found.name, "task": task.name, "version": found.version}
            if not refit:
                rows += [head | row for row in said]
                continue
            known = {(row["name"], row["access"]): row["metrics"] for row in said}
            for row in _refitted(found, split, progress):
                rows.append(head | row | {"said": known.pop((row["name"], row["access"]), None)})
            unfitted = [row for row in said if (row["name"], row["access"]) in known]
            rows += [head | row | {"metrics": {}, "said": row["metrics"]} for row in unfitted]
    if not rows and refit:
        raise UsageError("only nulls of causal tasks are fitted again; leave --refit out")
    if not rows:
        raise UsageError("no suite here has nulls in its manifest; --refit fits them now")
    return rows


def check_nulls(rows: Sequence[dict[str, Any]]) -> None:
    """Fail unless nulls fitted again score what the manifests say.

    Raises CheckFailedError: a metric is more than `TOLERANCE` away.
    """
    for row in rows:
        for name, value in (row.get("said") or {}).items():
            own = row["metrics"].get(name)
            if (own is None) != (value is None) or (
                own is not None and abs(own - value) > TOLERANCE
            ):
                raise CheckFailedError(
                    f"{row['suite']}/{row['task']}/{row['version']}: {name} of the null "
                    f"{row['name']!r} ({row['access']}) is {own}, the manifest says {value}"
                )


def _refitted(suite: Suite, split: str, progress: Progress) -> list[dict[str, Any]]:
    # Imported here: the build extra and torch are needed for this alone.
    check_installed()
    from .run import suite_nulls

    # Nulls of a fresh test know the public train.
    train = suite if "train" in suite.splits else shipped_suite(suite.name, suite.task)
    from ...benchmark.backends.interventions.calculator import Calculator, Places
    from ...benchmark.backends.models.target_model import load_target_model
    from ..build.make import CALCULATOR_ROWS

    spec = resolve_target(suite.manifest["target"]["name"])
    target = load_target_model(prepare_target(spec, progress=progress))
    return suite_nulls(
        suite,
        splits=[split],
        train=train,
        target=Places(target),
        embed=encoder(progress) if suite.task == ABLATIONS else None,
        calculator=Calculator(target, CALCULATOR_ROWS),
    )[split]


def encoder(progress: Progress) -> Callable[[Sequence[str]], Any]:
    """Load the package's sentence encoder.

    Raises MissingPartError: its weights cannot be got.
    """
    from ...benchmark.backends.models.embedding import fetch_embedder, load_embedder

    return load_embedder(fetch_embedder(progress=progress)).embed
