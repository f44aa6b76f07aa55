"""Corrections for several tests worked out by hand, and what the library costs to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from introspect_bench.benchmark.metrics.paired import adjust


def test_holm_worked_out_by_hand() -> None:
    # sorted 0.01 0.02 0.03 0.4, times 4 3 2 1: 0.04 0.06 0.06 0.4, never falling
    assert adjust([0.03, 0.01, 0.4, 0.02], "holm") == pytest.approx([0.06, 0.04, 0.4, 0.06])
    assert adjust([0.5, 0.9], "holm") == [1, 1]
    assert adjust([0.02], "holm") == [0.02]
    assert adjust([], "holm") == adjust([], "bh") == []


def test_benjamini_hochberg_worked_out_by_hand() -> None:
    # sorted 0.01 0.02 0.03 0.4, times 4/1 4/2 4/3 4/4: 0.04 0.04 0.04 0.4, never rising backwards
    assert adjust([0.03, 0.01, 0.4, 0.02], "bh") == pytest.approx([0.04, 0.04, 0.4, 0.04])


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_not_corrected(bad: float) -> None:
    with pytest.raises(ValueError, match="not in 0 to 1"):
        adjust([0.5, bad], "holm")
    with pytest.raises(ValueError, match="unknown correction"):
        adjust([0.5], "bonferroni")


def test_what_takes_seconds_to_import_is_imported_when_needed() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, introspect_bench.api as api\n"
            "sys.exit(any(name in sys.modules for name in ('scipy.stats', 'pyarrow', 'torch')))",
        ],
        check=False,
    )
    assert done.returncode == 0
