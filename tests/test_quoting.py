"""The token that a query names, found in its prompt by characters, whatever the tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tiny_models import make_tokenizer
from tiny_prompts import vector
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from introspect_bench.benchmark.backends.chat import Encoder
from introspect_bench.benchmark.backends.injection import Injection
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import SLOT, Prompt, Query, Turn

TEXT = "Bob met Bob in Kyōto. Bob"


def word_tokenizer(text: str) -> Any:
    """A target's tokenizer with one token a word."""
    words = sorted(set(text.replace(".", " . ").split()))
    core = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0])
    )
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    factory: Any = PreTrainedTokenizerFast
    return factory(tokenizer_object=core)


def words_of(text: str, position: int) -> dict[str, Any]:
    tokens = text.replace(".", " .").split()
    return {
        "text": text,
        "position": position,
        "n_tokens": len(tokens),
        "token": tokens[position],
        "layers": [0, 1],
    }


def asked(fields: dict[str, Any], shots: Sequence[Turn] = ()) -> Prompt:
    return Prompt(
        query=Query(id="0" * 16, group="0" * 16, kind="last", fields=fields),
        template="toy/1",
        instructions="Say it.",
        question=f"Bob? {SLOT} replaced {fields['token']} in: {fields['text']}",
        vector=vector(1),
        shots=shots,
    )


@pytest.mark.parametrize("chat", [True, False])
def test_the_quoted_token_is_found_by_characters_of_the_targets_token(chat: bool) -> None:
    explainer_tokenizer = make_tokenizer() if chat else make_tokenizer(chat_template=None)
    encoder = Encoder(
        explainer_tokenizer,
        use_vectors=True,
        injection=Injection(mode="quoted-token"),
        target_tokenizer=word_tokenizer(TEXT),
    )
    for position, end in ((0, 3), (2, 11), (4, 20), (6, 25)):  # Bob met Bob in Kyōto . Bob
        prompt = asked(words_of(TEXT, position))
        (question,) = encoder.questions([prompt])
        start = prompt.question.index(TEXT) + end
        # the slot is 1 token in place of a space and its mark
        before = prompt.question[:start].replace(f" {SLOT}", "X").encode()
        assert question.columns == (len(before) - 1,)
        assert question.layers == ((0, 1),)
        solved = Turn(
            question=prompt.question, answer="A", vector=vector(2), fields=prompt.query.fields
        )
        head = encoder.head(asked(words_of(TEXT, 2), shots=[solved]))
        shown = explainer_tokenizer.decode(head.ids[: head.columns[0] + 1])
        assert shown.endswith(TEXT[:end])
        assert "⟦" not in explainer_tokenizer.decode([*head.ids, *question.ids])


def test_pieces_of_one_character_are_told_apart() -> None:
    encoder = Encoder(make_tokenizer(), use_vectors=True, injection=Injection(mode="quoted-token"))
    ids = encoder.tokenizer(TEXT)["input_ids"]
    columns = []
    for position in (len(TEXT[:17].encode()), len(TEXT[:18].encode()) - 1):  # two bytes of "ō"
        fields = {"text": TEXT, "position": position, "n_tokens": len(ids)}
        (question,) = encoder.questions([asked({**fields, "token": "ō", "layers": [0, 0]})])
        columns += question.columns
        assert question.ids[columns[-1]] == ids[position]
        start = columns[-1] - position
        assert question.ids[start : start + len(ids)] == tuple(ids)
    assert columns[1] == columns[0] + 1


def test_a_token_that_cannot_be_told_apart_is_refused_and_a_single_one_is_found() -> None:
    encoder = Encoder(make_tokenizer(), use_vectors=True, injection=Injection(mode="quoted-token"))
    with pytest.raises(UsageError, match="token 3 of 7 cannot be told apart"):
        encoder.questions([asked(words_of(TEXT, 2))])
    (question,) = encoder.questions([asked(words_of(TEXT, 1))])
    assert encoder.tokenizer.decode(question.ids[: question.columns[0] + 1]).endswith("Bob met")
    twice = asked(words_of(TEXT, 1))
    fields = {**twice.query.fields, "text": "Bob"}
    with pytest.raises(UsageError, match="does not quote its text exactly once"):
        encoder.questions([asked(fields)])
