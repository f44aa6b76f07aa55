"""Simulation of descriptions: rows of a run, windows and descriptions of others, quality."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import mannwhitneyu, pearsonr

from introspect_bench.benchmark.correlations import auroc, signed_r
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.tasks.feature_descriptions.simulate import (
    foreign_windows,
    judgements,
    quantise,
    read_predicted,
    shuffled,
    simulator_quality,
)
from introspect_bench.tasks.feature_descriptions.simulator_report import quality

WORDS = ("one", "two", "three", "four", "five")


class Knowing:
    """Predicts 8 at the tokens whose number the description names, 1 elsewhere."""

    name = "knowing"
    sha256 = "ab" * 32

    def predict(
        self, descriptions: Sequence[str], windows: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float32]:
        found = np.ones(windows.shape, dtype=np.float32)
        for row, text in enumerate(descriptions):
            for number, word in enumerate(WORDS):
                if word in text:
                    found[row][windows[row] == number] = 8
            if text.startswith("not"):
                found[row] = 10 - found[row]
        return found


def numbers(n: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    return rng.integers(5, size=(n, 8, 32)).astype(np.int32)


def measured(n: int = 40) -> dict[str, Any]:
    """Features that respond to one number each, with some noise."""
    rng = np.random.default_rng(0)
    windows = numbers(n, rng)
    names = [WORDS[place % 5] for place in range(n)]
    active = np.stack([own == place % 5 for place, own in enumerate(windows)])
    return {
        "descriptions": names,
        "opposites": [f"not {name}" for name in names],
        "names": names,
        "windows": windows,
        "activations": (active + rng.normal(0, 0.2, windows.shape)).astype(np.float32),
    }


def test_a_row_holds_what_was_predicted() -> None:
    windows = numbers(2, np.random.default_rng(0))
    rows = judgements(Knowing(), ["q1", "q2"], ["two", "x"], windows)
    assert [row["qid"] for row in rows] == ["q1", "q2"]
    assert set(rows[0]) == {"kind", "qid", "judge", "text", "predicted"}
    assert rows[0]["kind"] == "judgement"
    assert rows[0]["judge"] == "simulator/knowing@abababababab"
    assert rows[0]["text"] == "two"
    read = read_predicted(json.loads(json.dumps(rows[0]))["predicted"], (8, 32), "run:1")
    np.testing.assert_array_equal(read, np.where(windows[0] == 1, 204, 26))
    assert judgements(Knowing(), [], [], windows[:0]) == []


@pytest.mark.parametrize("text", ["?", "AAA", base64.b64encode(b"x" * 255).decode(), "é"])
def test_damaged_predictions_are_refused(text: str) -> None:
    with pytest.raises(IntegrityError, match=r"run\.jsonl:7"):
        read_predicted(text, (8, 32), "run.jsonl:7")


def test_quantised_activations_keep_their_ends() -> None:
    found = quantise(np.array([0, 10, 5, 0.01, 0.03], np.float32))
    assert found.tolist() == [0, 255, 128, 0, 1]
    for wrong in (-0.1, 10.1, np.nan):
        with pytest.raises(UsageError):
            quantise(np.array([wrong], np.float32))


def test_foreign_windows_are_no_ones_own() -> None:
    own = np.arange(80).reshape(10, 8) * 3 % 71
    found = foreign_windows(own, 5, np.random.default_rng(0))
    for mine, others in zip(own, found, strict=True):
        assert len(set(others)) == 5
        assert not set(others) & set(mine)
        assert set(others) <= set(own.ravel())
    with pytest.raises(UsageError, match="foreign"):
        foreign_windows(own[:1], 1, np.random.default_rng(0))


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


def test_correlations_are_signed_and_over_all_tokens() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(3, 4, 8))
    predicted = np.stack([truth[0], -truth[1], rng.normal(size=(4, 8))])
    r, _, _ = signed_r(truth, predicted)
    assert r[0] == pytest.approx(1)
    assert r[1] == pytest.approx(-1)
    assert r[2] == pytest.approx(pearsonr(truth[2].ravel(), predicted[2].ravel()).statistic)


def test_constants_have_no_correlation_even_with_rounding() -> None:
    truth = np.full((3, 256), 0.1)
    truth[0, :9] = 0.3
    predicted = np.full((3, 256), 0.7, dtype=np.float32)
    predicted[2, 0] = 0
    r, flat_prediction, flat_truth = signed_r(truth, predicted)
    assert r.tolist() == [0, 0, 0]
    assert flat_prediction.tolist() == [True, True, False]
    assert flat_truth.tolist() == [False, True, True]


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="finite"):
        signed_r(np.array([[0.0, np.nan]]), np.array([[0.0, 1.0]]))
    with pytest.raises(UsageError, match="against"):
        signed_r(np.zeros((2, 3)), np.zeros((2, 4)))


def test_auroc_is_that_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(0)
    a, b = np.round(rng.normal(0.5, 1, 50), 1), np.round(rng.normal(0, 1, 40), 1)
    assert auroc(a, b) == pytest.approx(mannwhitneyu(a, b).statistic / (50 * 40))
    assert auroc(np.zeros(3), np.zeros(4)) == 0.5
    with pytest.raises(UsageError):
        auroc(np.zeros(0), b)


def test_a_simulator_that_knows_meets_the_bars() -> None:
    found = simulator_quality(Knowing(), **measured(), rng=np.random.default_rng(0))
    assert found["simulator"] == {"name": "knowing", "sha256": "ab" * 32}
    assert found["features"] == 40
    assert found["r"]["true"]["mean"] > 0.85
    assert found["r"]["reversed"]["mean"] == pytest.approx(-found["r"]["true"]["mean"])
    assert found["r"]["empty"] == {
        "mean": 0.0,
        "median": 0.0,
        "interval": [0.0, 0.0],
        "constant": 40,
    }
    assert found["r"]["shuffled"]["mean"] < -0.1  # the numbers exclude each other
    assert found["auroc"]["value"] == 1
    low, high = found["gain"]["interval"]
    assert low < found["gain"]["value"] < high
    met = {name: bar["met"] for name, bar in found["bars"].items()}
    assert met == {"auroc": True, "gain": True, "shuffled": False}
    assert json.loads(json.dumps(found)) == found
    again = simulator_quality(Knowing(), **measured(), rng=np.random.default_rng(0))
    assert again == found


def test_features_that_never_vary_are_left_out_and_counted() -> None:
    parts = measured()
    parts["activations"][:3] = 0.25
    found = simulator_quality(Knowing(), **parts, rng=np.random.default_rng(0))
    assert (found["features"], found["truth_constant"]) == (37, 3)
    assert found["r"]["empty"]["constant"] == 37
    assert found["r"]["true"]["mean"] > 0.85


def test_reports_that_cannot_be_made_are_refused() -> None:
    parts = measured()
    with pytest.raises(UsageError, match="differ in number"):
        simulator_quality(Knowing(), **(parts | {"opposites": []}), rng=np.random.default_rng(0))
    truth = parts["activations"]
    with pytest.raises(UsageError, match="expected predictions"):
        quality(truth, {"true": truth}, rng=np.random.default_rng(0))
    same = dict.fromkeys(("true", "shuffled", "empty", "reversed"), truth[:1])
    with pytest.raises(UsageError, match="1 features"):
        quality(truth[:1], same, rng=np.random.default_rng(0))
