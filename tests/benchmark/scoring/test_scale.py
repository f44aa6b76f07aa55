"""Floor and ceiling of a metric from the null models of a manifest."""

from __future__ import annotations

from typing import Any

import pytest

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.scoring.scale import NoScaleError, Scale, bars_missed, scale_of


def null(name: str, access: str, **metrics: float | None) -> dict[str, Any]:
    return {"name": name, "access": access, "metrics": metrics}


ROWS = [
    null("text", "words", exact=0.05, f1=0.7),
    null("probe", "words", exact=0.08, f1=None),
    null("shown-text", "runs-target", exact=0.2),
    null("silent", "words"),
]


def manifest(*rows: object) -> dict[str, Any]:
    return {"suite": "s", "task": "t", "nulls": {"test": list(rows)}}


def test_the_floor_is_the_best_null_that_only_reads() -> None:
    assert scale_of(manifest(*ROWS), "test", "exact") == Scale(
        floor=0.08, ceiling=1, floor_of="probe"
    )
    assert scale_of(manifest(*ROWS), "test", "f1") == Scale(floor=0.7, ceiling=1, floor_of="text")


def test_the_ceiling_is_the_calculator_where_there_is_one() -> None:
    calculator = null("calculator", "replays", exact=0.997)
    assert scale_of(manifest(*ROWS, calculator), "test", "exact").ceiling == 0.997
    # one that misses the metric leaves the ceiling at 1
    assert scale_of(manifest(*ROWS, null("calculator", "replays")), "test", "exact").ceiling == 1


def test_a_scale_is_never_made_up() -> None:
    calculator = null("calculator", "words", exact=0.9)  # it is no floor, whatever it says it is
    for found in ({"suite": "s", "task": "t"}, manifest(), manifest(ROWS[2], ROWS[3], calculator)):
        with pytest.raises(NoScaleError, match="s/t has no null model of class words with a value"):
            scale_of(found, "test", "exact")
    with pytest.raises(NoScaleError, match="on mini"):
        scale_of(manifest(*ROWS), "mini", "exact")
    low = null("calculator", "replays", exact=0.08)
    with pytest.raises(NoScaleError, match="probe, is not below the ceiling"):
        scale_of(manifest(*ROWS, low), "test", "exact")


def test_malformed_nulls_and_bars_are_refused() -> None:
    malformed: list[object] = ["text", {"name": "text"}, null("text", "words") | {"name": 1}]
    for row in malformed:
        with pytest.raises(IntegrityError, match="no lists of name, access and metrics"):
            scale_of(manifest(row), "test", "exact")
    with pytest.raises(IntegrityError, match="no lists"):
        scale_of({"nulls": []}, "test", "exact")
    for value in ("0.5", True, float("nan")):
        found = manifest({"name": "text", "access": "words", "metrics": {"exact": value}})
        with pytest.raises(IntegrityError, match="exact of a null of s/t is no finite number"):
            scale_of(found, "test", "exact")
    assert bars_missed({}) == ()
    assert bars_missed({"bars_missed": ["One."]}) == ("One.",)
    for bad in ("One.", [1], [""]):
        with pytest.raises(IntegrityError, match="not a list of sentences"):
            bars_missed({"bars_missed": bad})


def test_a_scale_has_a_length() -> None:
    for floor, ceiling in ((0.5, 0.5), (0.6, 0.5), (float("nan"), 1), (0, float("inf"))):
        with pytest.raises(ValueError, match=r"scale|ceiling"):
            Scale(floor=floor, ceiling=ceiling)
