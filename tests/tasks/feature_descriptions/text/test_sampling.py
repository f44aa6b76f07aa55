"""Text that a target writes: draws by the nucleus rule, same bytes again, resumable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tiny_models import make_model, make_tokenizer

from introspect_bench.benchmark.backends.interventions.sampling import draw, sample
from introspect_bench.benchmark.backends.models.batch import stop_tokens
from introspect_bench.benchmark.backends.models.target_model import TargetModel, wrap
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.tasks.feature_descriptions.build import sampling
from introspect_bench.tasks.feature_descriptions.build.sampling import (
    GENRES,
    TOPICS,
    Sampler,
    SamplingSettings,
    is_degenerate,
    open_sampler,
    request,
)

SETTINGS = SamplingSettings(seed=3, max_new_tokens=48, batch_size=6)


@pytest.fixture(scope="module")
def target() -> TargetModel:
    tokenizer = make_tokenizer()
    return wrap(make_model("llama", tokenizer), tokenizer)


def sampler(target: TargetModel, folder: Path, **changes: Any) -> Sampler:
    given: dict[str, Any] = {"weights": {"model.safetensors": "ab"}, "settings": SETTINGS}
    return Sampler(target, folder, **{**given, "subjects": ("Ada Lovelace",), **changes})


def slow_sample(
    target: TargetModel, prompt: Sequence[int], uniforms: Sequence[float], top_p: float
) -> list[int]:
    """One prompt, no cache, no batch, the rule spelt out."""
    written: list[int] = []
    banned = set(target.tokenizer.all_special_ids) - {1}
    for uniform in uniforms:
        with torch.no_grad():
            logits = target.model(torch.tensor([[*prompt, *written]])).logits[0, -1].double()
        logits[list(banned)] = float("-inf")
        pairs = sorted(enumerate(logits.softmax(-1).tolist()), key=lambda pair: -pair[1])
        nucleus: list[tuple[int, float]] = []
        while sum(p for _, p in nucleus) < top_p and len(nucleus) < len(pairs):
            nucleus.append(pairs[len(nucleus)])
        left = uniform * sum(p for _, p in nucleus)
        sums = np.cumsum([p for _, p in nucleus])
        token = next(token for (token, _), end in zip(nucleus, sums, strict=True) if left < end)
        if token == 1:
            break
        written.append(token)
    return written


def logits_of(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities]).log()


@pytest.mark.parametrize(
    ("uniform", "token"), [(0.0, 2), (0.49, 2), (0.51, 0), (0.87, 0), (0.88, 3), (0.999999, 3)]
)
def test_a_draw_inverts_the_nucleus_from_the_likeliest_on(uniform: float, token: int) -> None:
    # top_p 0.75: tokens 2, 0, 3 with 0.4, 0.3, 0.1; 0.5 and 0.875 of the mass 0.8 lie before 0, 3
    logits = logits_of(0.3, 0.08, 0.4, 0.1, 0.12 - 0.03, 0.03)
    drawn = draw(logits, torch.tensor([uniform], dtype=torch.float64), 0.75)
    assert drawn.tolist() == [token]


@pytest.mark.parametrize("top_p", [0.2, 0.9, 1.0])
def test_wide_nuclei_are_drawn_from_as_narrow_ones(top_p: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((4, 3000), generator=generator) * torch.tensor(
        [[0.1], [1.0], [4.0], [9.0]]
    )
    uniforms = torch.tensor([0.2, 0.5, 0.7, 0.9], dtype=torch.float64)
    found = draw(logits, uniforms, top_p).tolist()
    for row, token in enumerate(found):
        values, order = logits[row].softmax(-1).double().sort(descending=True, stable=True)
        sums = values.cumsum(0)
        size = min(int((sums < top_p).sum()) + 1, len(values))
        place = int((sums[:size] <= uniforms[row] * sums[size - 1]).sum())
        assert token == order[min(place, size - 1)]


def test_frequencies_follow_the_probabilities() -> None:
    logits = logits_of(0.5, 0.3, 0.2).expand(4000, 3)
    uniforms = torch.from_numpy(np.random.default_rng(0).random(4000))
    counts = np.bincount(draw(logits, uniforms, 1.0).numpy(), minlength=3) / 4000
    assert counts == pytest.approx([0.5, 0.3, 0.2], abs=0.03)


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_a_batch_writes_what_single_prompts_write(name: str) -> None:
    tokenizer = make_tokenizer()
    target = wrap(make_model(name, tokenizer), tokenizer)
    rng = np.random.default_rng(1)
    prompts = [[0, 50, 60, *rng.integers(2, 250, size)] for size in (3, 9, 1, 5, 5, 2)]
    uniforms = rng.random((6, 40))
    found = sample(target, prompts, uniforms, top_p=0.8)
    expected = [
        slow_sample(target, prompt, row, 0.8)
        for prompt, row in zip(prompts, uniforms.tolist(), strict=True)
    ]
    assert found == expected
    assert len({len(row) for row in found}) > 1, "no reply ended early"


def test_special_tokens_are_never_written(target: TargetModel) -> None:
    rng = np.random.default_rng(2)
    found = sample(target, [[0, 5], [0, 6], [0, 5]], rng.random((3, 60)), temperature=5.0)
    assert stop_tokens(target.model, target.tokenizer) == {1}
    assert not {0, 1} & {token for row in found for token in row}


@pytest.mark.parametrize(
    ("prompts", "rows", "changes"),
    [
        ([], 0, {}),
        ([[0, 1]], 2, {}),
        ([[0, 1]], 1, {"temperature": 0.0}),
        ([[0, 1]], 1, {"top_p": 0.0}),
        ([[0, 1]], 1, {"top_p": 1.1}),
    ],
)
def test_impossible_arguments(
    target: TargetModel, prompts: list[list[int]], rows: int, changes: dict[str, float]
) -> None:
    with pytest.raises(UsageError):
        sample(target, prompts, np.zeros((rows, 4)), **changes)


def test_requests_depend_on_seed_and_number_alone() -> None:
    first, generator = request(7, 0, ("Ada",))
    again, same = request(7, 0, ("Ada",))
    assert first == again
    assert generator.random(3).tolist() == same.random(3).tolist()
    assert len({request(number, 0, ("Ada",))[0].user for number in range(50)}) > 40
    assert request(7, 1, ("Ada",))[0] != first


def test_requests_are_of_all_kinds_and_about_both_kinds_of_subjects() -> None:
    found = [request(number, 0, ("Ada Lovelace",))[0] for number in range(2000)]
    assert {one.genre for one in found} == {genre.name for genre in GENRES}
    about = sum("Ada Lovelace" in one.user for one in found) / len(found)
    assert 0.4 < about < 0.6
    assert not any("{" in one.user for one in found)


def test_wordings_and_topics_are_well_formed() -> None:
    assert len(GENRES) >= 60
    assert len(set(TOPICS)) == len(TOPICS) >= 400
    assert len({genre.name for genre in GENRES}) == len(GENRES)
    for genre in GENRES:
        assert all("{s}" in ask for ask in genre.asks)
        # a blank at the end would be a token that the target does not write there itself
        assert all(opening == opening.rstrip(" ") for opening in genre.openings)


@pytest.mark.parametrize(
    ("ids", "dropped"),
    [
        (range(33), False),
        (range(32), True),
        ([], True),
        ([*range(40), *[5] * 12, 6], False),
        ([*range(40), *[5] * 13, 6], True),
        ([1, 2, 3, 4] * 30, True),
        ([*range(50), *[1, 2, 3, 4] * 10], False),
    ],
)
def test_degenerate_documents(ids: Sequence[int], dropped: bool) -> None:
    assert is_degenerate(np.array(list(ids), dtype=np.int32)) is dropped


def test_the_same_seed_gives_the_same_bytes(target: TargetModel, tmp_path: Path) -> None:
    for name in ("one", "two"):
        sampler(target, tmp_path / name).batch(1)
    (one,) = (tmp_path / "one").iterdir()
    (two,) = (tmp_path / "two").iterdir()
    assert one.name == two.name
    assert one.read_bytes() == two.read_bytes()
    texts = json.loads(one.read_text())["texts"]
    assert len(texts) == SETTINGS.batch_size
    assert len(set(texts)) > 1


def test_documents_begin_as_they_were_made_to(target: TargetModel, tmp_path: Path) -> None:
    sampler(target, tmp_path).batch(0)
    texts = json.loads(next(tmp_path.iterdir()).read_text())["texts"]
    asked = [request(number, SETTINGS.seed, ("Ada Lovelace",))[0] for number in range(6)]
    for text, one in zip(texts, asked, strict=True):
        assert text.startswith(one.opening)
        assert one.user not in text


def test_finished_batches_are_read_not_written_again(
    target: TargetModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [sampler(target, tmp_path).batch(number) for number in range(2)]
    assert wanted[0]

    def refuse(*_: object) -> list[str]:
        raise AssertionError("written again")

    monkeypatch.setattr(Sampler, "_write", refuse)
    assert [sampler(target, tmp_path).batch(number) for number in range(2)] == wanted
    other = sampler(target, tmp_path, weights={"model.safetensors": "cd"})
    with pytest.raises(AssertionError, match="written again"):
        other.batch(0)
    with pytest.raises(AssertionError, match="written again"):
        sampler(target, tmp_path, settings=SamplingSettings(seed=4)).batch(0)


def test_a_lost_batch_is_made_again_as_it_was(target: TargetModel, tmp_path: Path) -> None:
    for number in (1, 0):
        sampler(target, tmp_path).batch(number)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == 2
    (tmp_path / sorted(before)[0]).unlink()
    (tmp_path / f".{sorted(before)[0]}.123.partial").write_text("half a ba")
    for number in (0, 1):
        sampler(target, tmp_path).batch(number)
    after = {path.name: path.read_bytes() for path in tmp_path.glob("0*.json")}
    assert after == before


def test_degenerate_documents_are_left_out(
    target: TargetModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_self: Sampler, requests: Sequence[object], _: object) -> list[str]:
        return ["la " * 40] + ["short"] * (len(requests) - 2) + [" ".join(map(str, range(40)))]

    monkeypatch.setattr(sampling.Sampler, "_write", write)
    (kept,) = sampler(target, tmp_path).batch(0)
    assert kept.endswith("38 39")


def test_uniforms_are_of_each_document_alone(
    target: TargetModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[npt.NDArray[np.float64]] = []

    def spy(_target: object, prompts: Sequence[object], uniforms: Any, **_: object) -> Any:
        seen.append(uniforms)
        return [[60] * 40 for _ in prompts]

    monkeypatch.setattr("introspect_bench.benchmark.backends.interventions.sampling.sample", spy)
    for size in (6, 3):
        changed = SamplingSettings(seed=3, max_new_tokens=48, batch_size=size)
        for number in range(6 // size):
            sampler(target, tmp_path, settings=changed).batch(number)
    assert (np.concatenate(seen[1:]) == seen[0]).all()
    assert len(np.unique(seen[0])) == seen[0].size


def test_batches_of_other_weights_are_not_reused(tmp_path: Path) -> None:
    settings, tokenizer = SamplingSettings(seed=0, max_new_tokens=4, batch_size=2), make_tokenizer()
    for name, seed in (("one", 0), ("other", 1)):
        make_model("llama", tokenizer, seed=seed).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    for name, n_files in (("one", 1), ("one", 1), ("other", 2)):
        open_sampler(tmp_path / name, tmp_path, settings=settings).batch(0)
        assert len(list((tmp_path / "sampled").glob("*.json"))) == n_files
