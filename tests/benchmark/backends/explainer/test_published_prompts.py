"""The paper's prompts as its code tokenises them, and replies that end where its replies do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tiny_families import QWEN, tokenizer_with
from tiny_models import CHAT, make_model
from tiny_prompts import make_prompt

from introspect_bench.benchmark.backends.explainer.families import find_family
from introspect_bench.benchmark.backends.explainer.local import UNSTOPPED, LocalExplainer
from introspect_bench.benchmark.evaluation.explainers import PAPER_STOPS

SLOTTED = "".join(QWEN)
HEADED = "{{ bos_token }}" + CHAT
"""As the template of Llama 3, which begins with the token that its tokenizer puts in front too."""


def explainer(*, architecture: str = "", **tokenizer: Any) -> LocalExplainer:
    own = tokenizer_with(*QWEN, **tokenizer)
    model = make_model("llama", own)
    model.config.architectures = [architecture]
    return LocalExplainer(model, own, family=find_family("paper"), stops=PAPER_STOPS)


def asked(one: LocalExplainer, instructions: str, template: str = "paper/x/1") -> str:
    prompt = replace(make_prompt("Q", seed=1, instructions=instructions), template=template)
    (encoded,) = one.encoder.questions([prompt])
    assert len(encoded.columns) == 1
    return str(one.encoder.tokenizer.decode(encoded.ids))


def test_a_chat_has_the_token_at_its_beginning_twice() -> None:
    text = f"<s>system\nS</s>\n<s>user\nQ Vector {SLOTTED} is in.</s>\n<s>assistant\n"
    assert asked(explainer(chat_template=HEADED, bos=True), "S") == f"<s><s>{text}"
    assert asked(explainer(chat_template=CHAT), "S") == text  # as of Qwen, which puts none
    assert asked(explainer(chat_template=CHAT), "").startswith("<s>user\nQ")


def test_plain_text_is_the_template_alone() -> None:
    bare = explainer(chat_template=None, bos=True)
    assert asked(bare, "") == f"<s>Q Vector {SLOTTED} is in."


def test_the_family_alone_keeps_our_words() -> None:
    one = explainer(chat_template=HEADED, bos=True)
    text = f"<s>user\nS\n\nQ Vector {SLOTTED} is in.</s>\n<s>assistant\n"
    assert asked(one, "S", "activation-patching/1") == f"<s>{text}"


@pytest.mark.parametrize(
    ("text", "done"),
    [("a", False), ("\n", True), ("a >>>.", True), ("a >>>", False), ("a [END]", True)],
)
def test_replies_end_where_the_paper_s_do(text: str, done: bool) -> None:
    one = explainer()
    ids = one.encoder.reply_ids(text)
    assert one._done(ids) is done
    assert one._done([*ids, 1])  # the token that ends a turn
    assert one.settings()["stops"] == [*PAPER_STOPS]
    assert one.limited(7).decoder.max_new_tokens == one.limited(7).max_new_tokens == 7


def test_checkpoints_of_one_architecture_have_no_stops() -> None:
    one = explainer(architecture=UNSTOPPED)
    assert not one._done(one.encoder.reply_ids("a >>>.\n"))
    assert one.settings()["stops"] == []
