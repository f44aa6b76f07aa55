"""The self-tests pass on sound interventions, and the right one fails on each broken kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from program import started
from tiny_models import ARCHITECTURES
from tiny_targets import SAYS, make_target

from introspect_bench.benchmark.backends.injection.hooks import hooked, rewriting
from introspect_bench.benchmark.backends.interventions import trace as interventions
from introspect_bench.benchmark.backends.interventions.selftests import check_model
from introspect_bench.benchmark.backends.interventions.trace import Branch
from introspect_bench.benchmark.backends.models.batch import cache_of
from introspect_bench.benchmark.backends.models.target_model import TargetModel
from introspect_bench.cli import run_command_line

NAMES = (
    "identity-patch",
    "random-patch",
    "batched-equals-unbatched",
    "left-pad-equals-right-pad",
    "nnsight-equals-hook",
    "block-equals-hooks",
    "position-meant",
    "stem-equals-whole",
    "greedy-equals-recompute",
)
Forward = Callable[..., tuple[torch.Tensor, object]]
SOUND: Forward = interventions.patched_forward


Patches = tuple[list[Branch], list[int]]


def spoilt(change: Callable[[list[Branch], list[int], int, int], Patches]) -> Forward:
    """A patched pass whose branches and columns `change` spoils, given width and last layer."""

    def forward(
        target: TargetModel, inputs: dict[str, Any], branches: list[Branch], columns: list[int]
    ) -> Any:
        width, end = inputs["input_ids"].shape[1], target.n_layers - 1
        return SOUND(target, inputs, *change(branches, columns, width, end))

    return forward


def bare(branches: Sequence[Branch]) -> list[Branch]:
    return [Branch(ids=b.ids) for b in branches]


def moved(branches: list[Branch], block: Callable[[int, int], tuple[int, int]]) -> list[Branch]:
    """Patches in other layers."""
    return [b if b.layers is None else replace(b, layers=block(*b.layers)) for b in branches]


@spoilt
def silent(branches: list[Branch], columns: list[int], _width: int, _end: int) -> Patches:
    """No patch is written."""
    return bare(branches), columns


@spoilt
def one_off(branches: list[Branch], columns: list[int], width: int, _end: int) -> Patches:
    """Written one column too late; too early where there is none later."""
    return branches, [c + 1 if c + 1 < width else c - 1 for c in columns]


@spoilt
def first_row_only(branches: list[Branch], columns: list[int], _width: int, _end: int) -> Patches:
    """What `output[0]` does where a layer gives a tensor and not a tuple (nnsight issue 502)."""
    return [branches[0], *bare(branches[1:])], columns


@spoilt
def one_layer_late(branches: list[Branch], columns: list[int], _width: int, end: int) -> Patches:
    """Written after the next layer, where there is one."""
    return moved(branches, lambda first, last: (first + 1, min(last + 1, end))), columns


@spoilt
def first_layer_only(branches: list[Branch], columns: list[int], _width: int, _end: int) -> Patches:
    """Written in the first layer of a block and in no other."""
    return moved(branches, lambda first, _: (first, first)), columns


def everywhere(
    target: TargetModel, inputs: dict[str, Any], branches: Sequence[Branch], columns: Sequence[int]
) -> Any:
    """Written at every position."""
    del columns

    def write(index: int, hidden: Any) -> Any:
        hidden = hidden.clone()
        for row, branch in enumerate(branches):
            if branch.layers is not None and branch.layers[0] <= index <= branch.layers[1]:
                hidden[row] = branch.vector
        return hidden

    layers = [(layer, rewriting(partial(write, i))) for i, layer in enumerate(target.modules)]
    with hooked(layers), torch.inference_mode():
        output = target.model(**inputs)
    return output.logits, cache_of(output)


def positionless(target: TargetModel, inputs: dict[str, Any], *rest: Any) -> Any:
    """Positions count padding too."""
    inputs = {name: value for name, value in inputs.items() if name != "position_ids"}
    return SOUND(target, inputs, *rest)


def failed(target: TargetModel) -> set[str]:
    return {check.name for check in check_model(target) if not check.passed}


@pytest.mark.parametrize("name", [*ARCHITECTURES, "opt"])
def test_all_pass_on_every_architecture(name: str) -> None:
    checks = check_model(make_target(name))
    assert [check.name for check in checks] == list(NAMES)
    assert {c.name: c.detail for c in checks if not c.passed} == {}


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3", "gemma3"])
@pytest.mark.parametrize(
    ("broken", "seen_by"),
    [
        (silent, {"random-patch", "nnsight-equals-hook", "position-meant"}),
        (one_off, {"identity-patch", "nnsight-equals-hook", "position-meant"}),
        (first_row_only, {"random-patch", "batched-equals-unbatched", "position-meant"}),
        (everywhere, {"identity-patch", "nnsight-equals-hook", "position-meant"}),
        (one_layer_late, {"random-patch", "nnsight-equals-hook", "position-meant"}),
    ],
)
def test_a_broken_patch_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, broken: Forward, seen_by: set[str]
) -> None:
    target = make_target(name)
    monkeypatch.setattr(interventions, "patched_forward", broken)
    assert failed(target) >= seen_by


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3", "gemma3", "opt"])
def test_a_block_of_which_only_the_first_layer_is_written_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    target = make_target(name)
    monkeypatch.setattr(interventions, "patched_forward", first_layer_only)
    assert failed(target) == {"block-equals-hooks"}


def flipped(flow: interventions.Flow) -> interventions.Flow:
    """The least likely token is the most likely one."""
    return replace(flow, logits=-flow.logits)


def one_late(flow: interventions.Flow) -> interventions.Flow:
    """A row gets what its neighbour should."""
    return replace(flow, logits=flow.logits.roll(1, 0))


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3", "gemma3", "opt"])
@pytest.mark.parametrize("broken", [flipped, one_late])
def test_a_cached_step_that_gives_something_else_is_seen(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    broken: Callable[[interventions.Flow], interventions.Flow],
) -> None:
    target, sound = make_target(name), interventions.step
    monkeypatch.setattr(interventions, "step", lambda *given: broken(sound(*given)))
    assert failed(target) == {"greedy-equals-recompute"}


def test_a_step_that_keeps_the_rows_that_ended_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def keeps(target: TargetModel, flow: Any, tokens: torch.Tensor, keep: torch.Tensor) -> Any:
        return sound(target, flow, tokens, torch.arange(len(keep)))

    target, sound = make_target(), interventions.step
    monkeypatch.setattr(interventions, "step", keeps)
    assert failed(target) == {"greedy-equals-recompute"}


def test_positions_that_count_padding_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """On learned positions; rotary ones see only distances, which padding on one side keeps."""
    target = make_target("gpt2")
    monkeypatch.setattr(interventions, "patched_forward", positionless)
    assert failed(target) >= {"batched-equals-unbatched", "left-pad-equals-right-pad"}


def test_a_stem_that_is_forgotten_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(target: TargetModel, stems: Sequence[interventions.Stem]) -> Any:
        return START(target, [interventions.Stem(ids=(), branches=s.branches) for s in stems])

    START = interventions.start  # noqa: N806
    monkeypatch.setattr(interventions, "start", forgetful)
    assert failed(make_target()) == {"stem-equals-whole", "greedy-equals-recompute"}


def test_one_pad_side_that_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding that may be looked at."""

    def bare(
        target: TargetModel, inputs: dict[str, Any], *rest: Any
    ) -> tuple[torch.Tensor, object]:
        seen = torch.ones_like(inputs["attention_mask"])
        return SOUND(target, inputs | {"attention_mask": seen}, *rest)

    monkeypatch.setattr(interventions, "patched_forward", bare)
    assert failed(make_target()) >= {"batched-equals-unbatched", "left-pad-equals-right-pad"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny"
    target = make_target(talkative=SAYS)
    target.model.save_pretrained(folder)
    target.tokenizer.save_pretrained(folder)
    return folder


def test_the_program_tests_a_folder(saved: Path) -> None:
    done = started("doctor", "--target", str(saved))
    assert done.returncode == 0, done.stderr
    assert [name for name in NAMES if name not in done.stdout] == []
    assert done.stdout.count("pass") == len(NAMES)


def test_the_program_fails_if_one_check_does(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["doctor", "--target", str(saved)]) == 0
    monkeypatch.setattr(interventions, "patched_forward", silent)
    capsys.readouterr()
    assert run_command_line(["doctor", "--target", str(saved)]) == 1
    shown = capsys.readouterr()
    assert "nnsight-equals-hook" in shown.err
    assert "FAIL" in shown.out
