"""A feature's windows token by token: true activations and predicted ones, as shades.

A *shade* is a digit, 0 to 9: the activation in ninths of the largest one in the feature's windows.
The text of token ids is that of the target's tokenizer, kept in `page/` for targets of suites that
ship (`docs/pieces.py` writes it), so that building a page needs no model.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...benchmark.runs.run import PREDICTED, Run, stored_bytes
from ...benchmark.scoring.judged import EXACT
from ...benchmark.suite.features import WINDOW, WINDOWS, arrays
from ...benchmark.suite.suite import Suite

PIECES = Path(__file__).parents[1] / "page"
STEPS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Some text in which a feature is scored."""

    tokens: tuple[str, ...]
    true: str  # a shade a token
    mark: int  # token that is compared with an equal one elsewhere; -1 if none is


def pieces(tokenizer_sha256: str) -> Mapping[str, str] | None:
    """Return the text of token ids of a tokenizer, or None where it is not kept."""
    path = PIECES / f"pieces-{tokenizer_sha256[:8]}.json.gz"
    if not path.is_file():
        return None
    found: dict[str, str] = json.loads(gzip.decompress(path.read_bytes()))
    return found


def shown(suite: Suite, split: str) -> Mapping[str, tuple[list[int], Mapping[str, Any]]]:
    """Choose two windows a query: the strongest marked one, and a silent one that ends alike.

    A feature without marks has its strongest window alone. Each has its arrays too.
    """
    tables = arrays(suite, split, "windows") | arrays(suite, split, "activations")
    found = {}
    for row, query in enumerate(suite.queries(split)):
        own = {name: table[row] for name, table in tables.items()}
        peaks, strong = own["activations"].max(axis=1), own["strong"] > 0
        first = int(np.where(strong, peaks, -1).argmax() if strong.any() else peaks.argmax())
        alike = (own["pair_group"] == own["pair_group"][first]) & (own["marks"] >= 0) & ~strong
        found[query.id] = [first, *np.flatnonzero(alike)[:1].tolist()], own
    return found


def true_windows(suite: Suite, split: str) -> dict[str, tuple[Window, ...]]:
    """Return the windows to show, by query; none without the text of tokens."""
    text = pieces(str(suite.manifest["target"].get("tokenizer_sha256")))
    if text is None:
        return {}
    return {
        qid: tuple(
            Window(
                tokens=tuple(text.get(str(one), "\ufffd").replace("\n", "\u23ce") for one in ids),
                true=line,
                mark=mark,
            )
            for ids, line, mark in zip(
                own["ids"][rows].tolist(),
                _lines(own["activations"], rows),
                own["marks"][rows].tolist(),
                strict=True,
            )
        )
        for qid, (rows, own) in shown(suite, split).items()
    }


def predicted_shades(run: Run, suite: Suite) -> dict[str, tuple[str, ...]]:
    """Return what the suite's judge made of each description, a line of shades a window shown."""
    judge = suite.manifest["judges"][EXACT]
    windows = shown(suite, run.header.task.split)
    found = {}
    for (name, qid), row in run.judgements.items():
        if name == judge:
            data = stored_bytes(row.get(PREDICTED), f"{run.path}: {judge}, query {qid}")
            values = np.frombuffer(data, dtype=np.uint8).reshape(WINDOWS, WINDOW)
            found[qid] = tuple(_lines(values, windows[qid][0]))
    return found


def _lines(values: npt.NDArray[Any], rows: list[int]) -> list[str]:
    numbers = values.astype(np.float64).clip(min=0)
    shades = np.rint(STEPS * numbers / (numbers.max() or 1)).astype(int)
    return ["".join(map(str, shades[row].tolist())) for row in rows]
