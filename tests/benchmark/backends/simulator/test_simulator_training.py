"""Training a simulator: it learns what is true, the same bytes however often it was killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tiny_simulators import lessons_of_pairs, pairs, save_base
from told import Told

from introspect_bench.benchmark.backends.simulator.examples import (
    Lessons,
    TrainingSettings,
    pack,
    shares,
    targets,
)
from introspect_bench.benchmark.backends.simulator.model import class_logits, load_simulator
from introspect_bench.benchmark.backends.simulator.train import (
    CHECKPOINT,
    Base,
    train_simulator,
)
from introspect_bench.benchmark.errors import CheckFailedError, IntegrityError, UsageError
from introspect_bench.tasks.feature_descriptions.judge.judges import quantise

# peft 0.21 reads a property that transformers 5.23 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

SHORT = TrainingSettings(epochs=2, batch=4, rows=3, windows=3, rank=2, first_layer=1, rate=0.01)
Train = Callable[..., Path]
PARTS = ("adapter_config.json", "adapter_model.safetensors", "head.safetensors", "simulator.json")


class KilledError(Exception):
    """Stands for kill -9: nothing after it runs."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Many tiny steps: several threads would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Base(name="toy-base", folder=save_base(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    return lessons_of_pairs(pairs()[:10])


@pytest.fixture
def train(base: Base, lessons: Lessons, tmp_path: Path) -> Train:
    """Train the toy simulator in the test's folder or one inside, with what else is given."""

    def run(folder: str = "", settings: TrainingSettings = SHORT, **more: Any) -> Path:
        more = {"lessons": lessons, "name": "toy", **more}
        return train_simulator(base, settings=settings, folder=tmp_path / folder, **more)

    return run


def mean_r(truth: Any, predicted: Any) -> float:
    """Mean correlation of features; a constant prediction counts 0."""
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(truth, predicted, strict=True)]
    return float(np.mean([np.corrcoef(a, b)[0, 1] if np.ptp(b) else 0.0 for a, b in pairs]))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class KillAt(Told):
    """Ends a training at a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def __call__(
        self, what: str, done: int = 0, total: int | None = None, *, unit: str = "", note: str = ""
    ) -> None:
        super().__call__(what, done, total, unit=unit, note=note)
        if done == self.step:
            raise KilledError


def test_an_interrupted_run_ends_in_the_same_bytes(train: Train, tmp_path: Path) -> None:
    whole = train("whole")
    assert set(content(whole)) == set(PARTS)
    for step in (3, 4):  # 5 steps in all, a checkpoint after 2 and after 4
        with pytest.raises(KilledError):
            train("parts", save_every=2, progress=KillAt(step))
    assert (tmp_path / "parts" / CHECKPOINT).is_file()
    told = Told()
    parts = train("parts", progress=told)
    assert told.steps == [("training toy", step, 5) for step in (3, 4, 5)]
    assert content(parts) == content(whole)


def test_a_finished_run_is_found_done(train: Train) -> None:
    folder = train()
    before = content(folder)
    train(progress=KillAt(1))
    assert content(folder) == before
    with pytest.raises(UsageError, match="other settings"):
        train(name="another")


def test_a_checkpoint_of_another_run_is_refused(train: Train, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(save_every=1, progress=KillAt(2))
    with pytest.raises(UsageError, match="other settings, lessons"):
        train(lessons=lessons_of_pairs(pairs()[:10], seed=1))
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(IntegrityError, match="not a checkpoint"):
        train()


def test_only_adapter_and_head_of_the_chosen_layers_are_written(
    train: Train, lessons: Lessons, tmp_path: Path
) -> None:
    state = torch.get_rng_state()
    train(validation=lessons)
    assert torch.equal(torch.get_rng_state(), state)
    adapter = load_file(tmp_path / "adapter_model.safetensors")
    layers = {name.split(".layers.")[1].split(".")[0] for name in adapter}
    assert layers == {"1", "2"}
    assert {str(value.dtype) for value in adapter.values()} == {"float16"}
    assert len(adapter) == 2 * 7 * 2  # 2 layers, 4 + 3 modules, A and B
    assert any(value.any() for name, value in adapter.items() if "lora_B" in name)
    head = load_file(tmp_path / "head.safetensors")
    assert head["weight"].shape == (11, 16)


def test_the_loss_written_down_is_that_of_the_simulator_as_shipped(
    train: Train, base: Base, lessons: Lessons, tmp_path: Path
) -> None:
    train(settings=replace(SHORT, rate=0.1), validation=lessons)
    loss = json.loads((tmp_path / "simulator.json").read_text())["validation_loss"]
    simulator = load_simulator(tmp_path, base=base.folder)
    packed = pack(
        [simulator._wording.prefix(wordings[0]) for wordings in lessons.descriptions],
        lessons.ids,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    logits = class_logits(simulator._model, simulator._head, packed).log_softmax(dim=-1)
    right = torch.from_numpy(shares(targets(lessons.activations))).flatten(1, 2)
    assert loss == pytest.approx(float(-(right * logits).sum(-1).mean()), abs=1e-6)


def test_half_precision_trains_nearly_the_same(train: Train) -> None:
    losses: dict[bool, list[float]] = {}
    for half in (False, True):
        told = Told()
        train(str(half), replace(SHORT, bfloat16=half), progress=told)
        losses[half] = [float(note.removeprefix("loss ")) for note in told.notes]
    assert losses[True] != losses[False]
    assert losses[True] == pytest.approx(losses[False], rel=0.03)


def test_a_loss_that_is_not_finite_stops_training(train: Train, tmp_path: Path) -> None:
    wild = TrainingSettings(epochs=20, batch=2, rank=2, rate=1e30, warmup=0.0, clip=1e30)
    with pytest.raises(CheckFailedError, match="lower rate"):
        train(settings=wild)
    assert not (tmp_path / "simulator.json").exists()


@pytest.mark.parametrize("changes", [{"first_layer": 3}, {"depth": 4}, {"depth": 1}])
def test_layers_that_do_not_exist_are_refused(train: Train, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="layers"):
        train(settings=replace(SHORT, **changes))


def test_held_out_descriptions_are_understood(tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "head_dim": 16}
    base = Base(name="toy-base", folder=save_base(tmp_path / "base", seed=3, **sizes))
    names = pairs()
    settings = TrainingSettings(
        epochs=300, batch=10, rows=10, depth=2, rate=0.01, opposite_share=0.1, vague_share=0.1
    )
    lessons = lessons_of_pairs(names[:11])
    folder = train_simulator(base, lessons, settings, tmp_path / "simulator", name="toy")
    simulator = load_simulator(folder, base=base.folder)
    test = lessons_of_pairs(names[11:], seed=9)
    texts = [wordings[0] for wordings in test.descriptions]
    asked = {
        "true": texts,
        "opposite": [f"not {text}" for text in texts],
        "other": texts[2:] + texts[:2],
    }
    found = {
        kind: mean_r(test.activations, simulator.predict(text, test.ids))
        for kind, text in asked.items()
    }
    assert found["true"] > 0.6
    assert found["opposite"] < -0.4
    assert found["other"] < 0.2
    vague = simulator.silent(test.ids)
    assert np.abs(vague - 10 / 3).mean() < 1.0  # a pair of six letters
    assert not quantise(simulator.predict([""] * len(texts), test.ids)).any()
