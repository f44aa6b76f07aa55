"""The script that trains and measures a simulator: true activations, nothing done twice."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tiny_features
import torch
from safetensors.numpy import load_file, save_file
from tiny_feature_builds import save_target
from tiny_features import NAME, feature, make_feature_suite

from introspect_bench.benchmark.backends.interventions.trace import residual_arrays
from introspect_bench.benchmark.backends.models.target_model import load_target_model
from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.benchmark.suite.features import arrays
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.tasks.feature_descriptions.build.draft import (
    ContextFeature,
    Definition,
    derive,
)
from introspect_bench.tasks.feature_descriptions.build.stages import folder_of
from introspect_bench.tasks.feature_descriptions.judge.quality import read_split
from introspect_bench.tasks.feature_descriptions.windows import bos_id

FOLDER = Path(__file__).parents[3] / "docs" / "studies"
SIZES = ("n_train=8", "pool=6", "others=3", "most=3", "depth=2", "first_layer=1", "rank=2")
WIDTH = 32


@dataclass(frozen=True, slots=True)
class Made:
    """A suite whose training features are those of a target."""

    suite: Suite
    work: Path
    target: Any
    folder: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("simulators")
    target = load_target_model(save_target(root / "target"))
    rng, tables = np.random.default_rng(0), {}
    for name in ("layers.0", "layers.1", "plain.0", "plain.1"):
        tables[name] = rng.normal(size=(tiny_features.N_TOKENS, WIDTH)).astype(np.float32)
        (root / "work" / name).mkdir(parents=True)
        save_file({"rows": tables[name]}, root / "work" / name / "table.safetensors")

    def true(split: str, number: int) -> ContextFeature:
        one = feature(split, number)
        if split != "train":
            return one
        encoder = rng.normal(size=WIDTH).astype(np.float32)
        rows = tables[folder_of(one.layer, plain=one.kind == "token")]
        definition = replace(
            one.definition,
            mean=np.ones(WIDTH, dtype=np.float32),
            cap=30.0,
            encoder=encoder,
            token=rows[one.ids] @ encoder,
        )
        read = residual_arrays(target, one.ids, bos=bos_id(target.tokenizer), layers=[one.layer])
        flat = read[one.layer].reshape(-1, WIDTH)
        found = derive(flat, definition, definition.token.ravel()).reshape(one.ids.shape)
        strong = (one.marks >= 0) & (found[np.arange(16), one.marks] > 0)
        values = found.astype(np.float16)
        return replace(one, definition=definition, activations=values, strong=strong)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_features, "D_TARGET", WIDTH)
        patch.setattr(tiny_features, "feature", true)
        suite = make_feature_suite(root / NAME / "v2")
    return Made(suite, root / "work", target, root / "target")


@pytest.fixture(scope="module", name="study")
def of_study() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("simulator")


def words(made: Made, out: Path) -> list[str]:
    given = [word for size in SIZES for word in ("--set", size)]
    paths = ["--work", str(made.work), "-o", str(out), "--target", str(made.folder)]
    return [str(made.suite.root.parents[1]), *paths, *given]


def test_it_is_trained_and_measured_once(
    study: ModuleType, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study.main(words(made, tmp_path))
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
    study.main([*words(made, tmp_path), "--test"])
    again = json.loads(capsys.readouterr().out)
    assert again.pop("test").keys() == found["validation"].keys()
    assert again == found
    assert {path: path.read_bytes() for path in kept} == kept
    study.main([*words(made, tmp_path), "--set", "most=1"])  # other features, nothing kept of them
    fewer = json.loads(capsys.readouterr().out)["validation"]
    assert {fewer[kind]["features"] for kind in counted} == {1, 2}
    with pytest.raises(SystemExit):
        study.main([*words(made, tmp_path), "--set", "colours=5"])


def test_an_earlier_simulator_can_be_trained_further(
    study: ModuleType, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study.main(words(made, tmp_path / "first"))
    start = tmp_path / "first" / "simulator"
    capsys.readouterr()
    study.main([*words(made, tmp_path / "second"), "--start", str(start)])
    found = json.loads(capsys.readouterr().out)
    assert found["base"].endswith("+trial")


def test_activations_on_other_windows_are_those_of_the_suite(
    study: ModuleType, made: Made, tmp_path: Path
) -> None:
    plan = study.Plan(n_train=8, pool=6, others=3)
    lessons = study.make_lessons(made.suite, made.work, made.target, plan)
    assert lessons.ids.shape == lessons.activations.shape == (8, 19, 32)
    train, shipped = read_split(made.suite, "train"), arrays(made.suite, "train", "definitions")
    ids = train.own["ids"][3]
    found = study.pool_activations(made.suite, train, made.work, made.target, ids)
    for row, query in enumerate(train.queries):
        layer = query.fields["layer"]
        folder = made.work / folder_of(layer, plain=query.kind == "token")
        rows = load_file(folder / "table.safetensors")["rows"]
        encoder = shipped["encoder"][row]
        token = rows[ids] @ encoder
        definition = Definition(
            mean=np.ones(WIDTH, dtype=np.float32),
            cap=30.0,
            encoder=encoder,
            bias=0.0,
            threshold=0.5,
            token=token,
        )
        bos = bos_id(made.target.tokenizer)
        read = residual_arrays(made.target, ids, bos=bos, layers=[layer])[layer]
        expected = derive(read.reshape(-1, WIDTH), definition, token.ravel())
        np.testing.assert_allclose(found[row].ravel(), expected, rtol=1e-3, atol=1e-3)
    for path in made.work.glob("*/table.safetensors"):
        table = load_file(path)
        (tmp_path / path.parent.name).mkdir(parents=True)
        save_file({"rows": table["rows"] + np.float32(1)}, tmp_path / path.parent.name / path.name)
    with pytest.raises(CheckFailedError, match="another build"):
        study.make_lessons(made.suite, tmp_path, made.target, plan)


def test_parts_are_looked_for_where_their_relation_says(study: ModuleType) -> None:
    assert study.__file__ is not None
    parts = importlib.import_module("simulator_parts")
    rng = np.random.default_rng(0)
    match = torch.from_numpy(rng.normal(size=(2, 6)).astype(np.float32))
    behind = {"thing": (0, 0), "previous": (1, 1), "second-previous": (2, 2), "lately": (1, 3)}
    behind |= {"sentence": (1, 6), "earlier": (1, 6), "topic": (1, 6), "place": (1, 1)}
    assert behind.keys() == set(parts.SLOTS)
    for slot, (near, far) in behind.items():
        found = parts._looked(slot, match).numpy()
        for row in range(2):
            for place in range(6):
                seen = match[row, max(0, place - far) : max(0, place - near + 1)].numpy()
                assert found[row, place] == (seen.max() if seen.size else np.float32(-20))


def test_a_denied_context_is_the_thing_elsewhere(study: ModuleType) -> None:
    assert study.__file__ is not None
    parts = importlib.import_module("simulator_parts")

    class Embedder:
        def embed(self, texts: Sequence[str]) -> Any:
            rng = np.random.default_rng(0)
            return rng.normal(size=(len(texts), parts.VECTOR)).astype(np.float32)

    looks = torch.from_numpy(np.random.default_rng(1).normal(size=(8, 5)).astype(np.float32))
    model = parts.Parts(looks, Embedder(), parts.Settings(components=5), 0)
    texts = ["a comma", "a comma right after a noun", "a comma, but not right after a noun", ""]
    ids = np.random.default_rng(2).integers(8, size=(1, 3, 32)).astype(np.int32)
    thing, both, denied, nothing = model.predict(texts, np.repeat(ids, 4, axis=0)) / 10
    assert 0 < both.max() < thing.max()
    np.testing.assert_allclose(denied, thing - both, atol=1e-6)
    assert not nothing.any()
