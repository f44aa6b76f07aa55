"""Names of the benchmark's own are nobody else's, however they are written."""

from __future__ import annotations

import pytest

from introspect_bench.baselines import BASELINES
from introspect_bench.benchmark.suite.select import shipped_suite
from introspect_bench.leaderboard.submissions.copies import official


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("calculator", "calculator"),
        ("Calculator", "calculator"),
        ("ca1culat0r", "calculator"),
        ("baseline/constant", "constant"),
        ("Baseline / Constant", "constant"),
        ("baseline/of-mine", "baseline/of-mine"),
        ("reference/smollm2-self", "smollm2-self"),
        ("SmolLM2 self", "smollm2-self"),
        ("SmolLM2-135M", "smollm2-135m"),
        ("Boosted trees, group in view", "boosted trees, group in view"),
    ],
)
def test_an_official_name_is_seen_in_any_writing(name: str, known: str) -> None:
    assert official(name) == known


@pytest.mark.parametrize("name", ["my calculator", "baselines", "smollm2", "org/constant-probe"])
def test_other_names_are_free(name: str) -> None:
    assert official(name) is None


def test_every_baseline_and_null_is_official() -> None:
    manifest = shipped_suite("smollm2-135m", "input-ablations").manifest
    nulls = {row["name"] for rows in manifest["nulls"].values() for row in rows}
    for name in nulls | {spec.name for spec in BASELINES}:
        assert official(name) is not None
