"""Which labels may be frozen: the rule on outputs made by hand, and resuming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import D_MODEL
from tiny_targets import SAYS, make_letter_tokenizer, make_target

from introspect_bench.benchmark.backends.interventions import stability
from introspect_bench.benchmark.backends.interventions.outputs import (
    Output,
    Probe,
    confirm,
    greedy,
)
from introspect_bench.benchmark.backends.interventions.stability import (
    CONFIGURATIONS,
    judge,
    measure_again,
)
from introspect_bench.benchmark.backends.interventions.trace import Branch, Stem
from introspect_bench.benchmark.backends.models.target_model import TargetModel
from introspect_bench.benchmark.cache import Journal
from introspect_bench.benchmark.errors import CheckFailedError


def out(text: str, margin: float) -> Output:
    return Output(text=text, ids=(5,), margin=margin)


def probes_for(outputs: Sequence[Output]) -> list[Probe]:
    return [Probe(ids=(2, 3), branch=Branch(ids=(2, 3)), output=output) for output in outputs]


def again(outputs: Sequence[Output], **changes: Sequence[Output]) -> dict[str, Sequence[Output]]:
    names = {name.replace("-", "_"): name for name in CONFIGURATIONS}
    return dict.fromkeys(CONFIGURATIONS, outputs) | {names[k]: v for k, v in changes.items()}


def test_what_nothing_changes_is_stable() -> None:
    outputs = [out("Rome", 0.001), out("Oslo", 3.0)]
    verdict = judge(probes_for(outputs), again(outputs))
    assert verdict.stable == (True, True)
    assert verdict.flip_rate == dict.fromkeys(CONFIGURATIONS, 0.0)
    assert verdict.report()["n_dropped"] == 0


@pytest.mark.parametrize(
    "configuration", ["fp32_batch_1", "fp32_batch_32_left", "fp32_batch_32_right"]
)
def test_a_float32_flip_is_never_stable(configuration: str) -> None:
    """However large the margin."""
    outputs = [out("Rome", 50.0), out("Oslo", 50.0)]
    flipped = [out("Paris", 50.0), out("Oslo", 50.0)]
    verdict = judge(probes_for(outputs), again(outputs, **{configuration: flipped}))
    assert verdict.stable == (False, True)
    assert verdict.flip_rate[configuration.replace("_", "-")] == 0.5
    assert verdict.report()["share_dropped"] == 0.5


def test_a_rounded_flip_needs_a_margin_above_the_noise() -> None:
    outputs = [out("a", 5.0), out("b", 5.0), out("c", 0.4), out("d", 0.6)]
    # where texts agree the margin moved by 0.5, in both directions: that is the noise
    rounded = [out("a", 5.5), out("b", 4.5), out("x", 9.0), out("y", 9.0)]
    verdict = judge(probes_for(outputs), again(outputs, bf16_weights=rounded))
    assert verdict.noise_logits == pytest.approx(0.5)
    assert verdict.stable == (True, True, False, True)
    assert verdict.report() == {
        "flip_rate": {**dict.fromkeys(CONFIGURATIONS, 0.0), "bf16-weights": 0.5},
        "noise_logits": pytest.approx(0.5),
        "n_tested": 4,
        "n_dropped": 1,
        "share_dropped": 0.25,
    }


def test_the_noise_is_the_99th_percentile() -> None:
    outputs = [out("a", 10.0)] * 101
    rounded = [out("a", 10.0 + i / 100) for i in range(101)]
    verdict = judge(probes_for(outputs), again(outputs, bf16_weights=rounded))
    assert verdict.noise_logits == pytest.approx(0.99)


def test_without_agreement_there_is_no_measure_of_noise() -> None:
    outputs, rounded = [out("a", 99.0)], [out("b", 99.0)]
    verdict = judge(probes_for(outputs), again(outputs, bf16_weights=rounded))
    assert verdict.stable == (False,)
    assert verdict.report()["noise_logits"] is None


def test_nothing_to_test() -> None:
    with pytest.raises(CheckFailedError, match="no label could be tested"):
        judge([], again([]))


@pytest.fixture(scope="module")
def target() -> TargetModel:
    return make_target(seed=3, talkative=SAYS, tokenizer=make_letter_tokenizer())


@pytest.fixture(scope="module")
def probes(target: TargetModel) -> list[Probe]:
    rows = [tuple(target.encode(f"Item {n * n} costs")) for n in range(40)]
    stems = [Stem(ids=(), branches=(Branch(ids=ids),)) for ids in rows]
    return [
        Probe(ids=ids, branch=Branch(ids=ids), output=output)
        for ids, output in zip(rows, greedy(target, stems), strict=True)
    ]


class Watched:
    """`confirm`, counting what it is asked and failing at one call."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.sizes: list[int] = []
        self.sides: set[str] = set()
        self.fails_at = fails_at

    def __call__(
        self, target: TargetModel, probes: Sequence[Probe], **options: Any
    ) -> list[Output]:
        if len(self.sizes) == self.fails_at:
            raise KeyboardInterrupt
        self.sizes.append(len(probes))
        self.sides.add(options["side"])
        return confirm(target, probes, **options)


