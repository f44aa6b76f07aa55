"""Run files to the curve of scores over how much was learnt from.

Owns which runs differ in nothing but that. The picture is `scaling.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...benchmark.errors import UsageError
from ...benchmark.files import canonical_json, write_bytes_atomic
from ...benchmark.runs.new_header import n_train
from ...benchmark.runs.run import read_run
from ...benchmark.scoring.score import check_whole, score_all
from ..site.board import Estimate
from .scaling import Learnt, scaling_svg


def board_scaling(
    paths: Sequence[Path | str],
    output: Path | str | None = None,
    *,
    suite: str | None = None,
) -> dict[str, Any]:
    """Draw scores over training queries; the same run files give the same bytes.

    Args:
        paths: run files of trained explainers, or of baselines that were run with `n_train`.
        output: SVG file to write; none if None.
        suite: folder of suites, for suites that are not in the package.

    Returns:
        `svg`, the picture, and `points`: `task`, `explainer`, `n_train`, `metric`, `value`,
        `interval_95`.

    Raises:
        UsageError: a run answers only a part of its split or does not say how much was learnt
            from, two are at one place, or as `score_all`.
        IntegrityError: as `score_all`.
        MissingPartError: the picture can't be written.
    """
    learnt = [
        _learnt(Path(path), result)
        for path, result in zip(paths, score_all(paths, suite=suite), strict=True)
    ]
    svg = scaling_svg(learnt)
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
    explainer = read_run(path).header["explainer"]
    amount = n_train(explainer, result["task"])
    if amount is None:
        raise UsageError(
            f"{path}: does not say from how many queries was learnt; give runs of explainers made "
            "with `train`, or of baselines run with --n-train"
        )
    metric = result["headline"]
    found = result["overall"]["metrics"][metric]
    if found["value"] is None:
        raise UsageError(f"{path}: has no {metric}: a kind or class of queries is lacking")
    low, high = found["interval_95"] or (None, None)
    return Learnt(
        task=result["task"],
        metric=metric,
        where=f"{result['suite']}, {result['split']}",
        recipe=_recipe(explainer),
        name=explainer["name"],
        n_train=amount,
        score=Estimate(value=found["value"], low=low, high=high),
    )


def _recipe(explainer: Mapping[str, Any]) -> str:
    """What is the same of explainers that differ in how much they learnt from alone."""
    weights = explainer["weights_sha256"]
    base = {name: digest for name, digest in weights.items() if name.startswith("base/")}
    settings = explainer.get("settings", {})
    came_of_it = ("n_train", "validation_loss")
    return canonical_json(
        {
            "name": None if base else explainer["name"],
            "base": base,
            "settings": {k: v for k, v in settings.items() if k not in came_of_it},
            "shots": explainer["shots"],
            "no_vector": explainer["no_vector"],
            "shuffled": explainer.get("shuffled_vectors", False),
        }
    )
