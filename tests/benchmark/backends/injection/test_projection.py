"""Maps into an explainer of another width: declared, applied, aligned, trained, saved and run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_lens import drawn, still_reader
from tiny_models import D_MODEL, N_LAYERS, make_model, make_tokenizer
from tiny_places import Watch, feature, patching
from tiny_prompts import vector
from tokenizers import Tokenizer, models, pre_tokenizers
from told import Told
from transformers import PreTrainedTokenizerFast

from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.injection.alignment import (
    Reader,
    fitted_projection,
    paired_tokens,
)
from introspect_bench.benchmark.backends.injection.learned import (
    Learned,
    Projection,
    random_projection,
)
from introspect_bench.benchmark.backends.injection.spec import Injection, Maps, matched_layer
from introspect_bench.benchmark.backends.training.module import TrainedExplainer
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.records import Prompt

PATCHING = "activation-patching"
FILE = "projection.safetensors"
TEXT = "Bob met Bob in Kyōto. Bob"
TEXTS = ["A man walked into a bar. So?", TEXT, "if (x > 3) { return 7; }", "Über straße, naïve."]


def with_vector(prompt: Prompt, given: Any) -> Prompt:
    return replace(prompt, vector=given)


def explainer_with(
    injection: Injection, projection: Projection | None, **changes: Any
) -> LocalExplainer:
    tokenizer = make_tokenizer()
    return LocalExplainer(
        make_model("llama", tokenizer, **changes),
        tokenizer,
        injection=injection,
        learned=Learned(projection=projection),
        max_new_tokens=2,
    )


@pytest.mark.parametrize("width", [12, D_MODEL, 24])
def test_each_vector_goes_through_the_map_of_its_first_layer(width: int) -> None:
    maps = Maps(d_target=width, n_layers=N_LAYERS, layers=(0, 1))
    projection = random_projection(maps, D_MODEL, seed=3)
    injection = Injection(mode="own-layers", scaling="raw", multiplier=2.0, projection=maps)
    explainer = explainer_with(injection, projection)
    explainer.check_width(width)
    prompts = [patching(TEXT, 8, (0, 1), 1, "What comes next?"), feature(1, 2)]
    given = [vector(seed, width) for seed in (1, 2)]
    prompts = [with_vector(p, v) for p, v in zip(prompts, given, strict=True)]
    watch = Watch(explainer.model)
    explainer.first_logits(prompts)
    read, _ = watch.last()
    questions = explainer.encoder.questions(prompts)
    longest = max(len(question.ids) for question in questions)
    for row, (question, first) in enumerate(zip(questions, (0, 1), strict=True)):
        column = longest - len(question.ids) + question.columns[0]
        weight = projection.tensors()[f"{first}.weight"]
        sent = 2.0 * weight @ torch.from_numpy(given[row])
        torch.testing.assert_close(read[first + 1][row, column], sent)


@pytest.mark.parametrize("mode", ["embedding", "add", "replace", "quoted-token"])
def test_one_map_for_all_with_bias_and_unit_length_in_every_mode(mode: Any) -> None:
    maps = Maps(d_target=12, n_layers=N_LAYERS, layers=(), bias=True, unit=True)
    weight, bias = drawn(1, D_MODEL, 12), drawn(2, D_MODEL)
    projection = Projection(maps, {"all.weight": weight, "all.bias": bias})
    layer = 1 if mode in ("add", "replace") else None
    explainer = explainer_with(
        Injection(mode=mode, layer=layer, scaling="raw", projection=maps), projection
    )
    given = vector(1, 12)
    prompt = with_vector(patching(TEXT, 8, (1, 1), 1, "What?"), given)
    watch = Watch(explainer.model)
    explainer.first_logits([prompt])
    read, before = watch.last()
    (question,) = explainer.encoder.questions([prompt])
    there = question.columns[0]
    sent = weight @ torch.from_numpy(given / np.linalg.norm(given)) + bias
    if mode == "add":
        sent = sent + before[1][0, there]
    found = read[0] if mode == "embedding" else read[2]
    torch.testing.assert_close(found[0, there], sent, atol=1e-5, rtol=1e-4)


def test_maps_are_applied_if_and_only_if_they_are_declared() -> None:
    maps = Maps(d_target=D_MODEL, n_layers=N_LAYERS, layers=(0,))
    projection = random_projection(maps, D_MODEL, seed=0)
    declared = explainer_with(Injection(projection=maps), projection)
    prompt = with_vector(feature(0, 1), vector(1))
    plain = explainer_with(Injection(), None)
    mapped = with_vector(prompt, (projection.tensors()["0.weight"].numpy() @ vector(1)))
    # equal widths: the map is applied all the same
    torch.testing.assert_close(declared.first_logits([prompt]), plain.first_logits([mapped]))
    assert (declared.first_logits([prompt]) - plain.first_logits([prompt])).abs().max() > 1e-3
    with pytest.raises(UsageError, match="maps are missing"):
        explainer_with(Injection(projection=maps), None)
    with pytest.raises(UsageError, match="does not declare"):
        explainer_with(Injection(), projection)
    with pytest.raises(UsageError, match="no map for vectors of layer 2"):
        declared.first_logits([with_vector(feature(2, 1), vector(1))])
    with pytest.raises(UsageError, match="projection is for width 16"):
        declared.check_width(12)
    with pytest.raises(UsageError, match=r"leads to width 16.* has width 32"):
        explainer_with(Injection(projection=maps), projection, hidden_size=32)


def test_own_layers_are_matched_by_relative_depth() -> None:
    assert [matched_layer(layer, 30, 18) for layer in (0, 6, 12, 29)] == [0, 4, 7, 17]
    assert matched_layer(5, 30, 30) == 5
    maps = Maps(d_target=12, n_layers=21, layers=(10,))
    projection = random_projection(maps, D_MODEL, seed=0)
    injection = Injection(mode="own-layers", scaling="raw", projection=maps)
    explainer = explainer_with(injection, projection)
    prompt = with_vector(feature(10, 1), vector(1, 12))
    watch = Watch(explainer.model)
    explainer.first_logits([prompt])
    read, given = watch.last()
    assert not torch.equal(read[2], given[1])  # layer 10 of 21 is layer 1 of 3
    torch.testing.assert_close(read[1], given[0])


def linear_model(width: int, embedding: torch.Tensor) -> Reader:
    reader = still_reader(hidden_size=width)
    reader.model.get_input_embeddings().weight.data = embedding
    return reader


def test_alignment_recovers_a_known_linear_relation() -> None:
    n_tokens, relation = len(make_tokenizer()), drawn(1, D_MODEL, 8)
    embedding = drawn(2, n_tokens, 8)
    target = linear_model(8, embedding)
    explainer = linear_model(D_MODEL, embedding @ relation.T)
    maps = Maps(d_target=8, n_layers=N_LAYERS, layers=(0, 2))
    told = Told()
    own = Injection(mode="own-layers", projection=maps)
    blocks = [(0, 1), (2, 2)]
    found = fitted_projection("aligned", own, blocks, target, explainer, TEXTS, progress=told)
    for weight in found.tensors().values():
        torch.testing.assert_close(weight, relation, atol=1e-3, rtol=1e-3)
    # every character but the first token of each text; the second byte of "Ü" is no first token
    assert told.steps[-1][1] == sum(len(text) for text in TEXTS) - 3
    with pytest.raises(UsageError, match="cannot align 8"):
        fitted_projection("aligned", own, blocks, target, explainer, ["short"])
    # ten pairs are enough to align 8 coordinates, not to pull back into 16
    assert fitted_projection("aligned", own, blocks, target, explainer, [TEXTS[0][:11]])
    with pytest.raises(UsageError, match="cannot align 16"):
        fitted_projection("pulled-back", own, blocks, target, explainer, [TEXTS[0][:11]])


@pytest.mark.parametrize(
    ("injection", "same"),
    [
        (Injection(mode="own-layers"), True),
        (Injection(mode="replace", layer=2), True),
        (Injection(mode="replace", layer=0), False),
        (Injection(mode="embedding"), False),
    ],
)
def test_a_map_leads_to_where_the_vector_enters(injection: Injection, same: bool) -> None:
    tokenizer = make_tokenizer()
    reader = Reader(model=make_model("llama", tokenizer), tokenizer=tokenizer)
    maps = Maps(d_target=D_MODEL, n_layers=N_LAYERS, layers=(2,))
    declared = replace(injection, projection=maps)
    found = fitted_projection("aligned", declared, [(2, 2)], reader, reader, TEXTS)
    # from layer 2 of a model to layer 2 of the same model nothing is to be done
    off = (found.tensors()["2.weight"] - torch.eye(D_MODEL)).abs().max().item()
    assert (off < 1e-2) is same
    far = Injection(mode="add", layer=3, projection=maps)
    with pytest.raises(UsageError, match="has layers 0 to 2"):
        fitted_projection("aligned", far, [(2, 2)], reader, reader, TEXTS)


def test_a_pulled_back_direction_is_what_it_responds_to() -> None:
    n_tokens = len(make_tokenizer())
    states = torch.nn.functional.normalize(drawn(2, n_tokens, 8), dim=-1)
    ours = states @ drawn(1, D_MODEL, 8).T
    # lengths of the target's states do not count: a probe is pulled back by their directions
    lengths = 10 ** drawn(3, n_tokens, 1)
    target, explainer = linear_model(8, states * lengths), linear_model(D_MODEL, ours)
    maps = Maps(d_target=8, n_layers=N_LAYERS, layers=(1,))
    injection = Injection(mode="embedding", projection=maps)
    found = fitted_projection("pulled-back", injection, [(1, 1)], target, explainer, TEXTS)
    seen = sorted(set(make_tokenizer()("".join(TEXTS))["input_ids"]))
    for direction in drawn(4, 5, 8):
        probed = states[seen] @ direction
        read = ours[seen] @ (found.tensors()["1.weight"] @ direction)
        assert torch.corrcoef(torch.stack([probed, read]))[0, 1] > 0.99
        sent = found.tensors()["1.weight"] @ direction
        best = torch.nn.functional.cosine_similarity(ours[seen], sent[None], dim=-1).argmax()
        assert probed[best] >= probed.sort(descending=True).values[2]


def test_tokens_are_paired_where_they_end() -> None:
    words = ["Bob", "met", "in", "Ky", "."]
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="Bob"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    factory: Any = PreTrainedTokenizerFast
    target = factory(tokenizer_object=core)
    pairs = paired_tokens(target, make_tokenizer(), TEXT)
    ends = [TEXT.encode()[: j + 1].decode() for _, j in pairs]
    assert ends == ["Bob met", "Bob met Bob", "Bob met Bob in", TEXT[:20], TEXT[:21], TEXT]
    assert [i for i, _ in pairs] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    "tensors",
    [
        {"0.weight": torch.ones(4, 3)},
        {"0.weight": torch.ones(4, 4), "0.bias": torch.ones(4)},
        {"1.weight": torch.ones(4, 4)},
        {"0.weight": torch.full((4, 4), float("nan"))},
        {"0.weight": torch.tensor(1.0)},
    ],
)
def test_other_maps_than_declared_are_refused(tensors: dict[str, torch.Tensor]) -> None:
    with pytest.raises(IntegrityError, match="projection"):
        Projection(Maps(d_target=4, n_layers=2, layers=(0,)), tensors)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"layers": [-1]}, {"layers": "0"}, {"d_target": True}, {"bias": 1}, {"more": 1}, None],
)
def test_impossible_declarations_are_refused(wrong: dict[str, Any] | None) -> None:
    good = Injection(projection=Maps(d_target=4, n_layers=2, layers=(0, 1))).as_json()
    assert Injection.from_json(good).as_json() == good
    values = good["projection"] | wrong if wrong else ([] if wrong is None else wrong)
    with pytest.raises(UsageError, match="projection"):
        Injection.from_json({**good, "projection": values})


def test_maps_stay_float32_under_autocast_and_get_gradients() -> None:
    maps = Maps(d_target=12, n_layers=N_LAYERS, layers=(0, 1))
    projection = random_projection(maps, D_MODEL, seed=0)
    vectors, layers = drawn(1, 2, 12), torch.tensor([[0, 1], [1, 1]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = projection(vectors, layers)
    expected = torch.stack([projection.tensors()[f"{i}.weight"] @ vectors[i] for i in range(2)])
    torch.testing.assert_close(found, expected)
    module = TrainedExplainer(
        make_model("llama", make_tokenizer()), Injection(projection=maps), projection=projection
    )
    names = {name for name, _ in module.named_parameters() if name.startswith("projection")}
    assert names == {"projection.weights.0", "projection.weights.1"}


def test_the_natural_length_is_told_from_the_vector_before_it_is_mapped() -> None:
    maps = Maps(d_target=12, n_layers=N_LAYERS, layers=(1,))
    projection = random_projection(maps, D_MODEL, seed=0)
    injection = Injection(mode="own-layers", scaling="natural", projection=maps)
    explainer = explainer_with(injection, projection)
    state = vector(1, 12)
    direction = state / np.linalg.norm(state)
    prompts = [with_vector(feature(1, 1), given) for given in (state, direction)]
    watch = Watch(explainer.model)
    explainer.first_logits(prompts)
    read, given = watch.last()
    (column,) = explainer.encoder.questions(prompts)[0].columns
    mapped = projection.tensors()["1.weight"] @ torch.from_numpy(state)
    torch.testing.assert_close(read[2][0, column], mapped)
    there = given[1][1, column].norm()
    torch.testing.assert_close(read[2][1, column], mapped / mapped.norm() * there)
