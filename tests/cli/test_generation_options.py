"""How a local model's replies are generated: how long, with thinking or not, behind which text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program import ABLATIONS, Call, succeeded, the_sentence
from tiny_models import CHAT, make_model, make_tokenizer, save_model
from tiny_prompts import make_explainer, make_prompt
from tiny_suites import D_TARGET

from introspect_bench.benchmark.backends.explainer.chat import Encoder
from introspect_bench.benchmark.backends.explainer.families import FAMILIES
from introspect_bench.benchmark.backends.explainer.local import (
    MAX_NEW_TOKENS,
    MAX_THINKING_TOKENS,
    LocalExplainer,
)
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.prompts import AUTO_BATCH_SIZE
from introspect_bench.benchmark.runs.reply_text import has_ended

SWITCH = CHAT.replace(
    "assistant\n",
    "assistant\n{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}",
)
"""As the templates of Qwen 3: without thinking the reply is opened behind an empty block."""
OPENED = CHAT.replace("assistant\n", "assistant\n<think>\n")
"""As the templates of reasoning models: the prompt itself begins the thinking."""


def explainer(template: str | None, **options: Any) -> LocalExplainer:
    tokenizer = make_tokenizer(chat_template=template)
    return LocalExplainer(make_model("llama", tokenizer), tokenizer, **options)


def asked(template: str | None, **options: Any) -> str:
    """The whole prompt that an explainer reads."""
    encoder = Encoder(make_tokenizer(chat_template=template), use_vectors=True, **options)
    prompt = make_prompt("Is it A?")
    ids = [*encoder.head(prompt).ids, *encoder.questions([prompt])[0].ids]
    return str(encoder.tokenizer.decode(ids))


def test_thinking_is_turned_on_where_the_template_knows_it() -> None:
    on, off, left = (asked(SWITCH, thinking=choice) for choice in (True, False, None))
    assert on.endswith("assistant\n")
    assert off == left == on + "<think>\n\n</think>\n\n"
    assert explainer(SWITCH, thinking=True).settings()["thinking"] is True
    assert "thinking" not in explainer(SWITCH).settings()


@pytest.mark.parametrize("template", [CHAT, None])
@pytest.mark.parametrize("choice", [True, False])
def test_thinking_is_refused_where_the_template_knows_none(
    template: str | None, choice: bool
) -> None:
    with pytest.raises(UsageError, match="has no enable_thinking"):
        explainer(template, thinking=choice)


def test_the_longest_reply_is_longer_with_thinking() -> None:
    assert explainer(SWITCH).max_new_tokens == MAX_NEW_TOKENS
    assert explainer(SWITCH, thinking=True).max_new_tokens == MAX_THINKING_TOKENS
    assert explainer(SWITCH, thinking=True, max_new_tokens=7).max_new_tokens == 7


@pytest.mark.parametrize("template", [CHAT, None])
def test_the_system_text_stands_before_the_instructions(template: str | None) -> None:
    plain, told = asked(template), asked(template, system="Be brief.")
    assert told == plain.replace("Say it.", "Be brief.\n\nSay it.")
    assert told != plain
    assert explainer(template, system="Be brief.").settings()["system"] == "Be brief."


def test_a_family_and_a_reply_chosen_as_a_whole_take_neither() -> None:
    for options in ({"thinking": True}, {"system": "Be brief."}):
        with pytest.raises(UsageError, match="family latentqa has its own prompts"):
            make_explainer("llama", family=FAMILIES["latentqa"], **options)
    with pytest.raises(UsageError, match="whole-reply leaves no room for thinking"):
        explainer(SWITCH, thinking=True, decoding="whole-reply")


def test_thinking_that_the_prompt_begins_is_part_of_the_reply() -> None:
    (reply,) = explainer(OPENED, max_new_tokens=3).complete([make_prompt("Is it A?")])
    (plain,) = explainer(CHAT, max_new_tokens=3).complete([make_prompt("Is it A?")])
    assert reply.text.startswith("<think>")
    assert not plain.text.startswith("<think>")


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("", False),
        ("\n\n", False),
        ("changed: A", False),
        ("changed: A\n", True),
        ("\n changed: A\nB", True),
        ("<think>changed: A\n\n", False),
        ("<think>\nA\n</think>\n\n", False),
        ("<think>\nA\n</think>\n\nchanged: A\n", True),
        ("```\n", False),
        ("> ```text\n", False),
        ("```\nchanged: A\n", True),
        ("Final answer:\n", False),
        ("Final answer:\nchanged: A\n", True),
    ],
)
def test_a_reply_ends_behind_its_first_line_of_words(text: str, ended: bool) -> None:
    assert has_ended(text) is ended
    model = explainer(CHAT)
    if text:
        ids = model.encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert model._done(ids) is ended


def saved(folder: Path, template: str) -> str:
    tokenizer = make_tokenizer(chat_template=template)
    sizes = {"hidden_size": D_TARGET, "max_position_embeddings": 2048}
    return str(save_model(folder, tokenizer, **sizes))


def test_a_run_records_its_options_and_is_not_continued_with_others(
    call: Call, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "switch", SWITCH)
    words = ("run", "--suite", "toy", "-t", ABLATIONS, "--split", "mini", "-m", folder)
    options = ("--max-new-tokens", "5", "--thinking", "--system", "Be brief.")
    out = succeeded(call(*words, *options, "--json"))
    header = json.loads(Path(json.loads(out)["runs"][0]["path"]).read_text().splitlines()[0])
    kept = {"max_new_tokens": 5, "thinking": True, "system": "Be brief."}
    assert header["generation"] == {**kept, "seed": 0, "batch_size": AUTO_BATCH_SIZE}
    code, _, err = call(*words, *options)
    assert code == 0, err
    for changed in (
        ("--max-new-tokens", "6", *options[2:]),
        ("--max-new-tokens", "5", "--no-thinking", *options[3:]),
        (*options[:3], "--system", "Be long."),
        options[:3],
    ):
        code, _, err = call(*words, *changed)
        assert code != 0
        assert "another run" in the_sentence(err)


def test_a_run_without_options_records_what_holds(call: Call, tmp_path: Path) -> None:
    folder = saved(tmp_path / "plain", CHAT)
    words = ("run", "--suite", "toy", "-t", ABLATIONS, "--split", "mini", "--json", "-m", folder)
    out = succeeded(call(*words))
    header = json.loads(Path(json.loads(out)["runs"][0]["path"]).read_text().splitlines()[0])
    kept = {"max_new_tokens": MAX_NEW_TOKENS, "thinking": False}  # and no system text
    assert header["generation"] == {**kept, "seed": 0, "batch_size": AUTO_BATCH_SIZE}
    code, _, err = call(*words, "--thinking", "--output", "other")
    assert code != 0
    assert "no enable_thinking" in the_sentence(err)


@pytest.mark.parametrize(
    "option", [("--max-new-tokens", "9"), ("--no-thinking",), ("--system", "Be brief.")]
)
def test_a_baseline_takes_no_options_of_models(call: Call, option: tuple[str, ...]) -> None:
    code, _, err = call("run", "--suite", "toy", "-m", "baseline/constant", *option)
    assert code != 0
    assert "are for local language models only" in the_sentence(err)
