"""The judges of a suite, what they predict as it is stored, and descriptions dealt to others."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tiny_embedders import LetterEmbedder
from tiny_features import Counting, make_feature_suite
from tiny_predicates import windows_of
from tiny_simulators import lessons_of_pairs, pairs, save_base

from introspect_bench.benchmark.backends.simulator.examples import TrainingSettings
from introspect_bench.benchmark.backends.simulator.train import Base, train_simulator
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.scoring.judged import EXACT
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.tasks.feature_descriptions.judge import judges
from introspect_bench.tasks.feature_descriptions.judge.judges import (
    Exact,
    Simulating,
    judge_id,
    open_judges,
    open_simulator,
    quantise,
    shuffled,
)

WINDOWS = np.random.default_rng(0).integers(3, 9, size=(2, 16, 32)).astype(np.int32)


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
        judges={"simulator": judge, EXACT: Counting().id},
    )


def test_a_simulator_beside_the_suite_is_found_by_its_name(trained: tuple[Path, Path]) -> None:
    suite = suite_of(trained, "a", "simulator/toy-v1@0123456789ab")
    found = open_simulator(suite)
    judge = Simulating(found)
    named = {**suite.manifest["judges"], "simulator": judge.id}
    own = Suite(root=suite.root, manifest={**suite.manifest, "judges": named})
    (opened,) = open_judges(own, names=["simulator"])
    assert opened.id == judge.id
    rows = opened.find(["A", "B"], WINDOWS)
    bytes_of = [base64.b64decode(row["predicted"]) for row in rows]
    assert bytes_of == [row.tobytes() for row in quantise(found.predict(["A", "B"], WINDOWS))]


def test_another_simulator_than_the_suites_is_refused(trained: tuple[Path, Path]) -> None:
    suite = suite_of(trained, "b", "simulator/toy-v1@000000000000")
    with pytest.raises(IntegrityError, match=r"judged by simulator/toy-v1@000000000000, this is"):
        open_judges(suite, names=["simulator"])


def test_a_hub_simulator_is_loaded_by_its_id(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = suite_of(trained, "c", "simulator/toy-v1@000000000000")
    named = {**suite.manifest["judges"], "hub": "org/simulator@" + "a" * 40}
    asked: list[str] = []

    class Found:
        name, sha256 = "org/simulator", "ab" * 32

        def predict(self, texts: Sequence[str], windows: Any) -> npt.NDArray[np.float32]:
            return np.full((len(texts), *windows.shape[1:]), 2, dtype=np.float32)

    def load(_suite: Suite, name: str, _device: str, _told: Any) -> Found:
        asked.append(name)
        return Found()

    monkeypatch.setattr(judges, "_hub_simulator", load)
    found = open_simulator(Suite(root=suite.root, manifest={**suite.manifest, "judges": named}))
    assert asked == ["org/simulator@" + "a" * 40]
    rows = Simulating(found).find(["A", "B"], WINDOWS)
    assert set(base64.b64decode(rows[0]["predicted"])) == {51}


def test_ids_hold_kind_name_and_hash() -> None:
    assert judge_id(EXACT, "grammar-1", "ab" * 32) == "exact-predicates/grammar-1@abababababab"


def test_exact_predicates_say_how_they_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judges, "cache_dir", lambda: tmp_path)
    windows, tokenizer = windows_of(["how", " to", " dog", " to"])
    names = ["word:to", "word:dog", "previous-word:how", "all(word:to;previous-word:how)"]
    judge = Exact(names, LetterEmbedder(), tokenizer)
    texts = ["the word 'to' right after the word 'how'", "xxxx qqqq", "dogs to hows"]
    shown = np.stack([np.repeat(windows, 16, axis=0)] * len(texts))
    found = judge.find(texts, shown)
    assert found == judge.find(texts, shown)
    assert [row["mapped"] for row in found[:2]] == ["grammar", "none"]
    first = np.frombuffer(base64.b64decode(found[0]["predicted"]), np.uint8).reshape(16, 32)
    assert np.flatnonzero(first[3]).tolist() == [1]
    assert set(first[3]) == {0, 255}
    assert not any(base64.b64decode(found[1]["predicted"]))
    other = Exact(names[:3], LetterEmbedder(), tokenizer)
    assert other.id != judge.id
    assert judge.id.startswith("exact-predicates/grammar-1@")


def test_quantised_activations_keep_their_ends() -> None:
    found = quantise(np.array([0, 10, 5, 0.01, 0.03], np.float32))
    assert found.tolist() == [0, 255, 128, 0, 1]
    for wrong in (-0.1, 10.1, np.nan):
        with pytest.raises(UsageError):
            quantise(np.array([wrong], np.float32))


@pytest.mark.parametrize(
    "names", [list("aabbcc"), list("aaabbb"), [str(n) for n in range(9)], list("aaabcd")]
)
def test_a_shuffled_description_means_something_else(names: list[str]) -> None:
    ways: Counter[tuple[int, ...]] = Counter()
    for seed in range(30):
        places = shuffled(names, np.random.default_rng(seed)).tolist()
        assert sorted(places) == list(range(len(names)))
        assert all(names[place] != name for place, name in zip(places, names, strict=True))
        ways[tuple(places)] += 1
    assert len(ways) > 3


def test_too_many_of_one_meaning_cannot_be_shuffled() -> None:
    with pytest.raises(UsageError, match="3 of 5"):
        shuffled(list("aaabc"), np.random.default_rng(0))
