"""Local explainers on tiny random models: batching, the shared head, stopping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, make_model, make_tokenizer
from tiny_prompts import make_explainer, make_prompt, make_prompts, make_shots

from introspect_bench.benchmark.backends.explainer.chat import Encoded
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.records import Prompt


def reference_logits(explainer: LocalExplainer, prompt: Prompt) -> torch.Tensor:
    """Logits of one prompt alone, without padding, cache or shared head."""
    encoder, injector = explainer.encoder, explainer.injector
    head, question = encoder.head(prompt), encoder.questions([prompt])[0]
    ids = torch.tensor([[*head.ids, *question.ids]])
    slots = [*head.columns, *(len(head.ids) + c for c in question.columns)]
    vectors = torch.from_numpy(np.stack([*head.vectors, *question.vectors]))
    scaled = vectors * (injector.mean_embedding_norm() / vectors.norm(dim=-1, keepdim=True))
    explainer.model.set_attn_implementation("eager")
    with torch.no_grad():
        embedded = explainer.model.get_input_embeddings()(ids)
        embedded[0, slots] = scaled
        logits: torch.Tensor = explainer.model(inputs_embeds=embedded).logits[0, -1]
    explainer.model.set_attn_implementation("introspect_bench_shared_head")
    return logits


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_batch_behind_a_shared_head_equals_each_prompt_alone(name: str) -> None:
    explainer = make_explainer(name)
    assert explainer.settings()["engine"] == "shared-head"
    prompts = make_prompts()
    found = explainer.first_logits(prompts)
    alone = torch.stack([reference_logits(explainer, prompt) for prompt in prompts])
    assert (alone[1:] - alone[0]).abs().amax(dim=1).min() > 0.1
    torch.testing.assert_close(found, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_replies_do_not_depend_on_batch_or_engine(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    explainer = make_explainer(name)
    prompts = make_prompts()
    together = explainer.complete(prompts)
    assert [explainer.complete([prompt])[0] for prompt in prompts] == together
    assert make_explainer(name, batch_size=2).complete(prompts) == together
    assert explainer.complete(prompts[::-1])[::-1] == together
    monkeypatch.setattr(
        type(explainer.model), "_can_set_attn_implementation", classmethod(lambda _: False)
    )
    plain = make_explainer(name)
    assert plain.settings()["engine"] == "plain"
    assert plain.complete(prompts) == together


def test_rows_that_finish_early_leave_the_others_alone() -> None:
    explainer = make_explainer("llama")
    decoder, encoder = explainer.decoder, explainer.encoder
    prompts = make_prompts()
    with torch.inference_mode():
        head = decoder.head(encoder.head(prompts[0]))
        questions = encoder.questions(prompts)
        free = decoder.greedy(head, questions, lambda _: False)
        # how long a reply gets depends on its first token: 1 to 5 tokens
        wanted = [row.ids[: 1 + row.ids[0] % 5] for row in free]
        found = decoder.greedy(head, questions, lambda ids: len(ids) > ids[0] % 5)
    assert {len(row.ids) for row in free} == {8}
    assert len({len(row) for row in wanted}) > 1
    assert [row.ids for row in found] == wanted


def test_unsupported_attention_falls_back_to_the_plain_engine() -> None:
    tokenizer = make_tokenizer()
    model = make_model("llama", tokenizer)
    original = model.forward

    # a model that loses the argument through which the head is handed down
    def forget(reach: Any = None, **given: Any) -> Any:  # noqa: ARG001
        return original(**given)

    model.forward = forget
    explainer = LocalExplainer(model, tokenizer, max_new_tokens=2)
    assert explainer.settings()["engine"] == "plain"
    assert model.config._attn_implementation == "eager"
    assert explainer.complete(make_prompts())[0].n_out > 0


def test_the_head_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = make_explainer("llama")
    calls: list[Encoded] = []
    compute = explainer.decoder.head

    def count(encoded: Encoded) -> Any:
        calls.append(encoded)
        return compute(encoded)

    monkeypatch.setattr(explainer.decoder, "head", count)
    explainer.complete(make_prompts())
    explainer.complete(make_prompts()[:2])
    assert len(calls) == 1
    # other vectors in the same words are another head
    explainer.complete([make_prompt("So?", seed=1, shots=make_shots(seed=200))])
    assert len(calls) == 2


def test_vectors_of_solved_queries_matter() -> None:
    explainer = make_explainer("llama")
    one = explainer.first_logits([make_prompt("So?", seed=1, shots=make_shots(seed=100))])
    other = explainer.first_logits([make_prompt("So?", seed=1, shots=make_shots(seed=200))])
    assert (one - other).abs().max() > 1e-3


def test_a_reply_ends_with_a_stop_token_and_is_counted() -> None:
    tokenizer = make_tokenizer()
    model = make_model("llama", tokenizer)
    prompt = make_prompt("So?")
    explainer = LocalExplainer(model, tokenizer, max_new_tokens=5)
    free = explainer.complete([prompt])[0]
    assert free.n_out == 5
    n_head = len(explainer.encoder.head(prompt).ids)
    assert free.n_in == n_head + len(explainer.encoder.questions([prompt])[0].ids)
    first = int(explainer.first_logits([prompt]).argmax())
    model.generation_config.eos_token_id = [1, first]
    assert LocalExplainer(model, tokenizer, max_new_tokens=5).complete([prompt])[0].n_out == 1


def test_a_reply_ends_at_a_line_break_after_something(monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = make_explainer("llama")
    script = "\n\nab\nc"

    def decode(ids: Sequence[int], **_: Any) -> str:
        return script[: len(ids)]

    monkeypatch.setattr(explainer.encoder.tokenizer, "decode", decode)
    assert explainer.complete([make_prompt("So?")])[0].text == "\n\nab\n"


def test_no_prompts_no_replies() -> None:
    assert make_explainer("llama").complete([]) == []


def test_prompts_that_differ_before_the_question_are_refused() -> None:
    prompts = [make_prompt("So?"), make_prompt("So?", instructions="Say more.")]
    with pytest.raises(UsageError, match="must share instructions"):
        make_explainer("llama").complete(prompts)


def test_too_long_a_prompt_is_refused() -> None:
    with pytest.raises(UsageError, match="reads at most 512"):
        make_explainer("llama").complete([make_prompt("x" * 512)])


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"max_new_tokens": 0}])
def test_sizes_below_one_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        make_explainer("llama", **arguments)


def test_not_finite_and_zero_vectors_are_refused() -> None:
    explainer = make_explainer("llama")
    for value, message in ((np.nan, "not finite"), (0.0, "zero")):
        bad = make_prompt("So?", seed=1)
        assert bad.vector is not None
        bad.vector[:] = value
        with pytest.raises(IntegrityError, match=message):
            explainer.complete([bad])


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_replies_begin_with_the_likelier_opening(name: str) -> None:
    prompts, openings = make_prompts(), ("unchanged:", "changed:")
    free, held = make_explainer(name), make_explainer(name, openings=openings)
    firsts = [free.encoder.reply_ids(opening)[0] for opening in openings]
    logits = free.first_logits(prompts)
    wanted = [openings[int(row[firsts].argmax())] for row in logits]
    replies = held.complete(prompts)
    # what follows is what the model writes after such a beginning
    head, questions = free.encoder.head(prompts[0]), free.encoder.questions(prompts)
    with torch.inference_mode():
        for reply, start, question in zip(replies, wanted, questions, strict=True):
            begun = replace(question, ids=(*question.ids, *free.encoder.reply_ids(start)))
            rest = free.decoder.greedy(free.decoder.head(head), [begun], held._done)[0].ids
            assert reply.text == free._text([*free.encoder.reply_ids(start), *rest])
            assert reply.text.lstrip().startswith(start)
            assert reply.n_out == len(rest) + len(free.encoder.reply_ids(start))
    assert held.settings()["openings"] == list(openings)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_likeliest_whole_reply_is_given(name: str) -> None:
    openings = ("unchanged:", "changed:")
    prompts = [replace(prompt, openings=openings) for prompt in make_prompts()]
    explainer = make_explainer(name, decoding="whole-reply")
    said = explainer.complete(prompts)
    assert explainer.settings()["decoding"] == "whole-reply"
    encoder, decoder = explainer.encoder, explainer.decoder
    begins = [encoder.reply_ids(opening) for opening in openings]
    with torch.inference_mode():
        head = decoder.head(encoder.head(prompts[0]))
        for reply, question in zip(said, encoder.questions(prompts), strict=True):
            scores = {}
            for begun in begins:
                ids: list[int] = []
                score = 0.0
                # one token at a time through the model alone
                while len(ids) < explainer.max_new_tokens and not (
                    ids[len(begun) :] and explainer._done(ids[len(begun) :])
                ):
                    longer = replace(question, ids=(*question.ids, *ids))
                    logits = decoder.first_logits(head, [longer])
                    forced = begun[len(ids)] if len(ids) < len(begun) else int(logits.argmax())
                    score += float(logits[0].log_softmax(-1)[forced])
                    ids.append(forced)
                scores[explainer._said(ids)] = score
            assert len(scores) == 2
            assert reply.text == max(scores, key=scores.__getitem__)
    free = make_explainer(name, decoding="whole-reply").complete(make_prompts())
    assert free == make_explainer(name).complete(make_prompts())  # a task without openings
    with pytest.raises(UsageError, match="choose from greedy, whole-reply"):
        make_explainer(name, decoding="beams")


def test_a_replayed_reply_takes_no_opening() -> None:
    fields = {"text": "So it is", "token": "So", "position": 0, "n_tokens": 8, "layers": [0, 1]}
    openings = ("unchanged:", "changed:")
    prompts = [
        replace(
            prompt,
            openings=openings,
            question=f"{prompt.question} So it is",
            query=replace(prompt.query, fields=fields),
            shots=(),
        )
        for prompt in make_prompts()
    ]
    replay = Injection(mode="replay", scaling="natural")
    free, whole = (
        make_explainer("llama", injection=replay, decoding=decoding)
        for decoding in ("greedy", "whole-reply")
    )
    assert whole.complete(prompts) == free.complete(prompts)
    assert not whole.complete(prompts)[0].text.startswith(openings)


def test_openings_that_begin_alike_are_refused() -> None:
    with pytest.raises(UsageError, match="same token"):
        make_explainer("llama", openings=("changed:", "changed!"))
