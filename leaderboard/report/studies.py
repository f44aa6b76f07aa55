"""Studies of trained explainers: where vectors enter, learning rates, scores over training queries.

The first two are tables of the page of results. The last is an SVG with a panel a task, in which a
line joins runs that differ in n_train.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.errors import IntegrityError, UsageError
from ...benchmark.export import tables as table
from ...benchmark.export.tables import NOTHING, clean, title
from ...benchmark.files import canonical_json, read_json, write_bytes_atomic
from ...benchmark.runs.header import Answering, n_train
from ...benchmark.runs.run import Named, read_run, run_files
from ...benchmark.scoring.score import check_whole, score, score_all
from ..site.board import Estimate, estimate_of
from ..site.charts import HEIGHT, MAX_LINES, WIDTH, Plot, Point, drawn
from ..site.render import templates

RECORD = "explainer.json"  # what a training writes beside its weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One explainer of the injection study."""

    result: Mapping[str, Any]  # what `score` returned of its run
    injection: Mapping[str, Any] | None  # how vectors entered; None for no vectors
    n_train: int | None  # training queries of the task
    validation_loss: float | None = None  # nats a token of right answers to validation queries


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One training."""

    name: str  # recipe it followed but for its rate
    rate: float
    n_train: int  # training queries of all tasks
    loss: float  # nats a token of right answers to validation queries


def cells_of(study: Path | str | None, suite: str | None) -> list[Cell]:
    """Score the runs of an injection study; none if `study` is None."""
    paths = [] if study is None else sorted(Path(study).glob("*.jsonl"))
    if study is not None and not paths:
        raise UsageError(f"{study}: there are no run files of a study")
    return [_read_cell(path, suite) for path in paths]


def _read_cell(path: Path, suite: str | None) -> Cell:
    result = score(path, suite=suite)
    check_whole(path, result)
    explainer = read_run(path).header.explainer
    settings = explainer.settings
    loss = settings.get("validation_loss")
    if loss is not None and type(loss) is not float:
        raise UsageError(f"{path}: validation_loss of the explainer is not a number")
    return Cell(
        result=result,
        injection=settings.get("injection") or None,
        n_train=n_train(settings, result["task"]),
        validation_loss=loss,
    )


def injection_tables(cells: Sequence[Cell]) -> str:
    """Return a table for each task and split, the best first."""
    blocks = [
        "Explainers that were trained alike on a part of the training split and differ in where "
        "vectors enter, at what length and in how many tokens; single runs, best first. The loss, "
        "in nats a token of right answers to validation queries, is no score: with `replay` the "
        "answer is worded differently and says the output twice, so its loss stands for itself."
    ]
    for task, split in sorted({(cell.result["task"], cell.result["split"]) for cell in cells}):
        own = [c for c in cells if (c.result["task"], c.result["split"]) == (task, split)]
        head = [f"{task}, {split}: enters at", "length", "tokens", "trained on", "loss"]
        head += [title(metric) for metric in own[0].result["metrics"]]
        rows = [_cell_row(cell) for cell in sorted(own, key=_best_first)]
        blocks.append("\n".join(table.lines_of(head, rows, names=2)))
    return "\n\n".join(blocks)


def _best_first(cell: Cell) -> tuple[float, str]:
    value = cell.result["overall"]["metrics"][cell.result["headline"]]["value"]
    return (math.inf if value is None else -value), str(cell.result["explainer"]["name"])


def _cell_row(cell: Cell) -> list[str]:
    nowhere = {"mode": "nowhere (no vectors)", "scaling": NOTHING, "slots": NOTHING}
    entry, metrics = cell.injection or nowhere, cell.result["overall"]["metrics"]
    where = " ".join(str(entry[name]) for name in ("mode", "layer") if entry.get(name) is not None)
    loss = NOTHING if cell.validation_loss is None else f"{cell.validation_loss:.3f}"
    n = str(cell.n_train or NOTHING)
    texts = [where, str(entry["scaling"]), str(entry.get("slots", 1)), n, loss]
    scores = [table.cell(metric, metrics[metric]) for metric in cell.result["metrics"]]
    return [*(table.escape(clean(text)) for text in texts), *scores]


def trials_of(folder: Path | str | None) -> list[Trial]:
    """Read what trainings of the same recipes at several learning rates came to.

    The folder holds `NAME/explainer.json` at any depth, as `train --recipe --learning-rate` leaves
    them; NAME is the recipe.
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


