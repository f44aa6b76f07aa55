"""The script that trains and measures a simulator: true activations, nothing done twice."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_feature_builds import order_in, run

from introspect_bench.benchmark.backends.target_model import load_target_model
from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.benchmark.suite import open_suite
from introspect_bench.tasks.order import Order

FOLDER = Path(__file__).parents[1] / "docs" / "studies"
SIZES = ("n_train=8", "pool=6", "others=3", "most=3", "depth=2", "first_layer=1", "rank=2")


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    order = order_in(tmp_path_factory.mktemp("features"))
    run(order)
    return order


@pytest.fixture(scope="module", name="study")
def of_study() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("simulator")


def words(order: Order, out: Path) -> list[str]:
    given = [word for size in SIZES for word in ("--set", size)]
    paths = ["--work", str(order.work), "-o", str(out), "--target", str(order.folder)]
    return [str(order.out.parents[1]), *paths, *given]


def test_it_is_trained_and_measured_once(
    study: ModuleType, order: Order, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study.main(words(order, tmp_path))
    first = capsys.readouterr().out
    found = json.loads(first)
    assert "test" not in found
    headline = found["validation"]["headline"]
    counted = {kind: one["features"] for kind, one in found["validation"].items()}
    assert headline["features"] == counted["bigram"] + counted["context-token"]
    assert headline["empty"] == {"auroc": 0.5, "r": 0.0}
    assert {"wording", "shuffled", "denied"} < headline.keys()
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(kept[tmp_path / "training.jsonl"].splitlines()) == 1
    study.main([*words(order, tmp_path), "--test"])
    again = json.loads(capsys.readouterr().out)
    assert again.pop("test").keys() == found["validation"].keys()
    assert again == found
    assert {path: path.read_bytes() for path in kept} == kept
    with pytest.raises(SystemExit):
        study.main([*words(order, tmp_path), "--set", "colours=5"])


def test_an_earlier_simulator_can_be_trained_further(
    study: ModuleType, order: Order, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study.main(words(order, tmp_path / "first"))
    start = tmp_path / "first" / "simulator"
    capsys.readouterr()
    study.main([*words(order, tmp_path / "second"), "--start", str(start)])
    found = json.loads(capsys.readouterr().out)
    assert found["base"].endswith("+trial")


def test_activations_on_other_windows_are_those_of_the_suite(
    study: ModuleType, order: Order, tmp_path: Path
) -> None:
    assert order.folder is not None
    target, suite = load_target_model(order.folder), open_suite(order.out)
    plan = study.Plan(n_train=8, pool=6, others=3)
    lessons = study.make_lessons(suite, order.work, target, plan)
    assert lessons.ids.shape == lessons.activations.shape == (8, 19, 32)
    assert lessons.opposites[0][0] != lessons.descriptions[0][0]
    other = tmp_path / "work"
    for path in order.work.glob("*/table.safetensors"):
        table = load_file(path)
        table["rows"] = table["rows"] + np.float32(1)
        (other / path.parent.name).mkdir(parents=True)
        save_file(table, other / path.parent.name / path.name)
    with pytest.raises(CheckFailedError, match="another build"):
        study.make_lessons(suite, other, target, plan)
