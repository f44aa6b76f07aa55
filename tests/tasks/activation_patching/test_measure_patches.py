"""Ground truth of patching: vectors are block means, patches land where they should, and resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_targets import SAYS, make_target, slow_answer, slow_pass
from tiny_targets import Patch as SlowPatch

from introspect_bench.benchmark.backends.models.target_model import TargetModel
from introspect_bench.benchmark.cache import Journal
from introspect_bench.tasks.activation_patching.build import measure_patches as measure
from introspect_bench.tasks.activation_patching.build.measure_patches import Placed, blocks, place
from introspect_bench.tasks.activation_patching.task import KINDS
from introspect_bench.tasks.facts.facts import Fact, one_shot

NAMES = ("Kenya", "東京", "Oman", "K", "Côte d'Ivoire", "Peru")


@pytest.fixture(scope="module", params=["llama", "qwen3", "gemma3"])
def target(request: pytest.FixtureRequest) -> TargetModel:
    return make_target(request.param, seed=3, talkative=SAYS)


@pytest.fixture(scope="module")
def prompts(target: TargetModel) -> list[Placed]:
    facts = [Fact(relation="capital", subject=name, objects=("Lima",)) for name in NAMES]
    return [
        place(target.tokenizer, one_shot(fact, shown))
        for fact, shown in zip(facts, facts[1:] + facts[:1], strict=True)
    ]


@pytest.fixture
def vectors(target: TargetModel, prompts: list[Placed], tmp_path: Path) -> np.ndarray:
    return measure.source_vectors(target, prompts, tmp_path / "vectors", quiet)


@pytest.fixture
def bench(
    target: TargetModel, prompts: list[Placed], vectors: np.ndarray, tmp_path: Path
) -> measure.Bench:
    own = tuple(prompts)
    return measure.Bench(
        target=target, work=tmp_path, report=quiet, prompts=own, clean=(), vectors=vectors
    )


def quiet(_stage: str, _n: int) -> None:
    pass


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 64])


def groups() -> list[list[measure.Patch]]:
    return [
        [
            measure.Patch(base=base, source=source, kind=kind, block=block)
            for source in range(len(NAMES))
            if source != base and not (kind == "other-subject" and NAMES[source] == "K")
        ]
        for base, kind, block in (
            (0, "last-subject", 0),
            (1, "other-subject", 1),
            (2, "relation", 2),
            (4, "demonstration", 0),
            (5, "last", 2),
        )
    ]


def test_a_vector_is_the_mean_over_the_layers_of_a_block(
    target: TargetModel, prompts: list[Placed], vectors: np.ndarray
) -> None:
    assert vectors.dtype == np.float16
    assert vectors.shape == (len(NAMES), len(KINDS), 3, target.d_model)
    for i, prompt in enumerate(prompts):
        streams = slow_pass(target, prompt.ids)[1]
        for k, kind in enumerate(KINDS):
            for b, (low, high) in enumerate(blocks(target.n_layers)):
                if kind not in prompt.places:
                    assert not vectors[i, k, b].any()
                    continue
                mean = streams[low : high + 1, prompt.places[kind].position].mean(0)
                np.testing.assert_allclose(vectors[i, k, b], mean.numpy(), rtol=2e-3, atol=2e-3)


def test_means_over_several_layers(
    target: TargetModel, prompts: list[Placed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "blocks", lambda n: ((0, 1), (2, n - 1)))
    found = measure.source_vectors(target, prompts, tmp_path / "v", quiet)
    place = prompts[0].places["last"].position
    mean = slow_pass(target, prompts[0].ids)[1][:2, place].mean(0)
    np.testing.assert_allclose(found[0, KINDS.index("last"), 0], mean, rtol=2e-3, atol=2e-3)


def test_finished_chunks_are_read_and_half_written_ones_are_not(
    target: TargetModel,
    prompts: list[Placed],
    vectors: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (chunk,) = (tmp_path / "vectors").iterdir()
    monkeypatch.setattr(measure, "residuals", None)
    again = measure.source_vectors(target, prompts, tmp_path / "vectors", quiet)
    assert again.tobytes() == vectors.tobytes()
    chunk.rename(chunk.with_suffix(".partial"))
    with pytest.raises(TypeError):
        measure.source_vectors(target, prompts, tmp_path / "vectors", quiet)


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda _: b"", flipped])
def test_a_chunk_that_is_not_as_it_was_written_is_measured_again(
    target: TargetModel,
    prompts: list[Placed],
    vectors: np.ndarray,
    tmp_path: Path,
    spoil: Callable[[bytes], bytes],
) -> None:
    (chunk,) = (tmp_path / "vectors").iterdir()
    whole = chunk.read_bytes()
    chunk.write_bytes(spoil(whole))
    again = measure.source_vectors(target, prompts, tmp_path / "vectors", quiet)
    assert again.tobytes() == vectors.tobytes()
    assert chunk.read_bytes() == whole


def test_clean_outputs_are_those_of_single_passes(
    target: TargetModel, prompts: list[Placed], tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "clean")
    found = measure.clean_outputs(target, [p.ids for p in prompts], journal, quiet)
    expected = [slow_answer(target, p.ids) for p in prompts]
    assert [(o.text, o.ids) for o in found] == [(s.text, s.ids) for s in expected]


def test_patched_outputs_are_those_of_plain_hooks(
    target: TargetModel, bench: measure.Bench, tmp_path: Path
) -> None:
    asked, prompts, vectors = groups(), bench.prompts, bench.vectors
    found = measure.patched_outputs(bench, asked, Journal(tmp_path / "patched"))
    differ = 0
    for group, outputs in zip(asked, found, strict=True):
        assert len(outputs) == len(group)
        for patch, output in zip(group, outputs, strict=True):
            base = prompts[patch.base]
            vector = vectors[patch.source, KINDS.index(patch.kind), patch.block]
            slow = SlowPatch(
                position=base.places[patch.kind].position,
                layers=blocks(target.n_layers)[patch.block],
                vector=torch.from_numpy(vector.astype(np.float32)),
            )
            expected = slow_answer(target, base.ids, slow)
            assert (output.text, output.ids) == (expected.text, expected.ids)
            assert output.margin == pytest.approx(expected.margin, abs=2e-3)
            differ += abs(output.margin - slow_answer(target, base.ids).margin) > 0.05
    assert differ > 3  # patches matter: else this would test nothing


def test_a_second_run_needs_no_model(
    bench: measure.Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "patched"
    first = measure.patched_outputs(bench, groups(), Journal(path))
    monkeypatch.setattr(measure, "greedy", None)
    assert measure.patched_outputs(bench, groups(), Journal(path)) == first


def test_a_branch_starts_at_the_patched_token(bench: measure.Bench) -> None:
    prompts, vectors = bench.prompts, bench.vectors
    patch = measure.Patch(base=0, source=1, kind="relation", block=2)
    branch = measure.branch_of(bench, patch)
    assert branch.ids == prompts[0].ids[prompts[0].places["relation"].position :]
    assert branch.layers == (2, 2)
    assert branch.vector is not None
    expected = vectors[1, KINDS.index("relation"), 2].astype(np.float32)
    assert torch.equal(branch.vector, torch.from_numpy(expected))
