"""How sure a run was of its answers, against whether they were right; ranks nothing.

A confidence is what an explainer says of an answer, or a local model's own probability: that of the
tokens up to its verdict against the verdict, that of the whole reply against the whole answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .activations import auroc

Floats = npt.NDArray[np.float64]

FIELDS = ("confidence", "logprob_verdict", "logprob_reply")  # Of a row; the last two are logarithms
BINS = 10


def confidence_result(
    rows: Mapping[str, Mapping[str, Any]], right: Mapping[str, tuple[bool, bool]]
) -> dict[str, Any] | None:
    """Return what each kind of confidence is worth, or None if a run has none of any kind.

    `right` says by query id whether verdict and content are right. By field of a row: `n`, `right`
    (share), `mean` (confidence), `auroc` (null if all are right or all wrong), `brier`, `ece`,
    `aurc`.
    """
    found = {}
    for name in FIELDS:
        asked = [query for query in right if name in rows.get(query, {})]
        if asked:
            said = np.array([float(rows[query][name]) for query in asked])
            true = [right[q][0] if name == "logprob_verdict" else all(right[q]) for q in asked]
            sure = said if name == "confidence" else np.exp(said)
            found[name] = _measured(sure, np.array(true, dtype=np.float64))
    return found or None


def _measured(sure: Floats, right: Floats) -> dict[str, Any]:
    sides = sure[right == 1], sure[right == 0]
    return {
        "n": len(sure),
        "right": float(right.mean()),
        "mean": float(sure.mean()),
        "auroc": auroc(*sides) if all(map(len, sides)) else None,
        "brier": float(((sure - right) ** 2).mean()),
        "ece": calibration_error(sure, right),
        "aurc": risk_coverage(sure, right),
    }


def calibration_error(sure: Floats, right: Floats, n_bins: int = BINS) -> float:
    """Return the expected calibration error with bins of equal mass.

    The mean, weighted by size, of how far the share of right answers in a bin lies from the mean
    confidence there (Naeini et al. 2015, with quantiles for edges as in Nguyen and O'Connor 2015).
    Answers of the same confidence count as their average.
    """
    order = np.argsort(sure, kind="stable")
    sure, right = sure[order], _averaged(sure, right)[order]
    parts = np.array_split(np.arange(len(sure)), n_bins)
    gaps = [abs(float((right[part] - sure[part]).sum())) for part in parts]
    return sum(gaps) / len(sure)


def risk_coverage(sure: Floats, right: Floats) -> float:
    """Return the area under the risk-coverage curve (Geifman and El-Yaniv 2017): lower is better.

    The mean, over all k, of the share of wrong answers among the k most confident; answers of the
    same confidence count as their average.
    """
    wrong = 1 - _averaged(sure, right)[np.argsort(-sure, kind="stable")]
    return float((np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).mean())


def _averaged(sure: Floats, right: Floats) -> Floats:
    """Share of right answers among those of the same confidence, for each answer."""
    _, place, count = np.unique(sure, return_inverse=True, return_counts=True)
    shares: Floats = (np.bincount(place, weights=right) / count)[place]
    return shares
