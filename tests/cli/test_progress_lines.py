"""Progress where there is no terminal: a line at each step, and one every half minute."""

from __future__ import annotations

import pytest

from introspect_bench.bars import Bar


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_long_step_says_every_half_minute_how_far_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    bar = Bar(None, clock=clock)
    for done in range(0, 1001, 10):
        bar("answering X", done, 1000, note="loss 0.1")
        clock.now += 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "answering X ..."
    assert lines[1] == "answering X: 150 of 1000  loss 0.1, about 3 min left"
    assert lines[2] == "answering X: 300 of 1000  loss 0.1, about 3 min left"
    assert len(lines) == 1 + 200 // 30


def test_a_step_that_goes_on_counts_from_where_it_began(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    bar = Bar(None, clock=clock)
    bar("answering X", 900, 1000)
    clock.now = 60
    bar("answering X", 910, 1000)
    bar("downloading", 5_000_000, 10_000_000, unit="bytes")
    clock.now = 100
    bar("downloading", 6_000_000, unit="bytes")
    assert capsys.readouterr().err.splitlines() == [
        "answering X ...",
        "answering X: 910 of 1000, about 9 min left",
        "downloading ...",
        "downloading: 6.0 MB",
    ]
