"""Local explainers on tiny random models: batching, the shared head, stopping, loading."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, CHAT, D_MODEL, make_model, make_tokenizer

from introspect_bench.benchmark.backends import loading
from introspect_bench.benchmark.backends.chat import Encoded, Encoder
from introspect_bench.benchmark.backends.generation import LocalExplainer
from introspect_bench.benchmark.backends.injection import Injection
from introspect_bench.benchmark.backends.loading import load_local
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError
from introspect_bench.benchmark.files import sha256_file
from introspect_bench.benchmark.records import SLOT, Prompt, Query, Turn

TEXTS = ("Is it A?", "Is it the second one?", "So?", "What is this, in a few words?", "And B?")


def vector(seed: int, width: int = D_MODEL) -> Any:
    return np.random.default_rng(seed).standard_normal(width).astype(np.float32)


def make_prompt(
    text: str, *, seed: int | None = None, shots: Sequence[Turn] = (), instructions: str = "Say it."
) -> Prompt:
    slot = "" if seed is None else f" Vector {SLOT} is in."
    return Prompt(
        query=Query(id="0" * 16, group="0" * 16, kind="last", fields={}),
        template="toy/1",
        instructions=instructions,
        question=text + slot,
        vector=None if seed is None else vector(seed),
        shots=shots,
    )


def make_shots(seed: int = 100) -> tuple[Turn, ...]:
    return tuple(
        Turn(question=f"Shot {i} {SLOT}?", answer="changed: A", vector=vector(seed + i))
        for i in range(2)
    )


def make_prompts() -> list[Prompt]:
    shots = make_shots()
    return [make_prompt(text, seed=i, shots=shots) for i, text in enumerate(TEXTS)]


def make_explainer(name: str, **arguments: Any) -> LocalExplainer:
    tokenizer = make_tokenizer()
    return LocalExplainer(
        make_model(name, tokenizer), tokenizer, **{"max_new_tokens": 8, **arguments}
    )


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
        wanted = [row[: 1 + row[0] % 5] for row in free]
        found = decoder.greedy(head, questions, lambda ids: len(ids) > ids[0] % 5)
    assert {len(row) for row in free} == {8}
    assert len({len(row) for row in wanted}) > 1
    assert found == wanted


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tokenizer = make_tokenizer()
    path = tmp_path / "model"
    make_model("llama", tokenizer).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


class TestLoading:
    def test_a_folder_loads_with_its_hashes_and_settings(self, folder: Path) -> None:
        explainer, card = load_local(str(folder), batch_size=3, max_new_tokens=4)
        expected = make_explainer("llama", max_new_tokens=4).complete(make_prompts())
        assert explainer.complete(make_prompts()) == expected
        assert card.kind == "local"
        assert card.weights_sha256 == {
            "model.safetensors": sha256_file(folder / "model.safetensors")
        }
        assert json.loads(json.dumps(card.settings)) == {
            "injection": Injection().as_json(),
            "vectors": True,
            "prompt_form": "chat",
            "engine": "shared-head",
            "dtype": "float32",
            "batch_size": 3,
            "max_new_tokens": 4,
            "decoding": "greedy",
        }

    def test_weights_of_low_precision_share_the_head_too(self, folder: Path) -> None:
        explainer, card = load_local(str(folder), dtype="bfloat16")
        assert card.settings["dtype"] == "bfloat16"
        assert card.settings["engine"] == "shared-head"
        full = make_explainer("llama").first_logits(make_prompts())
        found = explainer.first_logits(make_prompts())
        assert found.dtype == torch.float32
        assert (found - full).abs().max() < 0.1 * full.abs().max()

    def test_the_folder_may_say_how_vectors_enter(self, folder: Path) -> None:
        declared = {"injection": {"mode": "add", "layer": 1, "scaling": "raw"}}
        (folder / "explainer.json").write_text(json.dumps(declared))
        _, card = load_local(str(folder))
        assert card.settings["injection"] == {
            "mode": "add",
            "layer": 1,
            "scaling": "raw",
            "multiplier": 1.0,
        }
        _, card = load_local(str(folder), injection=Injection())
        assert card.settings["injection"]["mode"] == "embedding"

    @pytest.mark.parametrize("text", ['{"injecton": {}}', '{"injection": {"mod": "add"}}'])
    def test_a_wrong_declaration_is_refused(self, folder: Path, text: str) -> None:
        (folder / "explainer.json").write_text(text)
        with pytest.raises(UsageError, match="injection"):
            load_local(str(folder))

    # peft 0.21 reads a property that transformers 5.23 deprecates
    @pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
    def test_an_adapter_brings_its_base_model(self, folder: Path, tmp_path: Path) -> None:
        from peft import LoraConfig, get_peft_model

        tokenizer = make_tokenizer()
        config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        adapted = get_peft_model(make_model("llama", tokenizer), config)
        adapted.peft_config["default"].base_model_name_or_path = str(folder)
        adapted.save_pretrained(str(tmp_path / "adapter"))
        explainer, card = load_local(str(tmp_path / "adapter"))
        merged = LocalExplainer(adapted.merge_and_unload(), tokenizer)
        prompts = make_prompts()
        torch.testing.assert_close(explainer.first_logits(prompts), merged.first_logits(prompts))
        base = make_explainer("llama").first_logits(prompts)
        assert (explainer.first_logits(prompts) - base).abs().max() > 1e-3
        assert set(card.weights_sha256) == {"adapter_model.safetensors", "base/model.safetensors"}

    def test_no_weights_as_safetensors(self, tmp_path: Path) -> None:
        (tmp_path / "pytorch_model.bin").write_bytes(b"")
        with pytest.raises(MissingPartError, match="safetensors"):
            load_local(str(tmp_path))

    def test_a_folder_that_is_no_model(self, folder: Path) -> None:
        (folder / "config.json").write_text('{"model_type": "no-such-thing"}')
        with pytest.raises(UsageError, match="transformers cannot load it"):
            load_local(str(folder))

    def test_a_missing_folder_and_an_unknown_name(self, tmp_path: Path) -> None:
        with pytest.raises(MissingPartError, match="no such folder"):
            load_local(str(tmp_path / "absent"))
        with pytest.raises(UsageError, match=r"unknown model 'absent'.*smollm2-135m"):
            load_local("absent")

    def test_a_hub_id_asks_the_hub(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def snapshot(hub_id: str, revision: str | None) -> Path:
            asked.append((hub_id, revision))
            return folder

        monkeypatch.setattr(loading, "hub_snapshot", snapshot)
        _, card = load_local("owner/name@abc")
        assert asked == [("owner/name", "abc")]
        assert card.revision == folder.name

    def test_unknown_device_and_dtype(self, folder: Path) -> None:
        with pytest.raises(UsageError, match="unknown device 'toaster'"):
            load_local(str(folder), device="toaster")
        with pytest.raises(UsageError, match="unknown dtype 'float12'"):
            load_local(str(folder), dtype="float12")

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
    def test_a_device_that_is_not_there(self, folder: Path) -> None:
        with pytest.raises(MissingPartError, match="no usable CUDA device"):
            load_local(str(folder), device="cuda")


def test_not_finite_and_zero_vectors_are_refused() -> None:
    explainer = make_explainer("llama")
    for value, message in ((np.nan, "not finite"), (0.0, "zero")):
        bad = make_prompt("So?", seed=1)
        assert bad.vector is not None
        bad.vector[:] = value
        with pytest.raises(IntegrityError, match=message):
            explainer.complete([bad])
