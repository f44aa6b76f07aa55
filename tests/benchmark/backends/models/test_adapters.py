"""Adapters whose weights are not those of their base model are refused, not left out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import make_model, make_tokenizer, save_model
from tiny_prompts import make_prompts

from introspect_bench.benchmark.backends.explainer.load import load_local
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.errors import (
    IntegrityError,
    IntrospectBenchError,
    MissingPartError,
    UsageError,
)

# peft 0.21 reads a property that transformers 5.23 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `base` and `adapter`."""
    from peft import LoraConfig, get_peft_model

    root = tmp_path_factory.mktemp("adapters")
    save_model(root / "base")
    config = LoraConfig(
        r=2,
        target_modules=["q_proj", "v_proj"],
        modules_to_save=["lm_head"],
        init_lora_weights=False,
    )
    adapted = get_peft_model(make_model("llama", make_tokenizer()), config)
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lm_head.modules_to_save" in name:
                value.add_(1)
    adapted.peft_config["default"].base_model_name_or_path = "../base"
    adapted.save_pretrained(str(root / "adapter"), save_embedding_layers=False)
    return root


@pytest.fixture
def adapter(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "copy")
    return tmp_path / "copy" / "adapter"


def rewrite(adapter: Path, edit: Callable[[Tensors], Tensors]) -> None:
    path = adapter / "adapter_model.safetensors"
    save_file(edit(load_file(path)), path, metadata={"format": "pt"})


def declare(adapter: Path, **entries: object) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def lora(tensors: Tensors) -> list[str]:
    return sorted(name for name in tensors if "lora_A" in name)


def test_an_adapter_that_fits_is_merged_with_all_its_parts(adapter: Path) -> None:
    explainer, _ = load_local(str(adapter))
    tokenizer, prompts = make_tokenizer(), make_prompts()
    base = LocalExplainer(make_model("llama", tokenizer), tokenizer)
    saved = load_file(adapter / "adapter_model.safetensors")
    head = next(value for name, value in saved.items() if "lm_head" in name)
    assert torch.equal(explainer.model.get_output_embeddings().weight, head)
    assert (explainer.first_logits(prompts) - base.first_logits(prompts)).abs().max() > 1e-3
    assert not any("lora" in name for name, _ in explainer.model.named_parameters())


def unrelated(_: Tensors) -> Tensors:
    return {"something.else": torch.zeros(2)}


def one_less(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if name != lora(tensors)[1]}


def one_more(tensors: Tensors) -> Tensors:
    name = lora(tensors)[0].replace("layers.0", "layers.9")
    return tensors | {name: tensors[lora(tensors)[0]].clone()}


def headless(tensors: Tensors) -> Tensors:
    return {name: value for name, value in tensors.items() if "lm_head" not in name}


def wider(tensors: Tensors) -> Tensors:
    return tensors | {lora(tensors)[0]: torch.zeros(2, 99)}


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (unrelated, "adapter_model.safetensors"),
        (one_less, r"lacks .*layers\.0\.self_attn\.v_proj\.lora_A"),
        (one_more, r"holds the unknown .*layers\.9\.self_attn\.q_proj\.lora_A"),
        (headless, "does not fit its base model.*lm_head"),
        (wider, "does not fit its base model.*size mismatch"),
    ],
)
def test_weights_that_do_not_match_are_refused(
    adapter: Path, edit: Callable[[Tensors], Tensors], part: str
) -> None:
    rewrite(adapter, edit)
    with pytest.raises(IntegrityError, match=part):
        load_local(str(adapter))


def test_an_adapter_of_a_deeper_model_is_refused(adapter: Path) -> None:
    """Its other layers would be left out."""
    shutil.rmtree(adapter.parent / "base")
    save_model(adapter.parent / "base", num_hidden_layers=2)
    with pytest.raises(IntegrityError, match=r"holds the unknown .*layers\.2"):
        load_local(str(adapter))


@pytest.mark.parametrize(
    ("entries", "part"),
    [
        ({"peft_type": "MAGIC"}, r"peft_type 'MAGIC' is none .*LORA"),
        ({"peft_type": None}, "peft_type None is none"),
        ({"peft_type": ["LORA"]}, r"peft_type \['LORA'\] is none"),
        ({"megatron_config": {"a": 1}, "megatron_core": "evil"}, "megatron_config"),
        ({"target_modules": ["no_such_proj"]}, "does not fit its base model"),
        ({"r": 10**17}, "a number of it is more than 65536"),
    ],
)
def test_a_declaration_that_cannot_be_followed_is_refused(
    adapter: Path, entries: dict[str, object], part: str
) -> None:
    declare(adapter, **entries)
    with pytest.raises(UsageError, match=part):
        load_local(str(adapter))


@pytest.mark.parametrize(
    ("name", "kind", "part"),
    [
        ("cut", IntegrityError, "adapter_model.safetensors is cut off"),
        ("other", MissingPartError, "holds no adapter_model.safetensors"),
    ],
)
def test_weights_that_cannot_be_read(
    adapter: Path, name: str, kind: type[IntrospectBenchError], part: str
) -> None:
    path = adapter / "adapter_model.safetensors"
    if name == "cut":
        path.write_bytes(path.read_bytes()[:3_000])
    else:
        path.rename(adapter / "weights.safetensors")
    with pytest.raises(kind, match=part):
        load_local(str(adapter))
