"""A training's losses as a picture: plain SVG made from its log, the same bytes every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, EDGE = 640, 320, 48
"""Size of the picture and of its margins, in pixels."""
_SERIES = (("loss", "training", "#4269d0"), ("eval_loss", "validation", "#c0480b"))


def loss_curve(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw training and validation loss of `training.jsonl`, in nats a token, as SVG."""
    series = [
        (title, colour, [(row["step"], row[key]) for row in rows if key in row])
        for key, title, colour in _SERIES
    ]
    points = [point for _, _, part in series for point in part]
    right = max((step for step, _ in points), default=1) or 1
    low = min((loss for _, loss in points), default=0.0)
    high = max((loss for _, loss in points), default=1.0)
    if high == low:
        high = low + 1.0

    def place(step: float, loss: float) -> str:
        x = EDGE + (WIDTH - 2 * EDGE) * step / right
        y = HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (loss - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for number, (title, colour, part) in enumerate(series):
        path = " ".join(place(step, loss) for step, loss in part)
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        lines.append(_text(WIDTH - EDGE, EDGE + 16 * number, title, "end", colour))
    frame = f"M{EDGE},{EDGE}V{HEIGHT - EDGE}H{WIDTH - EDGE}"
    lines += [
        f'<path d="{frame}" fill="none" stroke="#888"/>',
        _text(EDGE - 6, EDGE + 4, f"{high:.2f}", "end"),
        _text(EDGE - 6, HEIGHT - EDGE, f"{low:.2f}", "end"),
        _text(WIDTH - EDGE, HEIGHT - EDGE + 16, f"step {right}", "end"),
        _text(EDGE, EDGE - 12, "loss, nats a token", "start"),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img" aria-label="training loss">'
    )
    return "\n".join([head, *lines, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#666") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
