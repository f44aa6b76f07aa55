"""Scores over training queries as SVG: a panel a task; a line joins runs that differ in n_train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmark.errors import UsageError
from ...benchmark.export.tables import clean, title
from ...benchmark.files import canonical_json, write_bytes_atomic
from ...benchmark.runs.header import Answering, n_train
from ...benchmark.runs.run import Named, read_run, run_files
from ...benchmark.scoring.score import check_whole, score_all
from ..site.board import Estimate, estimate_of
from ..site.charts import HEIGHT, MAX_LINES, WIDTH, Plot, Point, drawn
from ..site.render import templates


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
