"""Vectors in a query's own layers, at its slots or its quoted token: the exact places, both ways.

"Both ways" is generation, with its shared head and left padding, and training, with whole prompts
and right padding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tiny_prompts
import torch
from tiny_models import ARCHITECTURES, N_LAYERS, make_model, make_tokenizer
from tiny_places import TEXT, Watch, feature, lesson_of, patching
from tiny_prompts import vector

from introspect_bench.benchmark.backends.explainer.chat import Encoded
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.injection.hooks import decoder_layers
from introspect_bench.benchmark.backends.injection.learned import Learned
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.backends.training.module import TrainedExplainer, collate
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import SLOT, Prompt, Query

INJECTIONS = (
    Injection(mode="own-layers", scaling="raw", multiplier=2.0),
    Injection(mode="own-layers", slots=3),
    Injection(mode="own-layers", scaling="learned"),
    Injection(mode="quoted-token", scaling="raw"),
    Injection(mode="quoted-token", scaling="learned", multiplier=0.5),
    Injection(mode="replace", layer=1, slots=3, scaling="learned"),
    Injection(slots=2, scaling="learned"),
)
IDS = [f"{i.mode}-{i.scaling}-{i.slots}" for i in INJECTIONS]
LOG_SCALE = 0.7


def make_prompts() -> list[Prompt]:
    """Other layers and lengths in one batch; quoted bytes of the second "Bob" and of "ō"."""
    return [
        patching(TEXT, 8, (0, 1), 1, "What comes next, in a word or two?"),
        patching(TEXT, 17, (1, 1), 2, "What?"),
        feature(0, 3),
    ]


def make_explainer(name: str, injection: Injection, **more: Any) -> LocalExplainer:
    learned = Learned(log_scale=LOG_SCALE if injection.scaling == "learned" else None)
    more = {"injection": injection, "learned": learned, "max_new_tokens": 4, **more}
    return tiny_prompts.make_explainer(name, **more)


def columns_and_layers(
    injection: Injection, prompt: Prompt, question: Encoded, placeholder: int
) -> tuple[list[int], tuple[int, int]]:
    """Where the vector must be by the declaration, from the prompt's text alone."""
    fields = prompt.query.fields
    if injection.mode == "quoted-token" and "position" in fields:
        # one token a byte, so the text begins where its bytes begin
        start = len(prompt.question[: prompt.question.index(TEXT)].encode())
        columns = [start + fields["position"]]
    else:
        first = len(prompt.question[: prompt.question.index(f" {SLOT}")].encode())
        columns = list(range(first, first + injection.slots))
        assert [question.ids[column] for column in columns] == [placeholder] * injection.slots
    if injection.own:
        return columns, tuple(fields.get("layers", [fields.get("layer")] * 2))
    layer = -1 if injection.layer is None else injection.layer
    return columns, (layer, layer)


def declared(explainer: LocalExplainer, given: Any, there: torch.Tensor) -> torch.Tensor:
    injection = explainer.injector.injection
    sent = torch.from_numpy(given) * injection.multiplier
    if injection.scaling != "raw":
        norm = float(there.norm())
        if injection.mode == "embedding":
            norm = explainer.injector.mean_embedding_norm()
        sent = sent / float(np.linalg.norm(given)) * norm
    return sent * float(np.exp(LOG_SCALE)) if injection.scaling == "learned" else sent


