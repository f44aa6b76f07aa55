"""Readers of models, adapters, trainings and targets, each with a sound file that it reads."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from spoilt import Case
from tiny_models import D_MODEL, make_model, make_tokenizer, save_model
from tiny_prompts import make_prompts

from introspect_bench.benchmark.backends.explainer.chat import Encoder
from introspect_bench.benchmark.backends.explainer.load import (
    Weights,
    detect_family,
    open_checkpoint,
)
from introspect_bench.benchmark.backends.explainer.selfie_adapters import open_selfie_adapter
from introspect_bench.benchmark.backends.injection.learned import (
    Learned,
    random_projection,
    read_learned,
    write_learned,
)
from introspect_bench.benchmark.backends.injection.spec import Injection, Maps
from introspect_bench.benchmark.backends.models.pretrained import (
    adapt,
    load_model,
    load_tokenizer,
    write_adapter,
)
from introspect_bench.benchmark.backends.simulator.examples import PROMPT_VERSION
from introspect_bench.benchmark.backends.simulator.model import _check_record, _load_head
from introspect_bench.benchmark.backends.training.checkpoints import cut_log
from introspect_bench.benchmark.backends.training.command import _in_bfloat16
from introspect_bench.benchmark.backends.training.spec import TrainSpec
from introspect_bench.benchmark.backends.training.train import _check_same, read_curve
from introspect_bench.benchmark.cache import silent
from introspect_bench.benchmark.files import read_json, sha256_file, write_json_atomic
from introspect_bench.benchmark.models.fetch import _check_prepared
from introspect_bench.benchmark.models.targets import SMOLLM2_135M, check_weights, local_target
from introspect_bench.leaderboard.report.studies import trials_of

LORA: dict[str, Any] = {
    **{"r": 2, "lora_alpha": 4, "lora_dropout": 0.0, "bias": "none"},
    **{"target_modules": "all-linear", "task_type": "CAUSAL_LM"},
}
TEMPLATE = '<s>user\nWhat is "<slot>"?</s>'


def save_base(root: Path) -> Path:
    """Write a model with tokenizer and index."""
    base = save_model(root / "base")
    weight_map = {"lm_head.weight": "model.safetensors"}
    write_json_atomic(base / "model.safetensors.index.json", {"weight_map": weight_map})
    return base


def base_cases(base: Path) -> list[Case]:
    """A model's folder."""

    def whole() -> None:
        detect_family(base)
        load_model(base, torch.float32)
        local_target(base)

    def tokens() -> None:
        encoder = Encoder(load_tokenizer(base), use_vectors=True)
        encoder.head(make_prompts()[0])
        encoder.questions(make_prompts())

    read = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    loaded = ("config.json", "model.safetensors", "model.safetensors.index.json")
    return [
        *(Case(name, base / name, whole) for name in loaded),
        *(Case(name, base / name, tokens) for name in read),
    ]


TRAINING: dict[str, Any] = {
    "settings": {"learning_rate": 0.1, "bfloat16": False, "reading": {"when": "before"}},
    "lessons": {"n": 4, "n_train": {"input-ablations": 4}},
    "base": {"name": "x", "sha256": "ab" * 32},
}


def adapter_cases(root: Path) -> list[Case]:
    """An adapter's folder with all that an explainer has beside it."""
    adapter, model = root / "adapter", make_model("llama", make_tokenizer())
    adapter.mkdir()
    write_adapter(adapter, adapt(model, LORA, 0), {"base_model_name_or_path": "../base", **LORA})
    maps = Maps(d_target=4, n_layers=3, layers=(1, 2), bias=True)
    way = Injection(scaling="learned", projection=maps)
    write_learned(adapter, Learned(log_scale=0.5, projection=random_projection(maps, 16, seed=0)))
    record: dict[str, Any] = {
        **{"schema": "introspect-bench/explainer/1", "injection": way.as_json()},
        **{"training": TRAINING, "validation_loss": 0.5, "decoding": "greedy"},
        "verdict_thresholds": {"input-ablations": 0.25},
        "twin": {"kind": "rotated", "seed": 1},
    }
    write_json_atomic(adapter / "explainer.json", record)

    def adapted() -> None:
        open_checkpoint(adapter, None, None, Weights(torch.float32), silent)

    def beside() -> None:
        read_learned(adapter, way)

    names = ("adapter_config.json", "explainer.json", "adapter_model.safetensors")
    return [
        *(Case(name, adapter / name, adapted) for name in names),
        *(Case(n, adapter / f"{n}.safetensors", beside) for n in ("injection", "projection")),
        Case("study", adapter / "explainer.json", partial(trials_of, root)),
    ]


