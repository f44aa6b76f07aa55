"""The token that a query names, found in its prompt by characters, whatever the tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_models import make_model, make_tokenizer
from tiny_prompts import vector
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from introspect_bench.benchmark.backends.explainer.chat import Encoder
from introspect_bench.benchmark.backends.explainer.load import load_local
from introspect_bench.benchmark.backends.injection.spec import Injection
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


def encoder_of(mode: Any, *, chat: bool = True, **more: Any) -> Encoder:
    tokenizer = make_tokenizer() if chat else make_tokenizer(chat_template=None)
    return Encoder(tokenizer, **{"use_vectors": True, "injection": Injection(mode=mode), **more})


@pytest.mark.parametrize("chat", [True, False])
def test_the_quoted_token_is_found_by_characters_of_the_targets_token(chat: bool) -> None:
    encoder = encoder_of("quoted-token", chat=chat, target_tokenizer=word_tokenizer(TEXT))
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
        shown = encoder.tokenizer.decode(head.ids[: head.columns[0] + 1])
        assert shown.endswith(TEXT[:end])
        assert "⟦" not in encoder.tokenizer.decode([*head.ids, *question.ids])


def test_pieces_of_one_character_are_told_apart() -> None:
    encoder = encoder_of("quoted-token")
    ids = encoder.tokenizer(TEXT)["input_ids"]
    columns: list[int] = []
    for position in (len(TEXT[:17].encode()), len(TEXT[:18].encode()) - 1):  # two bytes of "ō"
        fields = {"text": TEXT, "position": position, "n_tokens": len(ids)}
        (question,) = encoder.questions([asked({**fields, "token": "ō", "layers": [0, 0]})])
        columns += question.columns
        assert question.ids[columns[-1]] == ids[position]
        start = columns[-1] - position
        assert question.ids[start : start + len(ids)] == tuple(ids)
    assert columns[1] == columns[0] + 1


def test_a_token_that_cannot_be_told_apart_is_refused_and_a_single_one_is_found() -> None:
    encoder = encoder_of("quoted-token")
    with pytest.raises(UsageError, match="token 3 of 7 cannot be told apart"):
        encoder.questions([asked(words_of(TEXT, 2))])
    (question,) = encoder.questions([asked(words_of(TEXT, 1))])
    assert encoder.tokenizer.decode(question.ids[: question.columns[0] + 1]).endswith("Bob met")
    twice = asked(words_of(TEXT, 1))
    fields = {**twice.query.fields, "text": "Bob"}
    with pytest.raises(UsageError, match="does not quote its text exactly once"):
        encoder.questions([asked(fields)])


@pytest.mark.parametrize("use_vectors", [True, False])
@pytest.mark.parametrize("chat", [True, False])
def test_a_replay_begins_the_explainers_turn_with_the_text_also_without_its_vector(
    chat: bool, use_vectors: bool
) -> None:
    words = word_tokenizer(TEXT)
    encoder = encoder_of("replay", chat=chat, use_vectors=use_vectors, target_tokenizer=words)
    tokenizer = encoder.tokenizer
    turns = Encoder(tokenizer, use_vectors=False)
    for position, end in ((0, 3), (2, 11), (4, 20), (6, 25)):  # Bob met Bob in Kyōto . Bob
        prompt = asked(words_of(TEXT, position))
        assert encoder.replays(prompt)
        (question,), (plain,) = encoder.questions([prompt]), turns.questions([prompt])
        opening = "" if chat else "\n"
        shown = tokenizer.decode(question.ids)
        assert shown == f"{tokenizer.decode(plain.ids)}{opening}{TEXT}"
        if use_vectors:
            (column,) = question.columns
            assert tokenizer.decode(question.ids[: column + 1]).endswith(opening + TEXT[:end])
            assert column >= len(plain.ids)
            assert question.layers == ((0, 1),)
        else:
            assert question.vectors == ()
    assert tokenizer.decode(encoder.reply_ids("Oslo", replayed=True)) == " Oslo"


def test_only_a_quoted_text_with_a_vector_is_replayed() -> None:
    replaying = encoder_of("replay")
    prompt = asked({"text": TEXT, "token": "Bob", "layer": 1})
    assert not replaying.replays(prompt)
    (question,) = replaying.questions([prompt])
    plain = encoder_of("own-layers")
    assert question == plain.questions([prompt])[0]
    text_only = replace(asked(words_of(TEXT, 1)), question=f"Without it: {TEXT}", vector=None)
    assert not replaying.replays(text_only)


def test_solved_queries_before_a_replay_hold_their_vectors_in_their_own_text() -> None:
    encoder = encoder_of("replay", target_tokenizer=word_tokenizer(TEXT))
    first = asked(words_of(TEXT, 2))
    solved = Turn(question=first.question, answer="A", vector=vector(2), fields=first.query.fields)
    head = encoder.head(asked(words_of(TEXT, 0), shots=[solved]))
    (column,) = head.columns
    assert encoder.tokenizer.decode(head.ids[: column + 1]).endswith(TEXT[:11])


def test_the_targets_own_tokenizer_counts_when_it_is_known(tmp_path: Path) -> None:
    for name, tokenizer in (("base", make_tokenizer()), ("target", word_tokenizer(TEXT))):
        make_model("llama", make_tokenizer()).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    prompt = asked(words_of(TEXT, 2))
    quoted = Injection(mode="quoted-token")
    base, target = str(tmp_path / "base"), str(tmp_path / "target")
    explainer, _ = load_local(base, injection=quoted, target=target)
    (question,) = explainer.encoder.questions([prompt])
    shown = explainer.encoder.tokenizer.decode(question.ids[: question.columns[0] + 1])
    assert shown.endswith("Bob met Bob")
    explainer, _ = load_local(base, injection=quoted)
    with pytest.raises(UsageError, match="cannot be told apart"):
        explainer.encoder.questions([prompt])
    load_local(base, target=str(tmp_path / "nowhere"))  # nothing is counted, nothing is opened
