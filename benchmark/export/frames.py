"""Runs and scores as one table of pandas, which is optional."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import MissingPartError
from ..runs.run import Run, read_run, run_files

PARTS = ("by_kind", "by_layers", "by_margin", "by_distance")  # Of a result, besides `overall`

One = Run | Path | str | Mapping[str, Any]


def to_pandas(what: One | Iterable[One]) -> Any:
    """Return a `pandas.DataFrame` that says explainer, task and split in every row.

    Of what `score` gives there is a row a metric and part of the queries, with the ends of its
    interval; of what `show` gives a row a query; of runs, run files and folders of them a row a
    reply, as it was written.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise MissingPartError("to_pandas needs pandas; pip install pandas") from error
    several = [what] if isinstance(what, Run | Path | str | Mapping) else what
    return pandas.DataFrame([row for one in several for row in _rows(one)])


def _rows(one: Any) -> Iterator[dict[str, Any]]:
    if isinstance(one, Path | str):
        for path in run_files(one):
            yield from _rows(read_run(path))
    elif isinstance(one, Run):
        about, header = one.header.task, one.header
        who = {"explainer": header.explainer.name, "task": about.id, "split": about.split}
        yield from ({**who, **row} for row in one.rows.values())
    elif "overall" in one:
        yield from _metrics(one)
    else:
        yield dict(one)


def _metrics(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    who = {"explainer": result["explainer"]["name"], "task": result["task"]}
    parts = [("overall", None, result["overall"])]
    parts += [(part, key, own) for part in PARTS for key, own in (result[part] or {}).items()]
    for part, key, own in parts:
        for name, found in (own["metrics"] if own else {}).items():
            low, high = (found and found["interval_95"]) or (None, None)
            yield {
                **who,
                "split": result["split"],
                "part": part,
                "key": key,
                "metric": name,
                "value": found and found["value"],
                "low": low,
                "high": high,
                "n": found and found["n"],
            }