def training_cases(root: Path) -> list[Case]:
    """A training that was killed."""
    folder = root / "training"
    state = folder / "checkpoints" / "checkpoint-2" / "trainer_state.json"
    state.parent.mkdir(parents=True)
    write_json_atomic(state, {"global_step": 2, "log_history": [{"step": 1, "eval_loss": 0.5}]})
    write_json_atomic(folder / "training.json", TRAINING)
    steps = "".join(f'{{"step":{n},"steps":9,"loss":0.5,"eval_loss":0.6}}\n' for n in range(4))
    (folder / "training.jsonl").write_text(steps)

    def plan() -> None:
        _in_bfloat16(TrainSpec(base="x", output=folder))
        _check_same(folder, TRAINING)

    def log() -> None:
        cut_log(folder / "training.jsonl", str(state.parent))
        read_curve(folder / "training.jsonl")

    return [
        Case("training.json", folder / "training.json", plan),
        Case("training.jsonl", folder / "training.jsonl", log),
        Case("trainer_state.json", state, log),
    ]


def part_cases(root: Path) -> list[Case]:
    """A SelfIE adapter, and a simulator's record and head."""
    selfie, head = root / "selfie", root / "adapter" / "head.safetensors"
    selfie.mkdir()
    config: dict[str, Any] = {
        "model": {"name": "../base"},
        "projection": {"type": "scalar_affine", "normalize_input": True},
        "soft_prompt": {"template": TEMPLATE, "reserved_token": "<slot>"},
    }
    tensors = {"log_scale": torch.ones(1), "bias": torch.ones(D_MODEL)}
    header = {"config_json": json.dumps(config), "model_dim": str(D_MODEL)}
    save_file(tensors, selfie / "one.safetensors", metadata=header)
    save_file({"weight": torch.zeros(11, 16), "bias": torch.zeros(11)}, head)
    parts = ("adapter_config.json", "adapter_model.safetensors", head.name)
    record = head.with_name("simulator.json")
    said: dict[str, Any] = {
        **{"schema": "introspect-bench/simulator/1", "prompt_version": PROMPT_VERSION},
        **{"name": "a", "base": TRAINING["base"], "depth": 2},
        "files": {name: sha256_file(head.with_name(name)) for name in parts},
    }
    write_json_atomic(record, said)
    return [
        Case("selfie", selfie / "one.safetensors", partial(open_selfie_adapter, selfie)),
        Case("simulator", record, lambda: _check_record(read_json(record), record.parent, None)),
        Case("head", head, lambda: _load_head(head, 16)),
    ]


def model_cases(root: Path) -> list[Case]:
    """All of them."""
    cases = [*base_cases(save_base(root)), *adapter_cases(root), *training_cases(root)]
    return [*cases, *part_cases(root), *target_cases(root)]


def target_cases(root: Path) -> list[Case]:
    """A prepared target."""
    folder = root / "target"
    folder.mkdir()
    save_file({"a": torch.ones(2)}, folder / "model.safetensors")
    path = folder / "model.safetensors"
    stamp = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    record: dict[str, Any] = {
        **{"schema": "introspect-bench/target/1", "name": "toy", "source": {}},
        "tensors_sha256": SMOLLM2_135M.tensors_sha256,
        "files": {path.name: stamp | {"mtime_ns": path.stat().st_mtime_ns}},
    }
    write_json_atomic(folder / "target.json", record)

    def read() -> None:
        check_weights(folder)
        _check_prepared(SMOLLM2_135M, folder, verify=False)

    return [Case("target.json", folder / "target.json", read)]
