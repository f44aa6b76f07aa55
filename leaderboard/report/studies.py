"""Files of studies to what the page of results shows: injection cells, and learning rates tried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.export import tables as table
from introspect_bench.benchmark.export.tables import NOTHING
from introspect_bench.benchmark.files import read_json
from introspect_bench.benchmark.runs.new_header import n_train
from introspect_bench.benchmark.runs.run import read_run
from introspect_bench.benchmark.scoring.score import check_whole, score
from introspect_bench.leaderboard.report.report import Cell

RECORD = "explainer.json"
"""What a training writes beside its weights."""


def cells_of(study: Path | str | None, suite: str | None) -> list[Cell]:
    """Score the runs of an injection study."""
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
    """Read what trainings of the same recipes at several learning rates came to."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One training."""

    name: str
    """Recipe it followed but for its rate."""
    rate: float
    """Highest learning rate."""
    n_train: int
    """Training queries of all tasks."""
    loss: float
    """Nats a token of right answers to validation queries."""


def rates_table(trials: Sequence[Trial]) -> str:
    """Return one row a recipe and one column a learning rate, the lowest loss of a row in bold."""
    if not trials:
        return "No trainings at several learning rates were given."
    rates = sorted({one.rate for one in trials})
    lines = [table.bar(["recipe", "trained on", *(f"{rate:g}" for rate in rates)])]
    lines.append(table.bar(["---", *["---:"] * (1 + len(rates))]))
    for name in sorted({one.name for one in trials}):
        own = {one.rate: one for one in trials if one.name == name}
        best = min(own.values(), key=lambda one: one.loss)
        cells = [table.escape(table.clean(name)), f"{best.n_train:,}"]
        for rate in rates:
            text = f"{own[rate].loss:.3f}" if rate in own else NOTHING
            cells.append(f"**{text}**" if rate == best.rate else text)
        lines.append(table.bar(cells))
    said = (
        "Loss on validation queries, in nats a token of right answers, of the same training at "
        "several learning rates; single runs, the lowest of a row in bold. Rows are not to be "
        "compared: they answer in other words or tokens."
    )
    return "\n".join([said, "", *lines])
