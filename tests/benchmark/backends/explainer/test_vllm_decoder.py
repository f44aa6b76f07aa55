"""Replies through vLLM: those of this package, token by token, and what vLLM is told.

A stand-in for vLLM generates with transformers from the prompts' embeddings, so it shares nothing
with our decoding. Where vLLM is installed, the same prompts go through it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_models import make_model, make_tokenizer, save_model
from tiny_prompts import make_prompts
from tiny_vllm import LLM, put_in
from transformers import AutoModelForCausalLM

from introspect_bench.benchmark.backends.explainer import load, vllm_decoder
from introspect_bench.benchmark.backends.explainer.load import load_local
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.injection.hooks import decoder_layers
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError
from introspect_bench.benchmark.evaluation.explainers import check_model
from introspect_bench.benchmark.evaluation.spec import RunSpec
from introspect_bench.benchmark.prompts import PromptSpec, build_prompts, cut_batches, render_all
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.select import find_suite

WANTED = {
    "dtype": "float32",
    "enable_prefix_caching": False,
    "enable_prompt_embeds": True,
    "generation_config": "vllm",
    "logprobs_mode": "raw_logprobs",
    "max_logprobs": -1,
    "skip_tokenizer_init": True,
}


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_model(tmp_path / "model")


def replies(explainer: LocalExplainer) -> list[Any]:
    return explainer.complete(make_prompts())


def assert_equal(found: list[Any], expected: list[Any], tolerance: float = 1e-4) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.text, one.n_in, one.n_out, one.ends) == (
            other.text,
            other.n_in,
            other.n_out,
            other.ends,
        )
        assert one.logprobs == pytest.approx(other.logprobs, abs=tolerance)


@pytest.mark.usefixtures("vllm")
class TestReplies:
    @pytest.mark.parametrize("scaling", ["norm-matched", "raw"])
    def test_they_are_those_of_this_package(self, folder: Path, scaling: Any) -> None:
        chosen = Injection(scaling=scaling, slots=2)
        ours, _ = load_local(str(folder), injection=chosen, max_new_tokens=8)
        explainer, card = load_local(str(folder), injection=chosen, max_new_tokens=8, vllm={})
        assert_equal(replies(explainer), replies(ours))
        assert card.settings["engine"] == "vllm"
        assert card.settings["vllm"] == {"version": "0.0"}
        assert next(decoder_layers(explainer.model).parameters()).is_meta
        blind = explainer.without_vectors().complete(make_prompts())
        assert [one.text for one in blind] != [one.text for one in replies(explainer)]
        assert_equal(blind, replies(ours.without_vectors()))

    def test_layers_that_cannot_be_told_apart_stay(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: Any) -> None:
            raise UsageError("its decoder layers cannot be told apart")

        monkeypatch.setattr(vllm_decoder, "decoder_layers", refuse)
        ours, _ = load_local(str(folder), max_new_tokens=8)
        explainer, _ = load_local(str(folder), max_new_tokens=8, vllm={})
        assert_equal(replies(explainer), replies(ours))

    def test_a_stop_token_ends_them(self, folder: Path) -> None:
        tokenizer = make_tokenizer()
        model = make_model("llama", tokenizer)
        written = load_local(str(folder), max_new_tokens=8)[0]
        first = tokenizer(replies(written)[0].text[:1], add_special_tokens=False)["input_ids"][0]
        model.generation_config.eos_token_id = [first]
        llm = LLM(str(folder))
        explainer = LocalExplainer(model, tokenizer, max_new_tokens=8, llm=llm)
        assert replies(explainer)[0].n_out == 1

    @pytest.mark.parametrize("threshold", [-100.0, 0.0, 100.0])
    def test_they_begin_as_the_first_logits_say(self, folder: Path, threshold: float) -> None:
        def begin(logits: torch.Tensor) -> list[Any]:
            above = logits[:, 3] - logits[:, 7] > threshold
            return [(3 if one else 7,) if row else () for row, one in enumerate(above.tolist())]

        found = []
        for vllm in (None, dict[str, Any]()):
            explainer, _ = load_local(str(folder), max_new_tokens=6, vllm=vllm)
            head, questions = explainer._encoded(make_prompts())
            found.append(
                explainer.decoder.greedy(head, questions, lambda ids: ids[-1] in (1, 9), begin)
            )
        for ours, other in zip(*found, strict=True):
            assert ours.ids == other.ids
            assert ours.logprobs == pytest.approx(other.logprobs, abs=1e-4)

    def test_weights_that_give_nan_end_the_run(self, folder: Path) -> None:
        explainer, _ = load_local(str(folder), vllm={})
        with torch.no_grad():
            LLM.made.weights.lm_head.weight.fill_(float("nan"))
        for ask in (explainer.complete, explainer.first_logits):
            with pytest.raises(IntegrityError, match="0000000000000000"):
                ask(make_prompts())

    # peft 0.21 reads a property that transformers 5.23 deprecates
    @pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
    def test_an_adapter_is_merged_for_it(self, folder: Path, tmp_path: Path) -> None:
        from peft import LoraConfig, get_peft_model

        base = AutoModelForCausalLM.from_pretrained(folder)
        adapter = get_peft_model(base, LoraConfig(r=2, init_lora_weights=False))
        adapter.save_pretrained(str(tmp_path / "adapter"))
        where: dict[str, Any] = {"base": str(folder), "max_new_tokens": 8}
        ours, _ = load_local(str(tmp_path / "adapter"), **where)
        explainer, card = load_local(str(tmp_path / "adapter"), **where, vllm={"seed": 3})
        assert_equal(replies(explainer), replies(ours))
        assert (
            replies(ours)[0].text != replies(load_local(str(folder), max_new_tokens=8)[0])[0].text
        )
        assert LLM.made.options == {**WANTED, "seed": 3}
        assert card.settings["vllm"] == {"version": "0.0", "seed": 3}

    def test_a_prompt_too_long_for_it_is_our_error(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        explainer, _ = load_local(str(folder), vllm={})

        def refuse(*_: Any, **__: Any) -> None:
            raise ValueError("longer than max_model_len")

        monkeypatch.setattr(LLM.made, "generate", refuse)
        with pytest.raises(UsageError, match="vLLM: longer than max_model_len"):
            replies(explainer)

    @pytest.mark.parametrize("name", ["VLLMValidationError", "EngineDeadError"])
    def test_errors_of_its_own_are_ours(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """Since 0.32 they are no ValueErrors."""
        explainer, _ = load_local(str(folder), vllm={})

        def refuse(*_: Any, **__: Any) -> None:
            raise type(name, (Exception,), {})("no room\nsecond line")

        monkeypatch.setattr(LLM.made, "generate", refuse)
        with pytest.raises(UsageError, match=r"vLLM: no room$"):
            replies(explainer)

    def test_a_reply_that_is_cut_off_is_no_reply(self, folder: Path) -> None:
        explainer, _ = load_local(str(folder), max_new_tokens=8)
        longest = max(one.n_in for one in replies(explainer))
        explainer, _ = load_local(
            str(folder), max_new_tokens=8, vllm={"max_model_len": longest + 3}
        )
        with pytest.raises(UsageError, match="cut a reply off after 3 of 8 tokens"):
            replies(explainer)


@pytest.mark.usefixtures("vllm")
class TestRefusals:
    def test_a_model_that_it_computes_otherwise(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As Falcon-H1 of transformers, which leaves embeddings that it is given unscaled."""
        monkeypatch.setattr(LLM, "scale", 8.0)
        with pytest.raises(UsageError, match="computes LlamaForCausalLM otherwise than"):
            load_local(str(folder), vllm={})

    @pytest.mark.parametrize("device", ["cpu", "meta:1"])
    def test_devices_that_are_not_its_own(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, device: str
    ) -> None:
        kind = "cuda" if device == "cpu" else "meta"
        platform = SimpleNamespace(device_type=kind)
        monkeypatch.setattr(sys.modules["vllm.platforms"], "current_platform", platform)
        monkeypatch.setattr(load, "usable_device", torch.device)
        with pytest.raises(UsageError, match=f"runs on {kind}, .* give --device {kind}"):
            load_local(device=device, model=str(folder), vllm={})
        assert LLM.made is None

    @pytest.mark.parametrize("mode", ["own-layers", "replay", "quoted-token"])
    def test_vectors_that_enter_at_layers(self, folder: Path, mode: Any) -> None:
        explainer, _ = load_local(str(folder), vllm={}, injection=Injection(mode=mode))
        with pytest.raises(UsageError, match=f"enter by {mode}; leave --engine out"):
            explainer.check_width(16)
        explainer.without_vectors().check_width(16)

    @pytest.mark.parametrize("decoding", ["whole-reply", "compared"])
    def test_other_decodings(self, folder: Path, decoding: str) -> None:
        with pytest.raises(UsageError, match=f"leave decoding {decoding}"):
            load_local(str(folder), vllm={}, decoding=decoding)

    @pytest.mark.parametrize(
        "name", ["model", "dtype", "trust_remote_code", "max_logprobs", "logprobs_mode", "hf_token"]
    )
    def test_arguments_that_are_fixed(self, folder: Path, name: str) -> None:
        with pytest.raises(UsageError, match=f"{name} of vLLM can't be chosen"):
            check(folder, engine="vllm", explainer_args={name: "x"})

    def test_what_vllm_cannot_load(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise RuntimeError("no kernel for it\nsecond line")

        monkeypatch.setattr(LLM, "__init__", refuse)
        with pytest.raises(MissingPartError, match=r"vLLM cannot load .*: no kernel for it$"):
            load_local(str(folder), vllm={})

    @pytest.mark.parametrize("options", [{"device_map": "auto"}, {"quantization": "8bit"}])
    def test_placing_by_transformers(self, folder: Path, options: Any) -> None:
        with pytest.raises(UsageError, match="tensor_parallel_size"):
            check(folder, engine="vllm", **options)

    def test_several_processes(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        check(folder, engine="vllm", explainer_args={"seed": 1})
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(UsageError, match="in one process"):
            check(folder, engine="vllm")


def check(folder: Path, **options: Any) -> None:
    check_model(RunSpec(model=str(folder), **options), get_task("activation-patching"))


def test_without_vllm_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingPartError, match="introspect-bench\\[vllm\\]"):
        check(folder, engine="vllm")
    with pytest.raises(UsageError, match="--engine vllm only"):
        check(folder, explainer_args={"seed": 1})


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_the_installed_one_replies_as_this_package_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded target, asked about its activations; its weights come from the package index."""
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")  # GB, where it runs on the CPU
    task = get_task("activation-patching")
    spec = PromptSpec(
        task=task, suite=find_suite("smollm2-135m", task.name), split="validation", batch_size=12
    )
    rendered = render_all(task, spec.select()[:12])
    batches = list(build_prompts(spec, cut_batches(rendered, 12)))
    found = []
    for vllm in (None, dict[str, Any]()):
        explainer, _ = load_local("smollm2-135m", injection=Injection(), vllm=vllm)
        found.append([reply for prompts in batches for reply in explainer.complete(prompts)])
    assert len(found[0]) == 12
    assert_equal(found[1], found[0], 1e-3)
