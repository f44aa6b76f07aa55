"""Whether a suite of descriptions ships: tests that need one are skipped while none is frozen."""

from __future__ import annotations

import pytest

from introspect_bench.benchmark.suite import Suite
from introspect_bench.suites import shipped_suite, shipped_tasks

SUITE, TASK = "smollm2-135m", "feature-descriptions"


def frozen_descriptions() -> Suite:
    """Open it, or skip the test."""
    if TASK not in {task.name for task in shipped_tasks(SUITE)}:
        pytest.skip("no frozen v2 suite of descriptions")
    return shipped_suite(SUITE, TASK)
