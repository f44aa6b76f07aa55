"""How vectors enter: the same conformance tests for every architecture, and the settings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tiny_prompts
import torch
from tiny_models import ARCHITECTURES, D_MODEL, N_LAYERS
from tiny_prompts import vector

from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.injection.hooks import decoder_layers
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import SLOT, Prompt, Query

INJECTIONS = (
    Injection(),
    Injection(scaling="raw", multiplier=0.5),
    Injection(mode="add", layer=0),
    Injection(mode="add", layer=1, scaling="raw", multiplier=2.0),
    Injection(mode="replace", layer=1, multiplier=3.0),
    Injection(mode="replace", layer=0, scaling="raw"),
)
IDS = [f"{i.mode}-{i.layer}-{i.scaling}" for i in INJECTIONS]


def make_prompt(given: Any, *, text: str = "What does it do?") -> Prompt:
    return Prompt(
        query=Query(id="0" * 16, group="0" * 16, kind="last", fields={}),
        template="toy/1",
        instructions="Say it.",
        question=f"Here is {SLOT}. {text}",
        vector=given,
    )


def make_explainer(name: str, injection: Injection, **more: Any) -> LocalExplainer:
    return tiny_prompts.make_explainer(name, injection=injection, max_new_tokens=4, **more)


@pytest.mark.parametrize("injection", INJECTIONS, ids=IDS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_another_vector_gives_other_logits_and_the_same_the_same(
    name: str, injection: Injection
) -> None:
    explainer = make_explainer(name, injection)
    logits = explainer.first_logits([make_prompt(vector(seed)) for seed in (1, 2, 1)])
    assert (logits[0] - logits[1]).abs().max() > 1e-3
    torch.testing.assert_close(logits[0], logits[2])
    torch.testing.assert_close(explainer.first_logits([make_prompt(vector(1))])[0], logits[0])


def stream_after(explainer: LocalExplainer, layer: int, prompts: Sequence[Prompt]) -> torch.Tensor:
    """What the layer after `layer` reads, (rows, width, d_model); -1 for the first layer."""
    seen: list[torch.Tensor] = []

    def look(_module: Any, inputs: tuple[torch.Tensor, ...], given: dict[str, Any]) -> None:
        hidden = inputs[0] if inputs else given["hidden_states"]
        if hidden.shape[0] == len(prompts):  # not the head, which is one row
            seen.append(hidden)

    handle = decoder_layers(explainer.model)[layer + 1].register_forward_pre_hook(
        look, with_kwargs=True
    )
    explainer.first_logits(prompts)
    handle.remove()
    assert len(seen) == 1
    return seen[0]


@pytest.mark.parametrize("injection", INJECTIONS, ids=IDS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_residual_at_the_slot_is_what_the_mode_says(name: str, injection: Injection) -> None:
    given = [vector(1), vector(2)]
    # rows of different length, so that a slot counted without the padding is found out
    prompts = [
        make_prompt(given[0], text="What does it do to the text that follows?"),
        make_prompt(given[1]),
    ]
    explainer = make_explainer(name, injection)
    control = make_explainer(name, injection, use_vectors=False)
    layer = -1 if injection.layer is None else injection.layer
    found = stream_after(explainer, layer, prompts)
    before = stream_after(control, layer, prompts)
    questions = explainer.encoder.questions(prompts)
    width = max(len(question.ids) for question in questions)
    for row, question in enumerate(questions):
        column = width - len(question.ids) + question.columns[0]
        there, control_there = found[row, column], before[row, column]
        sent = torch.from_numpy(given[row]) * injection.multiplier
        if injection.scaling == "norm-matched":
            norm = (
                explainer.injector.mean_embedding_norm()
                if injection.mode == "embedding"
                else float(control_there.norm())
            )
            sent = sent / float(np.linalg.norm(given[row])) * norm
        if injection.mode == "add":
            sent = sent + control_there
        if injection.mode == "embedding":
            # learnt positions (GPT-2) are added to whatever stands there, so compare differences
            embed = explainer.model.get_input_embeddings()
            placeholder = embed(torch.tensor(explainer.encoder.placeholder))
            sent = sent - placeholder + control_there
        torch.testing.assert_close(there, sent, atol=1e-5, rtol=1e-4)
        others = torch.arange(width) != column
        if injection.mode == "embedding" or injection.layer == layer:
            torch.testing.assert_close(found[row, others], before[row, others])


@pytest.mark.parametrize("mode", ["embedding", "replace"])
def test_a_natural_length_is_a_states_own_and_a_directions_matched(mode: str) -> None:
    layer = None if mode == "embedding" else 1

    def stream(scaling: str, given: Any) -> Any:
        injection = Injection.from_json({"mode": mode, "layer": layer, "scaling": scaling})
        explainer = make_explainer("llama", injection)
        return stream_after(explainer, -1 if layer is None else layer, [make_prompt(given)] * 2)

    state = 3 * vector(1)
    direction = (state / np.linalg.norm(state)).astype(np.float16).astype(np.float32)
    for given, same in ((state, "raw"), (direction, "norm-matched")):
        other = {"raw": "norm-matched", "norm-matched": "raw"}[same]
        torch.testing.assert_close(stream("natural", given), stream(same, given))
        assert not torch.allclose(stream("natural", given), stream(other, given))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_mean_embedding_norm_is_that_of_what_enters_the_first_layer(name: str) -> None:
    explainer = make_explainer(name, Injection())
    weight = explainer.model.get_input_embeddings().weight
    scale = D_MODEL**0.5 if name in ("gemma2", "gemma3") else 1.0
    expected = float(weight.norm(dim=1).mean()) * scale
    assert explainer.injector.mean_embedding_norm() == pytest.approx(expected, rel=1e-5)


def test_vectors_are_only_injected_while_the_prompt_is_read() -> None:
    explainer = make_explainer("llama", Injection(mode="add", layer=1))
    explainer.complete([make_prompt(vector(1))])
    hooks = [layer._forward_hooks for layer in decoder_layers(explainer.model)]
    assert hooks == [{}] * N_LAYERS


def test_left_out_vectors_change_nothing() -> None:
    explainer = make_explainer("llama", Injection(), use_vectors=False)
    logits = explainer.first_logits([make_prompt(given) for given in (None, vector(1))])
    torch.testing.assert_close(logits[0], logits[1])
    assert explainer.settings()["vectors"] is False
    assert explainer.settings()["injection"] is None


def test_vectors_of_another_width_are_refused_in_one_sentence() -> None:
    explainer = make_explainer("llama", Injection())
    with pytest.raises(UsageError, match=r"width 5 but .* width 16 .*--no-vector"):
        explainer.complete([make_prompt(vector(1, width=5))])
    control = make_explainer("llama", Injection(), use_vectors=False)
    control.check_width(5)
    assert control.complete([make_prompt(vector(1, width=5))])[0].n_out > 0


def test_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="layers 0 to 2"):
        make_explainer("llama", Injection(mode="add", layer=N_LAYERS))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "steer"}, "expected embedding, add, replace"),
        ({"scaling": "unit"}, "expected raw, norm-matched"),
        ({"mode": "embedding", "layer": 1}, "takes no layer"),
        ({"mode": "add"}, "needs a layer"),
        ({"mode": "replace", "layer": -1}, "needs a layer"),
        ({"mode": "replace", "layer": True}, "needs a layer"),
        ({"multiplier": 0}, "not above 0"),
        ({"multiplier": float("nan")}, "not above 0"),
        ({"multiplier": -(10**30)}, "not above 0"),
        ({"multiplier": "2"}, "not a number"),
        ({"mode": "own-layers", "layer": 1}, "takes no layer"),
        ({"mode": "quoted-copy"}, "expected embedding, add, replace"),
        ({"mode": "replay", "otherwise": "embedding"}, "key 'otherwise'"),
        ({"slots": 0}, "expected 1 to 16"),
        ({"slots": True}, "expected 1 to 16"),
        ({"strength": 2}, "key 'strength'"),
    ],
)
def test_impossible_injections_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Injection.from_json(values)


def test_a_single_slot_and_no_maps_are_not_written() -> None:
    old = {"mode": "add", "layer": 1, "scaling": "raw", "multiplier": 2.0}
    assert Injection.from_json(old).as_json() == old
    assert Injection.from_json({}).as_json() == Injection().as_json()
    assert list(Injection().as_json()) == ["mode", "layer", "scaling", "multiplier"]
    quoted = Injection(mode="quoted-token", slots=3, scaling="learned")
    assert Injection.from_json(quoted.as_json()) == quoted


@pytest.mark.parametrize(
    "injection", [*INJECTIONS, Injection(multiplier=10**30)], ids=[*IDS, "whole number"]
)
def test_an_injection_survives_json(injection: Injection) -> None:
    assert Injection.from_json(injection.as_json()) == injection


def test_the_settings_do_not_import_torch() -> None:
    module = "introspect_bench.benchmark.backends.injection.spec"
    code = f"import sys, {module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
