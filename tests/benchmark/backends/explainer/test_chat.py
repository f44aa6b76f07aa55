"""Prompts as tokens: with and without a chat template, and where vectors go."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import CHAT, make_tokenizer
from tiny_prompts import make_prompt, vector

from introspect_bench.benchmark.backends.explainer.chat import Encoded, Encoder
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import SLOT, Turn


class TestEncoder:
    def text(self, encoder: Encoder, encoded: Encoded) -> str:
        decoded: str = encoder.tokenizer.decode(encoded.ids)
        return decoded

    def test_chat_form(self) -> None:
        encoder = Encoder(make_tokenizer(), use_vectors=True)
        prompt = make_prompt("So?", shots=[Turn(question="Q", answer="R")])
        assert self.text(encoder, encoder.head(prompt)) == (
            "<s>system\nSay it.</s>\n<s>user\nQ</s>\n<s>assistant\nR</s>\n<s>user\n"
        )
        assert self.text(encoder, encoder.questions([prompt])[0]) == "So?</s>\n<s>assistant\n"

    def test_a_template_without_system_turn_gets_instructions_in_the_first_user_turn(self) -> None:
        refusing = (
            "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        )
        encoder = Encoder(make_tokenizer(chat_template=refusing + CHAT), use_vectors=True)
        shown = make_prompt("So?", shots=[Turn(question="Q", answer="R")])
        assert self.text(encoder, encoder.head(shown)).startswith("<s>user\nSay it.\n\nQ</s>")
        bare = encoder.head(make_prompt("So?"))
        assert self.text(encoder, bare) == "<s>user\nSay it.\n\n"

    @pytest.mark.parametrize("bos", [True, False])
    def test_plain_form(self, bos: bool) -> None:
        encoder = Encoder(make_tokenizer(chat_template=None, bos=bos), use_vectors=True)
        prompt = make_prompt("So?", shots=[Turn(question="Q", answer="R")])
        start = "<s>" if bos else ""
        assert self.text(encoder, encoder.head(prompt)) == f"{start}Say it.\n\nQ\nAnswer: R\n\n"
        assert self.text(encoder, encoder.questions([prompt])[0]) == "So?\nAnswer:"

    def test_chat_text_gets_no_second_beginning(self) -> None:
        encoder = Encoder(make_tokenizer(bos=True), use_vectors=True)
        assert encoder.head(make_prompt("So?")).ids[:2].count(0) == 1

    def test_the_slot_is_one_token_and_takes_the_space_before_it(self) -> None:
        encoder = Encoder(make_tokenizer(), use_vectors=True)
        found = encoder.questions([make_prompt("So?", seed=1)])[0]
        (column,) = found.columns
        assert found.ids[column] == encoder.placeholder
        assert encoder.tokenizer.decode(found.ids[:column]) == "So? Vector"
        assert encoder.tokenizer.decode(found.ids[column + 1 :]).startswith(" is in.")
        np.testing.assert_array_equal(found.vectors[0], vector(1))

    def test_a_slot_without_vector_is_refused_unless_vectors_are_left_out(self) -> None:
        prompt = make_prompt(f"So {SLOT}?")
        with pytest.raises(UsageError, match="1 slots but 0 vectors"):
            Encoder(make_tokenizer(), use_vectors=True).questions([prompt])
        assert Encoder(make_tokenizer(), use_vectors=False).questions([prompt])[0].vectors == ()

    def test_a_template_that_drops_the_question_is_refused(self) -> None:
        encoder = Encoder(make_tokenizer(chat_template="nothing"), use_vectors=True)
        with pytest.raises(UsageError, match="does not print"):
            encoder.head(make_prompt("So?"))
