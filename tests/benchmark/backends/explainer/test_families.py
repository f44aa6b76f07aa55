"""Known explainer families: the vector is where and as long as the convention says, exactly."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from tiny_families import QWEN, tokenizer_with
from tiny_models import CHAT, N_LAYERS, make_model, make_tokenizer
from tiny_places import Watch, feature, patching
from tiny_prompts import make_shots, vector

from introspect_bench.benchmark.backends.explainer.families import (
    FAMILIES,
    FamilyEncoder,
    find_family,
)
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import Prompt, Query

TEXT = "Bob met Bob ? in Kyōto. Bob"
LLAMA = [f"<|reserved_special_token_{i}|>" for i in (10, 11, 12)]
CHATML = ["<|im_start|>", "<|im_end|>"]


def explainer_of(name: str, tokenizer: Any, **more: Any) -> LocalExplainer:
    return LocalExplainer(
        make_model("llama", tokenizer),
        tokenizer,
        family=find_family(name),
        max_new_tokens=3,
        **more,
    )


def prompts() -> list[Prompt]:
    """Two of other length and layers; the text of the first holds a ` ?` that is no placeholder."""
    return [patching(TEXT, 8, (0, 1), 1, "What comes next, in a word?"), feature(2, 2)]


def watched(explainer: LocalExplainer) -> tuple[Any, list[torch.Tensor], list[torch.Tensor]]:
    """Encoded prompts, what the layers read and what they gave."""
    watch = Watch(explainer.model)
    explainer.first_logits(prompts())
    read, given = watch.last()
    return explainer.encoder.questions(prompts()), read, given


def check_only(read: Any, given: Any, layer: int, touched: list[list[int]]) -> None:
    """Nothing but these columns differs between a layer's output and the next one's input."""
    for index in range(N_LAYERS - 1):
        same = (read[index + 1] == given[index]).all(dim=-1)
        wanted = torch.ones_like(same)
        if index == layer:
            for row, columns in enumerate(touched):
                wanted[row, columns] = False
        assert torch.equal(same, wanted)


def columns_in_batch(questions: Any) -> list[list[int]]:
    width = max(len(question.ids) for question in questions)
    return [[width - len(q.ids) + column for column in q.columns] for q in questions]


def test_activation_oracles_add_the_direction_at_the_residuals_length_behind_layer_1() -> None:
    tokenizer = tokenizer_with(" ?")
    explainer = explainer_of("activation-oracle", tokenizer)
    questions, read, given = watched(explainer)
    texts = [tokenizer.decode(question.ids) for question in questions]
    assert texts[0] == (
        "<s>user\nLayer: 0\n ? \nSay what it writes.\n\n"
        f"Text: {TEXT}\nReplaced by ?. What comes next, in a word?</s>\n<s>assistant\n"
    )
    assert texts[1].startswith("<s>user\nLayer: 2\n ? \nSay what")
    places = columns_in_batch(questions)
    for row, ((column,), question) in enumerate(zip(places, questions, strict=True)):
        assert tokenizer.decode(question.ids[: question.columns[0] + 1]).endswith("\n ?")
        there = given[1][row, column]
        unit = torch.from_numpy(vector(row + 1) / np.linalg.norm(vector(row + 1)))
        torch.testing.assert_close(read[2][row, column], there + unit * there.norm())
    check_only(read, given, 1, places)


@pytest.mark.parametrize(
    ("tokens", "marks"),
    [(LLAMA, (LLAMA[0], LLAMA[2], LLAMA[1])), (QWEN, tuple(QWEN))],
    ids=["llama", "qwen"],
)
@pytest.mark.parametrize("chat", [True, False])
def test_the_papers_explainers_get_the_raw_vector_as_embedding_between_two_marks(
    tokens: list[str], marks: tuple[str, str, str], chat: bool
) -> None:
    tokenizer = tokenizer_with(*tokens, chat_template=CHAT if chat else None, bos=not chat)
    explainer = explainer_of("paper", tokenizer)
    questions, read, given = watched(explainer)
    text = tokenizer.decode(questions[1].ids)
    asked = f"Say what it writes.\n\nFeature {''.join(marks)} of layer 2?"
    assert text == (f"<s>user\n{asked}</s>\n<s>assistant\n" if chat else f"<s>{asked}\nAnswer:")
    places = columns_in_batch(questions)
    embed = explainer.model.get_input_embeddings()
    for row, ((column,), question) in enumerate(zip(places, questions, strict=True)):
        around = question.ids[question.columns[0] - 1 : question.columns[0] + 2]
        assert tokenizer.convert_ids_to_tokens(list(around)) == list(marks)
        torch.testing.assert_close(read[0][row, column], torch.from_numpy(vector(row + 1)))
        torch.testing.assert_close(read[0][row, column + 1], embed(torch.tensor(around[2])))
    check_only(read, given, N_LAYERS, places)


def test_latentqa_writes_the_raw_vector_behind_layer_0_into_a_turn_of_its_own() -> None:
    tokenizer = tokenizer_with(*CHATML)
    explainer = explainer_of("latentqa", tokenizer)
    questions, read, given = watched(explainer)
    assert tokenizer.decode(questions[1].ids) == (
        "<|im_start|>user\n? <|im_end|>\n"
        "<|im_start|>reflect\nSure, I've analyzed the assistant.<|im_end|>\n"
        "<|im_start|>user\nSay what it writes.\n\nFeature ? of layer 2?<|im_end|>\n"
        "<|im_start|>reflect\n"
    )
    places = columns_in_batch(questions)
    for row, ((column,), question) in enumerate(zip(places, questions, strict=True)):
        assert tokenizer.decode(question.ids[: question.columns[0] + 1]) == "<|im_start|>user\n?"
        torch.testing.assert_close(read[1][row, column], torch.from_numpy(vector(row + 1)))
    check_only(read, given, 0, places)


def test_latentqa_trims_as_llama_does_and_keeps_an_unknown_template() -> None:
    tokens = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    tokenizer = tokenizer_with(*tokens)
    encoder = explainer_of("latentqa", tokenizer).encoder
    text = tokenizer.decode(encoder.questions([feature(2, 2)])[0].ids)
    assert text.startswith(
        "<s><|start_header_id|>user<|end_header_id|>\n\n?<|eot_id|>"
        "<|start_header_id|>reflect<|end_header_id|>\n\nSure,"
    )
    assert text.endswith("<|eot_id|><|start_header_id|>reflect<|end_header_id|>\n\n")
    plain = make_tokenizer()
    (found,) = explainer_of("latentqa", plain).encoder.questions([feature(2, 2)])
    assert plain.decode(found.ids).startswith("<s>user\n? </s>\n<s>assistant\nSure,")


@pytest.mark.parametrize("name", ["paper", "activation-oracle", "latentqa"])
def test_withheld_vectors_leave_the_prompt_and_questions_without_one_have_no_mark(
    name: str,
) -> None:
    tokenizer = tokenizer_with(" ?", *QWEN)
    control = explainer_of(name, tokenizer, use_vectors=False)
    explainer = explainer_of(name, tokenizer)
    for mine, theirs in zip(
        control.encoder.questions(prompts()), explainer.encoder.questions(prompts()), strict=True
    ):
        assert mine.ids == theirs.ids
        assert mine.columns == theirs.columns
        assert mine.vectors == ()
    bare = Prompt(
        query=Query(id="0" * 16, group="0" * 16, kind="word", fields={}),
        template="toy/1",
        instructions="Say it.",
        question="So?",
    )
    (found,) = explainer.encoder.questions([bare])
    assert found.columns == ()
    assert tokenizer.decode(found.ids) == "<s>user\nSay it.\n\nSo?</s>\n<s>assistant\n"
    assert explainer.complete([bare])[0].n_out > 0
    assert explainer.settings()["family"] == name
    assert explainer.settings()["injection"] == FAMILIES[name].injection.as_json()


def test_what_a_family_cannot_do_is_refused() -> None:
    tokenizer = tokenizer_with(" ?")
    with pytest.raises(
        UsageError, match=re.escape("no <|reserved_special_token_12|>, <|vision_pad|>")
    ):
        explainer_of("paper", tokenizer)
    with pytest.raises(UsageError, match="choose from paper, activation-oracle"):
        find_family("oracle")
    with pytest.raises(UsageError, match="choose other slots"):
        explainer_of("activation-oracle", tokenizer, injection=Injection(slots=3))
    shown = Prompt(
        query=feature(2, 2).query,
        template="toy/1",
        instructions="Say it.",
        question="So?",
        shots=make_shots(),
    )
    explainer = explainer_of("activation-oracle", tokenizer)
    with pytest.raises(UsageError, match="no solved queries"):
        explainer.first_logits([shown])
    bare = explainer_of("activation-oracle", tokenizer_with(" ?", chat_template=None))
    with pytest.raises(UsageError, match="needs a chat template"):
        bare.first_logits([feature(2, 2)])


def test_another_injection_can_be_asked_of_a_family() -> None:
    """A checkpoint of the family may have been trained at another layer."""
    tokenizer = tokenizer_with(" ?")
    injection = Injection(mode="add", layer=0, multiplier=2.0)
    explainer = explainer_of("activation-oracle", tokenizer, injection=injection)
    questions, read, given = watched(explainer)
    check_only(read, given, 0, columns_in_batch(questions))
    assert explainer.settings()["injection"] == injection.as_json()


def test_a_placeholder_that_a_tokenizer_joins_with_its_neighbour_is_refused() -> None:
    tokenizer = tokenizer_with("?", "\n? ")
    encoder = FamilyEncoder(
        tokenizer,
        find_family("latentqa"),
        use_vectors=True,
        injection=find_family("latentqa").injection,
    )
    with pytest.raises(UsageError, match="joins its placeholder"):
        encoder.questions([feature(2, 2)])