def rates_table(trials: Sequence[Trial]) -> str:
    """Return one row a recipe and one column a learning rate, the lowest loss of a row in bold."""
    rates = sorted({trial.rate for trial in trials})
    rows = []
    for name in sorted({trial.name for trial in trials}):
        own = {trial.rate: trial for trial in trials if trial.name == name}
        best = min(own.values(), key=lambda trial: trial.loss)
        losses = {rate: f"{own[rate].loss:.3f}" if rate in own else NOTHING for rate in rates}
        losses[best.rate] = f"**{losses[best.rate]}**"
        rows.append([table.escape(clean(name)), f"{best.n_train:,}", *losses.values()])
    head = ["recipe", "trained on", *(f"{rate:g}" for rate in rates)]
    said = (
        "Loss on validation queries, in nats a token of right answers, of the same training at "
        "several learning rates; single runs, the lowest of a row in bold. Rows are not to be "
        "compared: they answer in other words or tokens."
    )
    return "\n".join([said, "", *table.lines_of(head, rows)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """The score of one explainer that learnt from a part of the training split."""

    task: str
    metric: str
    where: str  # suite and split
    recipe: str  # equal for explainers that differ in how much they learnt from alone
    name: str
    n_train: int  # training queries of the task
    score: Estimate  # the headline metric


def _panel(points: Sequence[Learnt]) -> Plot:
    amounts = sorted({point.n_train for point in points})
    recipes: dict[str, list[Learnt]] = {}
    for point in sorted(points, key=lambda one: (one.n_train, one.name)):
        line = recipes.setdefault(point.recipe, [])
        if line and line[-1].n_train == point.n_train:
            raise UsageError(
                f"{clean(point.name)} and {clean(line[-1].name)} differ in nothing and learnt from "
                f"{point.n_train} queries of {point.task} both; give one of them"
            )
        line.append(point)
    lines = sorted(recipes.values(), key=lambda line: (-line[-1].score.value, line[-1].name))
    if len(lines) > MAX_LINES:
        raise UsageError(f"{len(lines)} explainers in one panel; give runs of {MAX_LINES} at most")
    return Plot(
        title=points[0].task,
        subtitle=points[0].where,
        x_name=f"training queries of {points[0].task} ({points[0].where})",
        y_name=title(points[0].metric),
        metric=points[0].metric,
        groups=tuple(
            tuple(
                # all of a line are called what its last is
                Point(
                    x=float(amounts.index(point.n_train)),
                    y=point.score,
                    name=clean(line[-1].name).rpartition("/")[2],
                    css=f"line{number}",
                )
                for point in line
            )
            for number, line in enumerate(lines)
        ),
        x_texts=tuple((float(place), f"{n:,}") for place, n in enumerate(amounts)),
    )


def board_scaling(
    runs: Named, output: Path | str | None = None, *, suite: str | None = None
) -> dict[str, Any]:
    """Draw scores over training queries; the same run files give the same bytes.

    `points` of the answer have `task`, `explainer`, `n_train`, `metric`, `value`, `interval_95`.
    """
    if not (paths := run_files(runs)):
        raise UsageError("give the run files of explainers that learnt from parts of train")
    results = score_all(paths, suite=suite)
    learnt = [_learnt(path, result) for path, result in zip(paths, results, strict=True)]
    tasks = sorted({(one.task, one.where) for one in learnt})
    panels = [_panel([one for one in learnt if (one.task, one.where) == task]) for task in tasks]
    picture = templates().get_template("scaling.svg.j2")
    svg = picture.render(panels=list(map(drawn, panels)), width=WIDTH, height=HEIGHT)
    if output is not None:
        write_bytes_atomic(Path(output), svg.encode())
    points = [
        {
            "task": one.task,
            "explainer": one.name,
            "n_train": one.n_train,
            "metric": one.metric,
            "value": one.score.value,
            "interval_95": [one.score.low, one.score.high],
        }
        for one in learnt
    ]
    return {"svg": svg, "points": points}


def _learnt(path: Path, result: Mapping[str, Any]) -> Learnt:
    check_whole(path, result)
    explainer, task = read_run(path).header.explainer, result["task"]
    amount = n_train(explainer.settings, task)
    if amount is None:
        raise UsageError(
            f"{path}: does not say from how many queries was learnt; give runs of explainers made "
            "with `train`, or of baselines run with --n-train"
        )
    metric = result["headline"]
    score = estimate_of(result["overall"]["metrics"][metric])
    if score is None:
        raise UsageError(f"{path}: has no {metric}: a kind or class of queries is lacking")
    return Learnt(
        task=task,
        metric=metric,
        where=f"{result['suite']}, {result['split']}",
        recipe=_recipe(explainer),
        name=explainer.name,
        n_train=amount,
        score=score,
    )


def _recipe(explainer: Answering) -> str:
    weights = explainer.weights_sha256.items()
    base = {name: digest for name, digest in weights if name.startswith("base/")}
    came_of_it = ("n_train", "validation_loss")
    return canonical_json(
        {
            "name": None if base else explainer.name,
            "base": base,
            "settings": {k: v for k, v in explainer.settings.items() if k not in came_of_it},
            "shots": explainer.shots,
            "no_vector": explainer.no_vector,
            "shuffled": explainer.shuffled_vectors,
        }
    )
