"""Explainers of another width than the target: trained with a projection, saved, loaded, run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_models import D_MODEL
from tiny_projections import TEXTS, save_model
from tiny_suites import D_TARGET

import introspect_bench as ib
from introspect_bench.benchmark.backends.explainer.load import load_local
from introspect_bench.benchmark.backends.injection.learned import random_projection
from introspect_bench.benchmark.backends.injection.spec import Injection, Maps
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError

FILE = "projection.safetensors"


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base wider than the toy target, and the toy target with its 12 layers."""
    root = tmp_path_factory.mktemp("bases")
    narrow = {"hidden_size": D_TARGET, "num_attention_heads": 1, "num_key_value_heads": 1}
    return save_model(root / "base"), save_model(root / "target", num_hidden_layers=12, **narrow)


def train(base: Path, suites: Path, out: Path, **more: Any) -> Path:
    options: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 4,
        "rank": 2,
        "learning_rate": 0.02,
        "precision": "float32",
    }
    return ib.train(str(base), out, suite=str(suites), **options | more)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_an_explainer_of_another_width_is_trained_from_aligned_maps_and_run(
    suites: Path, bases: tuple[Path, Path], tmp_path: Path, method: str
) -> None:
    base, target = bases
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    choices = {
        "projection": "aligned",
        "align": tmp_path / "texts.txt",
        "target": str(target),
        "method": method,
        "injection": Injection(mode="own-layers"),
    }
    folder = train(base, suites, tmp_path / "one", **choices)
    if method == "full":
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((base / name).read_bytes())
    record = json.loads((folder / "explainer.json").read_text())
    maps = record["injection"]["projection"]
    assert maps == {"d_target": 4, "n_layers": 12, "layers": [0, 6], "bias": False, "unit": False}
    assert record["training"]["about"]["projection"]["start"] == "aligned"
    trained = load_file(folder / FILE)
    assert {name: value.shape for name, value in trained.items()} == {
        "0.weight": (D_MODEL, D_TARGET),
        "6.weight": (D_MODEL, D_TARGET),
    }
    explainer, card = load_local(str(folder))
    assert FILE in card.weights_sha256
    assert explainer.injector.projection is not None
    runs = ib.run(str(folder), suite=str(suites), split="mini", output=tmp_path / "runs")
    assert [len(run.rows) for run in runs] == [4, 5]
    assert runs[0].header.explainer.settings["injection"] == record["injection"]


def test_maps_are_trained_and_other_starts_are_other_trainings(
    suites: Path, bases: tuple[Path, Path], tmp_path: Path
) -> None:
    base, _ = bases
    folder = train(base, suites, tmp_path / "one", projection="random", seed=5)
    maps = Maps(d_target=D_TARGET, n_layers=12, layers=(0, 6))
    start = random_projection(maps, D_MODEL, seed=5)
    for name, value in load_file(folder / FILE).items():
        moved = np.abs(value - start.tensors()[name].numpy()).max()
        assert 0 < moved < 0.5
    assert train(base, suites, folder, projection="random", seed=5) == folder
    with pytest.raises(UsageError, match="vectors have width 4 but base has width 16"):
        train(base, suites, tmp_path / "two")
    with pytest.raises(UsageError, match="choose from none, random, aligned"):
        train(base, suites, tmp_path / "two", projection="pca")
    with pytest.raises(UsageError, match="tasks with vectors"):
        train(base, suites, tmp_path / "two", projection="random", no_vector=True)
    with pytest.raises(UsageError, match="no text of target toy-target"):
        train(base, suites, tmp_path / "two", projection="aligned")
    with pytest.raises(MissingPartError, match="nowhere"):
        train(base, suites, tmp_path / "two", projection="aligned", align=tmp_path / "nowhere")
    assert train(base, suites, tmp_path / "three", no_vector=True, epochs=1).is_dir()
    broken = {name: value[:, :2] for name, value in load_file(folder / FILE).items()}
    save_file({name: value.copy() for name, value in broken.items()}, folder / FILE)
    with pytest.raises(IntegrityError, match=FILE):
        load_local(str(folder))
    with pytest.raises(UsageError, match="does not declare"):
        load_local(str(folder), injection=Injection())
    (folder / FILE).unlink()
    with pytest.raises(MissingPartError, match=FILE):
        load_local(str(folder))
