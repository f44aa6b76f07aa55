"""First tokens after many patches at once are those of one plain pass each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_targets import SAYS, Patch, make_target, slow_pass

from introspect_bench.benchmark.backends.interventions import screen as screening
from introspect_bench.benchmark.backends.interventions.screen import screen
from introspect_bench.benchmark.backends.interventions.trace import Branch, Stem
from introspect_bench.benchmark.backends.models.target_model import TargetModel, with_flat_head
from introspect_bench.benchmark.errors import UsageError

NAMES = ("llama", "qwen3", "gemma3", "gpt2", "opt")


@pytest.fixture(scope="module", params=NAMES)
def target(request: pytest.FixtureRequest) -> TargetModel:
    return make_target(request.param, seed=3, talkative=SAYS)


def stems(target: TargetModel) -> list[Stem]:
    """Three places of unlike lengths, each with two blocks of two vectors."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for text, position in (("The cat sat", 3), ("Oh", 1), ("Where do we go", 13)):
        ids = tuple(target.encode(text))
        branches = tuple(
            Branch(
                ids=ids[position:],
                layers=layers,
                vector=3 * torch.randn(target.d_model, generator=generator),
            )
            for layers in ((0, 0), (1, target.n_layers - 1), (0, 1), (2, 2))
            for _ in range(2)
        )
        found.append(Stem(ids=ids[:position], branches=branches))
    return found


def test_tokens_are_those_of_plain_hooks(target: TargetModel) -> None:
    changed = 0
    for stem, found in zip(stems(target), screen(target, stems(target)), strict=True):
        ids = [*stem.ids, *stem.branches[0].ids]
        clean = slow_pass(target, ids)[0][-1].topk(2)
        assert found.clean == tuple(clean.indices.tolist())
        for branch, token, gap in zip(stem.branches, found.tokens, found.gaps, strict=True):
            assert branch.layers is not None
            assert branch.vector is not None
            patch = Patch(position=len(stem.ids), layers=branch.layers, vector=branch.vector)
            slow = slow_pass(target, ids, patch)[0][-1].topk(2)
            assert token == int(slow.indices[0])
            assert gap == pytest.approx(float(slow.values[0] - slow.values[1]), abs=2e-3)
            changed += token != found.clean[0]
    assert changed > 3  # patches matter: else this would test nothing


def test_nothing_of_a_screening_stays(target: TargetModel) -> None:
    ids = target.encode("The cat sat")
    before = slow_pass(target, ids)[0]
    first = screen(target, stems(target))
    assert torch.equal(slow_pass(target, ids)[0], before)
    assert screen(target, stems(target)) == first


def test_layers_below_a_block_run_once_a_stem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else screening would be no cheaper than measuring."""
    target = make_target("llama", seed=3, talkative=SAYS)
    rows: list[int] = []
    first: Any = target.modules[0]
    first.mlp.register_forward_hook(lambda _m, inputs, _o: rows.append(len(inputs[0])))
    few = [replace(s, branches=s.branches[2:4]) for s in stems(target)]  # from layer 1 on
    screen(target, few)
    assert rows == [3, 3]  # tokens before the patch, tokens from it on; no branch
    monkeypatch.setattr(screening, "slides", lambda _: True)
    screen(target, few)
    assert max(rows) == 6


def test_what_cannot_be_screened_is_refused(target: TargetModel) -> None:
    stem = stems(target)[0]
    bare = replace(stem, branches=(*stem.branches, Branch(ids=stem.branches[0].ids)))
    with pytest.raises(UsageError, match="branches with a patch"):
        screen(target, [bare])
    longer = replace(stem.branches[0], ids=(*stem.branches[0].ids, 5))
    with pytest.raises(UsageError, match="with the same tokens"):
        screen(target, [replace(stem, branches=(*stem.branches, longer))])


def test_a_flat_head_reads_all_rows_as_one_matrix_and_finds_the_same() -> None:
    target = make_target(seed=3, talkative=SAYS)
    rows: list[bool] = []
    plain = target.model.lm_head.forward

    def seen(hidden: torch.Tensor) -> Any:
        rows.append(hidden.is_contiguous())
        return plain(hidden)

    target.model.lm_head.forward = seen
    before = screen(target, stems(target))
    assert not all(rows)
    rows.clear()
    with_flat_head(target)
    for one, other in zip(screen(target, stems(target)), before, strict=True):
        assert (one.clean, one.tokens) == (other.clean, other.tokens)
        assert one.gaps == pytest.approx(other.gaps, abs=1e-4)
    assert all(rows)
