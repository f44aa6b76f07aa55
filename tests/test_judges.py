"""The judges of a suite: found in the package or beside the suite, and the ones it names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tiny_features import WORDS, Letters, make_feature_suite
from tiny_simulators import lessons_of_pairs, pairs, save_base

from introspect_bench.benchmark.backends.simulator_lessons import TrainingSettings
from introspect_bench.benchmark.backends.simulator_training import Base, train_simulator
from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.suite import Suite
from introspect_bench.tasks.feature_descriptions import judges
from introspect_bench.tasks.feature_descriptions.judges import (
    Embedding,
    Shown,
    Simulating,
    judge_id,
    open_judges,
    open_simulator,
    quantise_embedding,
)
from introspect_bench.tasks.feature_descriptions.simulate import quantise

WINDOWS = np.random.default_rng(0).integers(3, 9, size=(2, 8, 32)).astype(np.int32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base and a suite's folder with a simulator beside it."""
    root = tmp_path_factory.mktemp("judges")
    base = save_base(root / "base")
    train_simulator(
        Base(name="toy-base", folder=base),
        lessons_of_pairs(pairs()[:12]),
        TrainingSettings(batch=4, rank=2, depth=2, rate=0.05),
        root / "feature-descriptions" / "simulators" / "toy-v1",
        name="toy-v1",
    )
    return base, root


def suite_of(trained: tuple[Path, Path], version: str, judge: str) -> Suite:
    base, root = trained
    target = {"name": "base", "source": "local", "location": str(base), "weights_sha256": {}}
    return make_feature_suite(
        root / "feature-descriptions" / version,
        target=target,
        judges={"simulator": judge, "embedding": Embedding(Letters(), name="letters").id},
    )


def test_a_simulator_beside_the_suite_is_found_by_its_name(trained: tuple[Path, Path]) -> None:
    suite = suite_of(trained, "v1", "simulator/toy-v1@0123456789ab")
    found = open_simulator(suite)
    judge = Simulating(found)
    named = {"simulator": judge.id, "embedding": "embedding/x@" + "0" * 12}
    own = Suite(root=suite.root, manifest={**suite.manifest, "judges": named})
    (opened,) = open_judges(own, names=["simulator"])
    assert opened.id == judge.id
    rows = opened.find(["A", "B"], Shown(windows=WINDOWS))
    assert [np.frombuffer(row, dtype=np.uint8).size for row in rows] == [256, 256]
    assert rows == [row.tobytes() for row in quantise(found.predict(["A", "B"], WINDOWS))]


def test_another_simulator_than_the_suites_is_refused(trained: tuple[Path, Path]) -> None:
    suite = suite_of(trained, "v2", "simulator/toy-v1@000000000000")
    with pytest.raises(IntegrityError, match=r"judged by simulator/toy-v1@000000000000, this is"):
        open_judges(suite, names=["simulator"])


def test_a_hub_simulator_is_loaded_by_its_id(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = suite_of(trained, "v3", "simulator/toy-v1@000000000000")
    named = {**suite.manifest["judges"], "hub": "org/simulator@" + "a" * 40}
    asked: list[str] = []

    class Found:
        name, sha256 = "org/simulator", "ab" * 32

        def predict(self, texts: Sequence[str], windows: Any) -> npt.NDArray[np.float32]:
            return np.full((len(texts), *windows.shape[1:]), 2, dtype=np.float32)

    def load(name: str, _device: str, _told: Any) -> Found:
        asked.append(name)
        return Found()

    monkeypatch.setattr(judges, "_hub_simulator", load)
    found = open_simulator(Suite(root=suite.root, manifest={**suite.manifest, "judges": named}))
    assert asked == ["org/simulator@" + "a" * 40]
    # no contrast: it is not asked what it predicts without a description
    rows = Simulating(found).find(["A", "B"], Shown(windows=WINDOWS))
    assert set(rows[0]) == {51}


def test_ids_hold_kind_name_and_hash() -> None:
    assert judge_id("embedding", "minilm", "ab" * 32) == "embedding/minilm@abababababab"


def test_embeddings_are_kept_in_one_byte_a_number() -> None:
    letters = Letters()
    rows = Embedding(letters).find(list(WORDS[:2]), Shown(windows=WINDOWS))
    unit = letters.embed(list(WORDS[:2]))
    for row, vector in zip(rows, unit, strict=True):
        kept = np.frombuffer(row, dtype=np.int8).astype(np.float64)
        assert kept @ vector / np.linalg.norm(kept) > 0.999
    assert quantise_embedding(np.array([[1.0, -1.0, 0.0]], dtype=np.float32)).tolist() == [
        [127, -127, 0]
    ]
