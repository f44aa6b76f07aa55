"""A split as a user reads it: its queries, each beside its vector and its right answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..records import Answer, Choice, Description, Query
from .select import find_suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Queries in the suite's order, and in the same order what belongs to them."""

    queries: tuple[Query, ...]
    vectors: npt.NDArray[np.float16] | None  # (n_queries, d_target); None for a task without
    answers: tuple[Answer | Choice | Description, ...]  # What the ground truth says


def data_split(task: str, split: str = "train", *, suite: Path | str = "smollm2-135m") -> Split:
    """Read a split of a task: `train`, `validation`, `test`, or `mini`.

    `suite` is a suite's name or a folder of one. Whoever trains on test queries has no result.
    """
    found = find_suite(str(suite), task)
    queries, answers = found.queries(split), found.answers(split)
    rows = [query.vector for query in queries if query.vector is not None]
    return Split(
        queries=queries,
        vectors=found.vectors(split)[rows] if len(rows) == len(queries) else None,
        answers=tuple(answers[query.id] for query in queries),
    )