@pytest.mark.parametrize(
    ("configuration", "sizes", "sides"),
    [
        ("fp32-batch-1", [1] * 40, {"left"}),
        ("fp32-batch-32-left", [32, 8], {"left"}),
        ("fp32-batch-32-right", [32, 8], {"right"}),
        ("bf16-weights", [32, 8], {"left"}),
    ],
)
def test_each_configuration_is_what_its_name_says(
    target: TargetModel,
    probes: list[Probe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    configuration: str,
    sizes: list[int],
    sides: set[str],
) -> None:
    watched = Watched()
    monkeypatch.setattr(stability, "confirm", watched)
    found = measure_again(target, probes, configuration, Journal(tmp_path / "j"))
    assert (watched.sizes, watched.sides) == (sizes, sides)
    assert [(o.text, o.ids) for o in found] == [(p.output.text, p.output.ids) for p in probes]


def test_finished_batches_are_not_measured_again(
    target: TargetModel, probes: list[Probe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "fp32-batch-32-right"
    whole = measure_again(target, probes, name, Journal(tmp_path / "other"))
    monkeypatch.setattr(stability, "confirm", Watched(fails_at=1))
    with pytest.raises(KeyboardInterrupt):
        measure_again(target, probes, name, Journal(tmp_path / "j"))
    watched = Watched()
    monkeypatch.setattr(stability, "confirm", watched)
    reported: list[int] = []
    resumed = measure_again(target, probes, name, Journal(tmp_path / "j"), on_batch=reported.append)
    assert resumed == whole
    assert watched.sizes == [8]
    assert reported == [32, 8]
    # all there: the model is not needed
    monkeypatch.setattr(stability, "confirm", Watched(fails_at=0))
    assert measure_again(target, probes, name, Journal(tmp_path / "j")) == whole
    # nor is one configuration taken for another, or a changed label for the old one
    monkeypatch.setattr(stability, "confirm", Watched(fails_at=0))
    with pytest.raises(KeyboardInterrupt):
        measure_again(target, probes, "bf16-weights", Journal(tmp_path / "j"))


VECTOR = torch.ones(D_MODEL)
PATCHED = Branch(ids=(2, 3), layers=(0, 1), vector=VECTOR)


@pytest.mark.parametrize(
    "changes",
    [
        {"ids": (2, 4)},
        {"position": 1},
        {"branch": Branch(ids=(2, 3), layers=(0, 2), vector=VECTOR)},
        {"branch": Branch(ids=(2, 3), layers=(0, 1), vector=VECTOR * 2)},
        {"branch": Branch(ids=(2, 3))},
        {"output": Output(text="x", ids=(6,), margin=1.0)},
    ],
)
def test_a_changed_probe_is_measured_again(
    target: TargetModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    probe = Probe(ids=(2, 3), branch=PATCHED, output=out("x", 1.0))
    journal = Journal(tmp_path / "j")
    measure_again(target, [probe], "fp32-batch-1", journal)
    monkeypatch.setattr(stability, "confirm", Watched(fails_at=0))
    measure_again(target, [probe], "fp32-batch-1", journal)
    with pytest.raises(KeyboardInterrupt):
        measure_again(target, [replace(probe, **changes)], "fp32-batch-1", journal)
