"""Baselines that describe features: what each says, and what it may open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_features import NAME, WORDS, make_feature_suite
from tiny_models import make_model, make_tokenizer

from introspect_bench.baselines import BASELINES, check_baseline, make_baseline
from introspect_bench.baselines import prompted as selfie_module
from introspect_bench.baselines.lens import (
    InputBigrams,
    InputTokens,
    LogitLens,
    distinct,
    name_tokens,
)
from introspect_bench.baselines.nearest_neighbour import VectorNeighbour
from introspect_bench.baselines.prompted import LAYER, MULTIPLIER, OPENING, Selfie, placed
from introspect_bench.benchmark.backends.interventions.readout import final_norm, make_readout
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.prompts import PromptSpec, build_prompts, cut_batches, render_all
from introspect_bench.benchmark.records import SLOT, Completion, Prompt
from introspect_bench.benchmark.registry import find_baseline, get_task
from introspect_bench.benchmark.suite.suite import Suite

TASK = get_task(NAME)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return make_feature_suite(tmp_path / "v2")


def prompts_of(suite: Suite, split: str = "test", *, no_vector: bool = False) -> list[Prompt]:
    batches = cut_batches(render_all(TASK, suite.queries(split)), 100)
    spec = PromptSpec(task=TASK, suite=suite, split=split, batch_size=100, no_vector=no_vector)
    built = build_prompts(spec, batches)
    return [prompt for batch in built for prompt in batch]


LEARNT = ("constant", "random", "nearest-neighbour", "nearest-neighbour-pooled")


def test_the_list_for_features() -> None:
    names = {spec.name for spec in BASELINES if NAME in spec.tasks}
    assert names == {
        *LEARNT,
        "zero-shot",
        "few-shot",
        "logit-lens",
        "input-lens",
        "input-lens-2",
        "selfie",
        "reference-description",
    }


@pytest.mark.parametrize("name", LEARNT)
def test_only_training_truth_is_opened(
    name: str, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = prompts_of(suite)
    read, opened = Suite.read, set()

    def watch(self: Suite, name: str) -> bytes:
        opened.add(name)
        return read(self, name)

    monkeypatch.setattr(Suite, "read", watch)
    explainer, card = make_baseline(name, task=TASK, suite=suite, split="test")
    replies = explainer.complete(prompts)
    train = {one.descriptions[0] for one in suite.feature_truth("train").values()}
    assert set(replies) <= train
    assert len(replies) == len(prompts)
    assert card.kind == "baseline"
    assert opened <= {"train/queries.jsonl", "train/truth.jsonl", "train/vectors.safetensors"}
    assert ("train/vectors.safetensors" in opened) == ("vectors" in find_baseline(name).needs)


def test_the_constant_is_the_commonest_training_description(suite: Suite) -> None:
    explainer, _ = make_baseline("constant", task=TASK, suite=suite, split="test")
    truth = list(suite.feature_truth("train").values())
    names = Counter(one.predicate for one in truth)
    first = min(names, key=lambda name: (-names[name], name))
    said = next(one.descriptions[0] for one in truth if one.predicate == first)
    assert set(explainer.complete(prompts_of(suite))) == {said}


def test_random_depends_on_the_query_alone(suite: Suite) -> None:
    prompts = prompts_of(suite)
    explainer, _ = make_baseline("random", task=TASK, suite=suite, split="test")
    replies = explainer.complete(prompts)
    assert explainer.complete(prompts[::-1]) == replies[::-1]
    assert len(set(replies)) > 1


def test_the_neighbour_is_of_the_same_layer_unless_pooled(suite: Suite) -> None:
    vectors = suite.vectors("train").astype(np.float32)
    train = list(zip(suite.queries("train"), vectors, strict=True))
    truth = suite.feature_truth("train")
    for name, pooled in (("nearest-neighbour", False), ("nearest-neighbour-pooled", True)):
        explainer, _ = make_baseline(name, task=TASK, suite=suite, split="test")
        asked = prompts_of(suite)
        for prompt, reply in zip(asked, explainer.complete(asked), strict=True):
            layer, own = prompt.query.fields["layer"], prompt.vector
            assert own is not None
            among = [
                (float(vector @ own), query.id)
                for query, vector in train
                if pooled or query.fields["layer"] == layer
            ]
            assert reply == truth[max(among)[1]].descriptions[0]


def test_what_reads_vectors_cannot_do_without(suite: Suite) -> None:
    explainer, _ = make_baseline("nearest-neighbour", task=TASK, suite=suite, split="test")
    assert isinstance(explainer, VectorNeighbour)
    with pytest.raises(UsageError, match="without the vector"):
        explainer.complete(prompts_of(suite, no_vector=True))
    for name in ("nearest-neighbour-pooled", "logit-lens", "input-lens", "input-lens-2", "selfie"):
        with pytest.raises(UsageError, match=f"baseline/{name} reads vectors"):
            check_baseline(name, TASK, use_vectors=False)
    with pytest.raises(UsageError, match=r"baseline/random answers feature-descriptions, not"):
        check_baseline("random", get_task("activation-patching"), use_vectors=True)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
def test_the_readout_is_the_models_own_last_step(family: str) -> None:
    model = make_model(family, make_tokenizer()).eval()
    width = model.config.get_text_config().hidden_size
    vectors = np.random.default_rng(0).normal(size=(3, width)).astype(np.float32)
    best = make_readout(model)(vectors, 5)
    with torch.inference_mode():
        normed = final_norm(model)(torch.from_numpy(vectors))
        logits = normed @ model.get_output_embeddings().weight.T
    assert best.tolist() == logits.topk(5).indices.tolist()
    # the last hidden state is what that norm gives, so this is the norm before the output layer
    ids = torch.tensor([[3, 4, 5]])
    seen: list[Any] = []
    hook = final_norm(model).register_forward_hook(lambda _m, _i, out: seen.append(out))
    state = model(ids, output_hidden_states=True).hidden_states[-1]
    hook.remove()
    torch.testing.assert_close(seen[0], state)


def test_tokens_are_named_once_and_blank_ones_not_at_all() -> None:
    assert distinct([" King", "king", "\n", " ", "queen ", "\x07", "a", "b"], 3) == [
        "King",
        "queen",
        "a",
    ]
    assert name_tokens(["King", "queen"]) == "tokens such as 'King', 'queen'"


def test_the_logit_lens_names_what_is_promoted(suite: Suite) -> None:
    prompts = prompts_of(suite)
    lens = LogitLens(
        promoted=lambda vectors: np.argsort(-vectors, axis=1), decode=lambda i: WORDS[int(i)]
    )
    for prompt, reply in zip(prompts, lens.complete(prompts), strict=True):
        assert prompt.vector is not None
        order = [WORDS[i] for i in np.argsort(-prompt.vector)]
        assert reply == name_tokens(order)
    with pytest.raises(UsageError, match="cannot do without"):
        lens.complete(prompts_of(suite, no_vector=True))


def test_the_input_lens_names_what_is_responded_to(suite: Suite) -> None:
    prompts = prompts_of(suite)
    asked: list[int] = []

    def responded(vectors: Any, layers: Sequence[int], k: int) -> Any:
        asked.extend(layers)
        return np.argsort(-vectors, axis=1)[:, :k]

    lens = InputTokens(responded=responded, decode=lambda i: WORDS[int(i)])
    for prompt, reply in zip(prompts, lens.complete(prompts), strict=True):
        assert prompt.vector is not None
        assert reply == f"the word '{WORDS[np.argmax(prompt.vector)]}'"
    assert asked == [prompt.query.fields["layer"] for prompt in prompts]
    with pytest.raises(UsageError, match="cannot do without"):
        lens.complete(prompts_of(suite, no_vector=True))


def test_the_lens_of_two_tokens_names_both(suite: Suite) -> None:
    prompts = prompts_of(suite)
    lens = InputBigrams(
        responded=lambda vectors, _layers: (vectors.argmax(axis=1), vectors.argmin(axis=1)),
        decode=lambda i: f" {WORDS[int(i)]}",
    )
    for prompt, reply in zip(prompts, lens.complete(prompts), strict=True):
        assert prompt.vector is not None
        here, before = WORDS[prompt.vector.argmax()], WORDS[prompt.vector.argmin()]
        assert reply == f"the word '{here}' right after the word '{before}'"
    with pytest.raises(UsageError, match="input-lens-2 reads vectors"):
        lens.complete(prompts_of(suite, no_vector=True))


def test_the_reference_is_said_by_who_is_told(suite: Suite) -> None:
    explainer, card = make_baseline("reference-description", task=TASK, suite=suite, split="test")
    prompts, truth = prompts_of(suite), suite.feature_truth("test")
    assert explainer.complete(prompts) == [truth[p.query.id].descriptions[0] for p in prompts]
    assert card.kind == "oracle"


class Fixed:
    """Replies with one word, whatever is asked; keeps what was asked."""

    def __init__(self, word: str) -> None:
        self.word, self.asked = word, []  # type: ignore[var-annotated]

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        self.asked += prompts
        return [Completion(text=f"{OPENING} {self.word}") for _ in prompts]


def test_selfie_asks_about_a_word_in_its_own_words(suite: Suite) -> None:
    model = Fixed("ant")
    prompts = prompts_of(suite)
    Selfie(model=model).complete(prompts)
    assert {one.question for one in model.asked} == {selfie_module.QUESTION}
    assert selfie_module.QUESTION.count(SLOT) == 1
    assert [one.vector is p.vector for one, p in zip(model.asked, prompts, strict=True)]
    assert all(one.instructions == "" and one.shots == () for one in model.asked)


def test_the_vector_takes_the_place_of_a_word_early() -> None:
    found = placed(MULTIPLIER)
    assert (found.mode, found.layer, found.multiplier) == ("replace", LAYER, MULTIPLIER)
