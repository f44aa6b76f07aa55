"""Numbers as the page writes and draws them."""

from __future__ import annotations

import pytest

from introspect_bench.leaderboard.site.board import Estimate
from introspect_bench.leaderboard.site.figures import (
    Axis,
    bar,
    duration,
    heat,
    interval,
    short,
    shown,
    signed,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "\N{EN DASH}"),
        (0, "0"),
        (135e6, "135M"),
        (1.7e9, "1.7B"),
        (999_999, "1M"),
        (12.3, "12"),
        (0.25, "0.25"),
    ],
)
def test_quantities_are_short(value: float | None, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(2e-6, "2 µs"), (0.0032, "3.2 ms"), (0.44, "0.44 s"), (75.0, "75 s")]
)
def test_times_have_units(value: float, text: str) -> None:
    assert duration(value) == text


def test_numbers_look_the_same_everywhere() -> None:
    assert shown("exact_match", 0.16649) == "16.6"
    assert shown("weighted_r", -0.0031) == "−0.003"  # noqa: RUF001
    assert shown("overall", -0.0001) == "0.0"
    assert interval("weighted_r", Estimate(value=0.0, low=-0.01, high=0.01)) == "[−0.010, 0.010]"  # noqa: RUF001


def test_bars_are_drawn_where_the_numbers_are() -> None:
    axis = Axis(low=-0.25, high=1.0, marks=(0.0, 1.0))
    # (0.5 + 0.25) / 1.25 = 0.6
    paths = bar(Estimate(value=0.5, low=0.25, high=0.75), axis)
    assert paths == {"value": "M60 1V9", "interval": "M40 5H80", "marks": "M20 2V8M100 2V8"}
    assert [heat(value, 0.2, 0.6) for value in (0.2, 0.4, 0.6, 0.9, 0.1)] == [0, 5, 10, 10, 0]


@pytest.mark.parametrize(
    ("value", "share", "number"),
    [
        (0.00004, "0.0", "0.000"),
        (-0.00004, "0.0", "0.000"),
        (0.0, "0.0", "0.000"),
        (0.25, "+25.0", "+0.250"),
        (-0.25, "\N{MINUS SIGN}25.0", "\N{MINUS SIGN}0.250"),
    ],
)
def test_what_rounds_to_0_has_no_sign(value: float, share: str, number: str) -> None:
    assert signed("exact_match", value) == share
    assert signed("matched_auroc", value) == number
    assert shown("exact_match", value) == share.removeprefix("+")
