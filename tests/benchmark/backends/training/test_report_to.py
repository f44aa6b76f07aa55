"""Losses are logged elsewhere too, if asked."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event
from tiny_training import train

from introspect_bench.benchmark.backends.training import spec
from introspect_bench.benchmark.errors import MissingPartError, UsageError


def losses(path: Path) -> list[float]:
    """Training losses in a file of events: records of length, checksum, data, checksum."""
    data, found = path.read_bytes(), []
    while data:
        (size,) = struct.unpack_from("<Q", data)
        event = Event.FromString(data[12 : 12 + size])
        data = data[16 + size :]
        found += [one.simple_value for one in event.summary.value if one.tag == "train/loss"]
    return found


def test_tensorboard_gets_the_losses_of_the_log(
    suites: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    folder = train(base, suites, tmp_path / "out", epochs=1, report_to="tensorboard")
    rows = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    [path] = [path for path in (tmp_path / "events").rglob("*tfevents*") if losses(path)]
    assert losses(path) == pytest.approx([row["loss"] for row in rows if "loss" in row], abs=1e-3)


def test_what_is_not_here_is_said_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spec, "find_spec", lambda _: None)
    with pytest.raises(MissingPartError, match="pip install wandb"):
        spec.TrainSpec(base="x", output="y", report_to="wandb")
    with pytest.raises(UsageError, match="tensorboard"):
        spec.TrainSpec(base="x", output="y", report_to="paper")
