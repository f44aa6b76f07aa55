"""Interventions against plain hooks on one prompt at a time, on five architectures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES, D_MODEL, N_LAYERS
from tiny_targets import (
    SAYS,
    Patch,
    decoder_layers,
    make_target,
    slow_answer,
    slow_pass,
)

from introspect_bench.benchmark.backends.interventions.outputs import greedy
from introspect_bench.benchmark.backends.interventions.trace import (
    Branch,
    Stem,
    residuals,
    start,
)
from introspect_bench.benchmark.backends.models.batch import pad, position_ids
from introspect_bench.benchmark.backends.models.target_model import TargetModel

TEXTS = ("The capital of Kenya is", "Москва", "She opened the door, and then she said", "x y")
SEEDS = {"llama": 1, "gpt2": 3, "qwen3": 2, "gemma2": 5, "gemma3": 5}
"""Random targets whose answers differ in length and whose patches matter."""
TOLERANCE: Any = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def target(request: pytest.FixtureRequest) -> TargetModel:
    return make_target(request.param, seed=SEEDS[request.param], talkative=SAYS)


def rows_of(target: TargetModel) -> list[tuple[int, ...]]:
    return [tuple(target.encode(text)) for text in TEXTS]


def vector(seed: int) -> torch.Tensor:
    return torch.randn(D_MODEL, generator=torch.Generator().manual_seed(seed)) * 3


def branch(ids: tuple[int, ...], patch: Patch | None) -> Branch:
    if patch is None:
        return Branch(ids=ids)
    return Branch(ids=ids, layers=patch.layers, vector=patch.vector)


def stem(ids: tuple[int, ...], patch: Patch | None, at: int | None = None) -> Stem:
    """A prompt cut at a place, by default where it is patched."""
    where = at if at is not None else patch.position if patch else 0
    return Stem(ids=ids[:where], branches=(branch(ids[where:], patch),))


def patches_of(rows: list[tuple[int, ...]]) -> list[Patch | None]:
    """Another block and another kind of place in each row; one row has no patch."""
    blocks = ((0, 1), None, (1, 2), (2, 2))
    places = (len(rows[0]) - 1, 0, 3, 1)
    return [
        None if block is None else Patch(position=place, layers=block, vector=vector(index))
        for index, (block, place) in enumerate(zip(blocks, places, strict=True))
    ]


def test_residuals_are_what_plain_hooks_see(target: TargetModel) -> None:
    rows = rows_of(target)
    places = [[0, 5], [11], [37, 2, 2], [1]]
    found = residuals(target, rows, places)
    for read, ids, where in zip(found, rows, places, strict=True):
        assert read.shape == (len(where), N_LAYERS, D_MODEL)
        expected = slow_pass(target, ids)[1][:, where].transpose(0, 1)
        torch.testing.assert_close(read, expected, **TOLERANCE)


def test_a_patched_block_equals_plain_hooks_that_write_at_each_layer(target: TargetModel) -> None:
    rows = rows_of(target)
    patches = patches_of(rows)
    flow = start(target, [stem(ids, p) for ids, p in zip(rows, patches, strict=True)])
    for logits, ids, patch in zip(flow.logits, rows, patches, strict=True):
        torch.testing.assert_close(logits, slow_pass(target, ids, patch)[0][-1], **TOLERANCE)


def test_every_row_of_a_batch_is_patched_not_only_the_first(target: TargetModel) -> None:
    """The trap of a public tutorial (nnsight issue 502): `output[0]` is one row, not a tuple."""
    rows = rows_of(target)
    patches = [Patch(position=1, layers=(1, 1), vector=vector(i)) for i in range(len(rows))]
    seen: list[torch.Tensor] = []

    def watch(_module: object, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append((arguments[0] if arguments else named["hidden_states"]).clone())

    handle = decoder_layers(target)[2].register_forward_pre_hook(watch, with_kwargs=True)
    try:
        clean = start(target, [stem(ids, None) for ids in rows]).logits
        patched = start(target, [stem(ids, p, at=1) for ids, p in zip(rows, patches, strict=True)])
    finally:
        handle.remove()
    assert ((patched.logits - clean).abs().amax(-1) > 1e-2).all()
    # the last pass begins at the patched token (after padding), or has the whole prompts
    for row, (ids, patch) in enumerate(zip(rows, patches, strict=True)):
        column = seen[-1].shape[1] - (len(ids) - 1)
        torch.testing.assert_close(seen[-1][row, column], patch.vector, **TOLERANCE)


def test_a_patch_touches_no_other_row(target: TargetModel) -> None:
    rows = rows_of(target)[:2]
    quiet = start(target, [stem(ids, None) for ids in rows]).logits
    for block in ((0, 0), (1, 2), (0, 2)):
        patch = Patch(position=0, layers=block, vector=vector(7) * 10)
        loud = start(target, [stem(rows[0], patch), stem(rows[1], None)]).logits
        assert not torch.allclose(loud[0], quiet[0], **TOLERANCE)
        torch.testing.assert_close(loud[1], quiet[1], **TOLERANCE)


def test_branches_of_different_lengths_equal_whole_prompts(target: TargetModel) -> None:
    """Stems of different lengths, one of them empty, each with several branches."""
    heads = [tuple(target.encode(t)) for t in ("The capital of Kenya", "Oslo", "")]
    tails = [tuple(target.encode(t)) for t in (" is Nairobi, or so they say", "!", " was")]
    patch = Patch(position=0, layers=(0, 1), vector=vector(1))
    stems = [
        Stem(ids=head, branches=tuple(branch(tail, p) for tail in tails for p in (None, patch)))
        for head in heads
    ]
    found = iter(start(target, stems).logits)
    for head in heads:
        for tail in tails:
            for p in (None, Patch(position=len(head), layers=(0, 1), vector=patch.vector)):
                expected = slow_pass(target, (*head, *tail), p)[0][-1]
                torch.testing.assert_close(next(found), expected, **TOLERANCE)


def test_padding_goes_to_the_side_asked_for() -> None:
    target = make_target()
    left = pad([(5, 6, 7), (8,)], target)
    assert left.ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert left.mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    right = pad([(5, 6, 7), (8,)], target, side="right")
    assert right.ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert right.mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_positions_count_real_tokens() -> None:
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]])
    assert position_ids(mask).tolist() == [[0, 0, 0, 1], [0, 1, 2, 3], [0, 0, 0, 1], [0, 1, 1, 1]]


def test_the_model_is_told_positions_that_count_real_tokens() -> None:
    """Seen from outside: stem, branches after it, and one more token, in a padded batch."""
    target = make_target()
    told: list[list[list[int]]] = []

    def watch(_module: object, _arguments: object, named: dict[str, Any]) -> None:
        told.append(named["position_ids"].tolist())

    handle = target.model.register_forward_pre_hook(watch, with_kwargs=True)
    stems = [
        Stem(ids=(5, 6, 7), branches=(Branch(ids=(9,)), Branch(ids=(9, 10)))),
        Stem(ids=(5,), branches=(Branch(ids=(9, 10)),)),
    ]
    try:
        greedy(target, stems)
    finally:
        handle.remove()
    assert told[0] == [[0, 1, 2], [0, 0, 0]]
    assert [row[-n:] for row, n in zip(told[1], (1, 2, 2), strict=True)] == [[3], [3, 4], [1, 2]]
    assert told[2] == [[4], [5], [3]]


def test_answers_after_a_patch_equal_recomputing_everything(target: TargetModel) -> None:
    """The cache holds the patched values, and later tokens are not patched."""
    rows = rows_of(target)
    patches: list[Patch | None] = [
        Patch(position=len(rows[0]) - 1, layers=(0, 2), vector=vector(10)),
        None,
        Patch(position=len(rows[2]) - 3, layers=(0, 1), vector=vector(12)),
        Patch(position=1, layers=(2, 2), vector=vector(13)),
    ]
    found = greedy(target, [stem(ids, p) for ids, p in zip(rows, patches, strict=True)])
    expected = [slow_answer(target, ids, p) for ids, p in zip(rows, patches, strict=True)]
    clean = [slow_answer(target, ids) for ids in rows]
    assert [(o.text, o.ids) for o in found] == [(s.text, s.ids) for s in expected]
    assert [o.margin for o in found] == pytest.approx([s.margin for s in expected], abs=1e-3)
    # rows that stop at different times, and patches that matter: else this would test nothing
    assert len({len(s.ids) for s in expected}) > 1, expected
    assert clean[0].ids != expected[0].ids


def test_unpatched_answers_equal_generate(target: TargetModel) -> None:
    rows = rows_of(target)
    for output, ids in zip(greedy(target, [stem(ids, None) for ids in rows]), rows, strict=True):
        said = target.model.generate(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=6,
            do_sample=False,
            pad_token_id=1,
        )[0, len(ids) :]
        assert output.ids == tuple(said.tolist())[: len(output.ids)]