@pytest.mark.parametrize("injection", INJECTIONS, ids=IDS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_vector_is_in_its_layers_at_its_places_and_nothing_else_is_touched(
    name: str, injection: Injection
) -> None:
    explainer, prompts = make_explainer(name, injection), make_prompts()
    watch = Watch(explainer.model)
    explainer.first_logits(prompts)
    read, given = watch.last()
    questions = explainer.encoder.questions(prompts)
    width = max(len(question.ids) for question in questions)
    touched = torch.zeros(N_LAYERS, len(prompts), width, dtype=torch.bool)
    for row, (prompt, question) in enumerate(zip(prompts, questions, strict=True)):
        columns, (first, last) = columns_and_layers(
            injection, prompt, question, explainer.encoder.placeholder
        )
        for column in (width - len(question.ids) + column for column in columns):
            for layer in range(max(first, 0), last + 1):
                there = given[layer][row, column]
                sent = declared(explainer, prompt.vector, there)
                torch.testing.assert_close(read[layer + 1][row, column], sent)
                touched[layer, row, column] = True
    for layer in range(N_LAYERS - 1):
        same = (read[layer + 1] == given[layer]).all(dim=-1)
        assert torch.equal(~same, touched[layer])
    if injection.mode != "embedding":
        control = make_explainer(name, injection, use_vectors=False)
        watch = Watch(control.model)
        control.first_logits(prompts)
        assert torch.equal(watch.last()[0][0], read[0])


@pytest.mark.parametrize("injection", INJECTIONS, ids=IDS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_training_reads_the_residuals_of_a_run(name: str, injection: Injection) -> None:
    explainer, prompts = make_explainer(name, injection), make_prompts()
    watch = Watch(explainer.model)
    logits = explainer.first_logits(prompts)
    read, _ = watch.last()
    module = TrainedExplainer(make_model(name, make_tokenizer()), injection)
    if module.log_scale is not None:
        assert float(module.log_scale.detach()) == 0.0
        module.log_scale.data.fill_(LOG_SCALE)
    lessons = [lesson_of(explainer.encoder, prompt) for prompt in prompts]
    watch = Watch(module.model)
    found = module(collate(lessons, pad=0))
    trained, _ = watch.last()
    n_head = len(explainer.encoder.head(prompts[0]).ids)
    for layer in range(N_LAYERS):
        for row, lesson in enumerate(lessons):
            mine = trained[layer][row, : lesson.n_prompt - n_head]
            theirs = read[layer][row, -(lesson.n_prompt - n_head) :]
            torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
    # and the first answer token of a run is as likely as in training
    first = [lesson_of(explainer.encoder, prompt) for prompt in prompts]
    batch = collate(
        [replace(one, ids=one.ids[: one.n_prompt + 1]) for one in first],
        pad=0,
    )
    answers = torch.tensor([one.ids[one.n_prompt] for one in first])
    expected = torch.nn.functional.cross_entropy(logits, answers)
    torch.testing.assert_close(module(batch)["loss"], expected, atol=1e-4, rtol=1e-4)
    found["loss"].backward()
    if module.log_scale is not None:
        assert module.log_scale.grad is not None
        assert float(module.log_scale.grad.abs()) > 0


def test_a_quoted_token_with_the_targets_weights_replays_the_intervention() -> None:
    """Behind the token, the explainer's residuals are the patched target's on the same ids."""
    injection = Injection(mode="quoted-token", scaling="raw")
    explainer = make_explainer("llama", injection)
    prompt = patching(TEXT, 8, (1, 1), 1, "What?")
    watch = Watch(explainer.model)
    explainer.first_logits([prompt])
    read, _ = watch.last()
    head, (question,) = explainer.encoder.head(prompt), explainer.encoder.questions([prompt])
    target = make_model("llama", make_tokenizer())
    place = len(head.ids) + question.columns[0]

    def patch(_m: Any, _args: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        hidden[0, place] = torch.from_numpy(vector(1))
        return output

    decoder_layers(target)[1].register_forward_hook(patch)
    seen = Watch(target)
    with torch.no_grad():
        target(torch.tensor([[*head.ids, *question.ids]]))
    theirs, _ = seen.last()
    for layer in range(N_LAYERS):
        torch.testing.assert_close(
            read[layer][0], theirs[layer][0, len(head.ids) :], atol=1e-4, rtol=1e-4
        )


NAMELESS = Query(id="0" * 16, group="0" * 16, kind="sae", fields={})


def test_queries_without_layers_and_layers_that_are_not_there_are_refused() -> None:
    explainer = make_explainer("llama", Injection(mode="own-layers", scaling="raw"))
    prompt = replace(feature(0, 1), query=NAMELESS)
    with pytest.raises(UsageError, match="names no layers"):
        explainer.first_logits([prompt])
    with pytest.raises(UsageError, match="layer 3: this explainer has layers 0 to 2"):
        explainer.first_logits([feature(N_LAYERS, 1)])


def test_left_out_vectors_keep_their_slots_but_need_no_layers() -> None:
    explainer = make_explainer("llama", Injection(mode="own-layers", slots=3), use_vectors=False)
    (question,) = explainer.encoder.questions([replace(feature(0, 1), query=NAMELESS)])
    assert len(question.columns) == 3
    assert question.layers == question.vectors == ()
