"""Pictures of training losses."""

from __future__ import annotations

from xml.etree import ElementTree

from introspect_bench.benchmark.backends.training.trainer import EDGE, HEIGHT, WIDTH, loss_curve

ROWS = [
    {"step": 0, "loss": 4.0},
    {"step": 10, "loss": 2.0},
    {"step": 10, "eval_loss": 3.0},
    {"step": 10, "train_runtime": 5.0},
]


def test_losses_are_drawn_where_they_belong() -> None:
    svg = ElementTree.fromstring(loss_curve(ROWS))
    lines = [part.attrib["points"] for part in svg if part.tag.endswith("polyline")]
    assert lines[0] == f"{EDGE:.1f},{EDGE:.1f} {WIDTH - EDGE:.1f},{HEIGHT - EDGE:.1f}"
    assert lines[1] == f"{WIDTH - EDGE:.1f},{HEIGHT / 2:.1f}"
    said = [part.text for part in svg if part.tag.endswith("text")]
    assert {"training", "validation", "4.00", "2.00", "step 10"} <= set(said)
    assert loss_curve(ROWS) == loss_curve(list(ROWS))


def test_one_point_and_none_are_no_error() -> None:
    for rows in ([], [{"step": 3, "loss": 1.0}]):
        ElementTree.fromstring(loss_curve(rows))
