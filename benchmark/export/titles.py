"""Names of metrics for people, and which of them are no shares."""

from __future__ import annotations

from collections.abc import Mapping

# Column titles; a metric without one keeps its name
TITLES: Mapping[str, str] = {
    "exact_match": "exact match",
    "content_match": "content match",
    "balanced_exact_match": "balanced exact match",
    "exact_match_changed": "exact, changed",
    "exact_match_unchanged": "exact, unchanged",
    "content_match_changed": "content, changed",
    "which_accuracy": "which",
    "kind_mean": "mean of kinds",
    "has_changed_macro_f1": "has-changed macro-F1",
    "group_consistency": "group consistency",
    "verdict_accuracy": "verdict accuracy",
    "matched_auroc": "matched AUROC",
    "weighted_r": "weighted r",
    "auprc": "average precision",
}
# Metrics that are no shares of queries
NUMBERS = frozenset({"matched_auroc", "weighted_r", "auprc"})


def title(metric: str) -> str:
    """Return a metric's name for people."""
    return TITLES.get(metric, metric.replace("_", " "))
