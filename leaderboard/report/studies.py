"""Files of studies to what the page of results shows: injection cells, and learning rates tried."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...benchmark.errors import IntegrityError, UsageError
from ...benchmark.files import read_json
from ...benchmark.runs.new_header import n_train
from ...benchmark.runs.run import read_run
from ...benchmark.scoring.score import check_whole, score
from .rates import Trial
from .report import Cell

RECORD = "explainer.json"
"""What a training writes beside its weights."""


def cells_of(study: Path | str | None, suite: str | None) -> list[Cell]:
    """Score the runs of an injection study.

    Args:
        study: folder with run files; nothing if None.
        suite: folder of suites, for suites that are not in the package.

    Raises:
        UsageError: there are no run files, one is of a part of a split, or a loss is no number.
        IntegrityError: a run file is broken.
        IncompleteRunError: a run lacks rows.
    """
    cells = []
    paths = [] if study is None else sorted(Path(study).glob("*.jsonl"))
    if study is not None and not paths:
        raise UsageError(f"{study}: there are no run files of a study")
    for path in paths:
        result = score(path, suite=suite)
        check_whole(path, result)
        explainer = read_run(path).header["explainer"]
        settings = explainer.get("settings", {})
        cells.append(
            Cell(
                result=result,
                injection=settings.get("injection") or None,
                n_train=n_train(explainer, result["task"]),
                validation_loss=_loss_of(settings, path),
            )
        )
    return cells


def _loss_of(settings: Mapping[str, Any], path: Path) -> float | None:
    found = settings.get("validation_loss")
    if found is not None and type(found) is not float:
        raise UsageError(f"{path}: validation_loss of the explainer is not a number")
    return found


def trials_of(folder: Path | str | None) -> list[Trial]:
    """Read what trainings of the same recipes at several learning rates came to.

    Args:
        folder: holds `NAME/explainer.json` at any depth, as `reference --learning-rate` leaves
            them; NAME is the recipe. Nothing if None.

    Raises:
        UsageError: there are none, or those of a recipe differ in more than the rate, or not in it.
        IntegrityError: a record is broken, or of no training.
    """
    paths = [] if folder is None else sorted(Path(folder).rglob(f"*/{RECORD}"))
    if folder is not None and not paths:
        raise UsageError(f"{folder}: there are no trainings, which leave NAME/{RECORD}")
    trials: list[Trial] = []
    others: dict[str, object] = {}
    for path in paths:
        trial, other = _trial(path)
        if others.setdefault(trial.name, other) != other:
            raise UsageError(f"{path}: differs from others of {trial.name} in more than the rate")
        if any((one.name, one.rate) == (trial.name, trial.rate) for one in trials):
            raise UsageError(f"{path}: the second one of {trial.name} at {trial.rate:g}")
        trials.append(trial)
    return trials


def _trial(path: Path) -> tuple[Trial, object]:
    """One training, and what it must share with others of its recipe."""
    record = read_json(path)
    try:
        training = record["training"]
        settings = dict(training["settings"])
        rate, loss = settings.pop("learning_rate"), record["validation_loss"]
        count = training["lessons"]["n"]
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(f"{path}: not the record of a training: {error!r}") from None
    if any(type(one) not in (int, float) or not math.isfinite(one) for one in (rate, loss, count)):
        raise IntegrityError(f"{path}: its rate, loss or size is not a finite number")
    trial = Trial(name=path.parent.name, rate=rate, n_train=count, loss=loss)
    return trial, {**training, "settings": settings}
