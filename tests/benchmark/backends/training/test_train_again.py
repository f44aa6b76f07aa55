"""`overwrite` trains anew where a training is; checkpoints that were spoilt are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_training import assert_same_weights, train

from introspect_bench.benchmark.backends.training import trainer as module
from introspect_bench.benchmark.backends.training.checkpoints import SEAL, STATE
from introspect_bench.benchmark.backends.training.train import WRITTEN, remove_training
from introspect_bench.benchmark.errors import UsageError

# peft 0.21 reads a property that transformers 5.23 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

FEW: dict[str, Any] = {"tasks": ["input-ablations"], "epochs": 1, "evaluations": 2}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("again")


def test_another_training_takes_the_place_of_one(suites: Path, base: Path, root: Path) -> None:
    out = train(base, suites, root / "out", **FEW)
    (out / "notes.txt").write_text("mine")
    before = (out / "training.json").read_bytes()
    with pytest.raises(UsageError, match="another settings"):
        train(base, suites, out, **FEW, seed=1)
    assert (out / "training.json").read_bytes() == before
    train(base, suites, out, **FEW, method="full", seed=1, overwrite=True)
    assert json.loads((out / "training.json").read_bytes())["settings"]["seed"] == 1
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "model.safetensors").is_file()
    assert not (out / "adapter_config.json").exists()
    steps = [json.loads(line)["step"] for line in (out / "training.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    with pytest.raises(UsageError, match="the base of the new training"):
        train(out, suites, out, **FEW, overwrite=True)
    assert (out / "model.safetensors").is_file()


def test_the_seal_of_the_training_before_leaves_first(tmp_path: Path) -> None:
    """Else a training killed before its own seal was told that its files are not its own."""
    for name in ("training.json", SEAL, "notes.txt"):
        (tmp_path / name).write_text("{}")
    remove_training(tmp_path, tmp_path / "base")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert WRITTEN[0] == SEAL


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", STATE])
def test_a_spoilt_checkpoint_is_none(
    suites: Path,
    base: Path,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    whole = root / "killed"
    if not whole.exists():  # killed before its end, once for all names

        def killed(*_: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(module.ExplainerTrainer, "_load_best_model", killed)
            with pytest.raises(KeyboardInterrupt):
                train(base, suites, whole, **FEW)
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    first, last = sorted((out / "checkpoints").glob("checkpoint-*"), key=lambda one: len(one.name))
    shutil.rmtree(last)  # at the end nothing is left to do
    assert (first / name).is_file()
    (first / name).write_bytes(b'{"global_step": "many"}')
    train(base, suites, out, **FEW)
    if not (root / "once").exists():
        train(base, suites, root / "once", **FEW)
    assert_same_weights(out, root / "once")
