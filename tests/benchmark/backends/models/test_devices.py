"""Names of devices; a model whose layers lie in several places answers as it does in one."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import save_model
from tiny_prompts import make_prompts

from introspect_bench.benchmark.backends.explainer.load import load_local
from introspect_bench.benchmark.backends.injection.hooks import decoder_layers
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.backends.models import devices
from introspect_bench.benchmark.backends.models.devices import find_dtype, placing, resolve_device
from introspect_bench.benchmark.errors import MissingPartError, UsageError
from introspect_bench.benchmark.evaluation.spec import RunSpec
from introspect_bench.benchmark.records import Query


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_model(tmp_path / "model")


def test_auto_is_the_best_device_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"cuda": True, "mps": True}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: here["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: here["mps"])
    assert (resolve_device("auto"), find_dtype("auto", "auto")) == ("cuda", torch.bfloat16)
    here["cuda"] = False
    assert resolve_device("auto") == "mps"
    here["mps"] = False
    assert (resolve_device("auto"), find_dtype("auto", "auto")) == ("cpu", torch.float32)


def test_each_of_several_processes_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_device("cuda") == "cuda"
    for name, value in (("RANK", "6"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "2")):
        monkeypatch.setenv(name, value)
    assert resolve_device("cuda") == "cuda:2"
    assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize("mode", ["embedding", "own-layers", "add"])
def test_layers_in_another_place_answer_the_same(
    mode: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaling = "natural" if mode == "own-layers" else "norm-matched"
    way = Injection(mode=mode, layer=1 if mode == "add" else None, scaling=scaling)  # type: ignore[arg-type]
    query = Query(id="0" * 16, group="0" * 16, kind="last", fields={"layers": [0, 1]})
    prompts = [replace(prompt, query=query, shots=()) for prompt in make_prompts()]
    whole, _ = load_local(str(folder), injection=way)
    layers = {
        f"model.layers.{n}": "disk" if n else "cpu" for n in range(len(decoder_layers(whole.model)))
    }
    spread = {
        "device_map": {"model.embed_tokens": "cpu", **layers, "model.norm": "cpu"}
        | {"model.rotary_emb": "cpu", "lm_head": "cpu"},
        "offload_folder": str(tmp_path / "offloaded"),
    }
    monkeypatch.setattr(
        "introspect_bench.benchmark.backends.explainer.load.placing", lambda *_, **__: spread
    )
    split, card = load_local(str(folder), injection=way, device_map="auto")
    assert any(value.device.type == "meta" for value in split.model.parameters())
    assert split.complete(prompts) == whole.complete(prompts)
    assert card.settings["device_map"] == "auto"
    assert len({reply.text for reply in whole.complete(prompts)}) > 1


def test_what_is_not_chosen_is_not_recorded(folder: Path) -> None:
    assert placing(torch.device("cpu"), None, None) == {}
    _, card = load_local(str(folder))
    assert not {"device_map", "quantization"} & set(card.settings)


def test_packed_weights_need_their_library(folder: Path) -> None:
    told = placing(torch.device("cuda:1"), None, "4bit")
    assert told["quantization_config"].load_in_4bit
    assert told["device_map"] == {"": torch.device("cuda:1")}
    if importlib.util.find_spec("bitsandbytes") is None:
        with pytest.raises(MissingPartError, match="bitsandbytes"):
            load_local(str(folder), quantization="8bit")


def test_unknown_ways_are_refused_before_anything_is_loaded() -> None:
    with pytest.raises(UsageError, match=r"quantization.*8bit, 4bit"):
        RunSpec(model="x", quantization="2bit")
    with pytest.raises(UsageError, match=r"device map.*auto"):
        RunSpec(model="x", device_map="somewhere")
    assert devices.DTYPES.keys() == {"float32", "bfloat16", "float16"}
