"""Linear probes of the verdict, fitted before anything is chosen; groups are then matched on them.

Changed and unchanged vectors of one place differ in direction, not in length: without this a probe
fitted on other groups tells them apart within groups (AUROC up to 0.72). Two probes are fitted on
train candidates, by ridge regression within groups: one for all cells, and one for each cell, with
so large a penalty that it is nearly the difference of the two means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .balance import PROBES, CandidateGroup

PENALTY, CELL_PENALTY = 1.0, 100.0  # ridge penalties, in mean variances of a coordinate
LEAST = 60  # candidates of a cell below which it has no probe of its own

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Directions of length 1 / spread within groups, so that scores of all cells compare."""

    everywhere: Floats  # of all cells, shape (d,)
    cells: Mapping[str, tuple[Floats, float]]
    """Of each cell its own direction, and its scale of the direction of all."""

    def of(self, cell: str) -> Floats:
        """Both probes of a cell, shape (`PROBES`, d)."""
        own, scale = self.cells.get(cell, (self.everywhere, 1.0))
        return np.stack([self.everywhere * scale, own])


def fit_probes(groups: Sequence[CandidateGroup]) -> Probes | None:
    """Fit on measured candidates; None where they cannot tell anything."""
    by_cell: dict[str, list[tuple[Floats, Floats]]] = {}
    for group in groups:
        verdicts = np.array([member.changed for member in group.members], dtype=np.float64)
        if 0 < verdicts.sum() < len(verdicts):
            rows = np.stack([m.vector for m in group.members]).astype(np.float64) / group.spread
            centred = rows - rows.mean(0), verdicts - verdicts.mean()
            by_cell.setdefault(group.cell, []).append(centred)
    if not by_cell:
        return None
    joined = {cell: _join(pairs) for cell, pairs in by_cell.items()}
    everywhere = _ridge(*_join([*joined.values()]), PENALTY)
    cells = {}
    for cell, (rows, verdicts) in joined.items():
        own = everywhere
        if len(rows) >= LEAST:
            own = _ridge(rows, verdicts, CELL_PENALTY)
        cells[cell] = own / _spread(rows @ own), 1.0 / _spread(rows @ everywhere)
    mean = float(np.mean([1.0 / scale for _, scale in cells.values()]))
    return Probes(
        everywhere=everywhere / mean, cells={c: (own, s * mean) for c, (own, s) in cells.items()}
    )


def no_probes(width: int) -> Floats:
    """Probes that tell nothing, shape (`PROBES`, width)."""
    return np.zeros((PROBES, width))


def _join(pairs: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    return np.concatenate([rows for rows, _ in pairs]), np.concatenate([v for _, v in pairs])


def _ridge(rows: Floats, verdicts: Floats, penalty: float) -> Floats:
    gram = rows.T @ rows
    gram[np.diag_indices_from(gram)] += penalty * max(np.trace(gram) / len(gram), 1e-12)
    return np.asarray(np.linalg.solve(gram, rows.T @ verdicts), dtype=np.float64)


def _spread(scores: Floats) -> float:
    return max(float(scores.std()), 1e-12)
