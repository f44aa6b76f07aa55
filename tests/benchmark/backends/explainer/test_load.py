"""Local explainers from a folder or the hub: settings, adapters, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_models import make_model, make_tokenizer, save_model
from tiny_prompts import make_explainer, make_prompts

from introspect_bench.benchmark.backends.explainer import load as checkpoints
from introspect_bench.benchmark.backends.explainer.load import load_local
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.errors import MissingPartError, UsageError
from introspect_bench.benchmark.files import sha256_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_model(tmp_path / "model")


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
            "openings": [],
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

    def test_adapters_that_name_each_other(self, tmp_path: Path) -> None:
        names = ("one", "two", "three")
        for name, base in zip(names, (*names[1:], names[0]), strict=True):
            (tmp_path / name).mkdir()
            (tmp_path / name / "adapter_model.safetensors").touch()
            config = {"peft_type": "LORA", "base_model_name_or_path": f"../{base}"}
            (tmp_path / name / "adapter_config.json").write_text(json.dumps(config))
        with pytest.raises(UsageError, match="itself as its base model, by way of 2 other"):
            load_local(str(tmp_path / "one"))

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

        monkeypatch.setattr(checkpoints, "hub_snapshot", snapshot)
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
