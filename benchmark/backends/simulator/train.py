"""Trains a simulator: adapter and head of a frozen base model; goes on where it was killed.

Same seed, machine and number of threads: same bytes, interrupted or not. Written under the folder:
`checkpoint.safetensors` while training; then `adapter_config.json`, `adapter_model.safetensors`
(float16), `head.safetensors` and at last `simulator.json`, whose presence means that training is
done.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ... import files
from ...cache import Progress, silent
from ...errors import CheckFailedError, UsageError
from ...files import write_safetensors_atomic
from ..injection.hooks import decoder_layers
from ..models.devices import usable_device
from ..models.pretrained import (
    ADAPTER,
    WEIGHTS,
    adapt,
    load_model,
    load_tokenizer,
    weights_sha256,
    write_adapter,
)
from .examples import (
    PROMPT_VERSION,
    Batch,
    Floats,
    Lessons,
    TrainingSettings,
    Wording,
    base_rate,
    draw,
    pack,
    shares,
    targets,
)
from .model import HEAD, RECORD, SCHEMA, class_logits, make_head, truncate

CHECKPOINT = "checkpoint.safetensors"  # everything that the next step depends on, while training


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The model that becomes a simulator."""

    name: str  # name under which it is found when the simulator is loaded
    folder: Path  # where its weights are now
    device: str = "cpu"  # the torch device on which it is trained


def train_simulator(
    base: Base,
    lessons: Lessons,
    settings: TrainingSettings,
    folder: Path,
    *,
    name: str,
    validation: Lessons | None = None,
    save_every: int = 50,
    progress: Progress = silent,
) -> Path:
    """Train into a folder that `load_simulator` reads, or go on training, or find it done."""
    run = _Run(base, lessons, settings)
    made_from = {
        "base": [base.name, run.base_sha256],
        "lessons": lessons.sha256(),
        "validation": None if validation is None else validation.sha256(),
        "settings": asdict(settings),
        "prompt_version": PROMPT_VERSION,
        "name": name,
    }
    identity = files.sha256_bytes(files.canonical_json(made_from).encode())
    if (folder / RECORD).is_file():
        _same(files.read_json(folder / RECORD).get("identity"), identity, folder / RECORD)
        return folder
    steps = settings.n_steps(len(lessons))
    for step in range(_resume(run, folder / CHECKPOINT, identity), steps):
        loss = run.step(draw(lessons, settings, run.rates, step), settings.rate_at(step, steps))
        progress(f"training {name}", step + 1, steps, note=f"loss {loss:.3f}")
        if (step + 1) % save_every == 0:
            note = files.canonical_json({"identity": identity, "step": step + 1})
            files.write_bytes_atomic(folder / CHECKPOINT, run.dump(note))
    run.write(folder, base.name)
    record = {
        "schema": SCHEMA,
        "name": name,
        "base": {"name": base.name, "sha256": run.base_sha256},
        "depth": run.depth,
        "contrast": True,
        "prompt_version": PROMPT_VERSION,
        "settings": made_from["settings"],
        "lessons": {"features": len(lessons), "sha256": made_from["lessons"]},
        "validation_loss": None if validation is None else run.loss(validation),
        "identity": identity,
        "files": {part: files.sha256_file(folder / part) for part in (ADAPTER, WEIGHTS, HEAD)},
    }
    files.write_json_atomic(folder / RECORD, record)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return folder


class _Run:
    """A base model with an adapter and a head in training."""

    def __init__(self, base: Base, lessons: Lessons, settings: TrainingSettings) -> None:
        where = usable_device(base.device)
        model = load_model(base.folder, torch.float32).eval().requires_grad_(False)
        self.base_sha256 = weights_sha256(model)
        self.settings = settings
        self._wording = Wording(load_tokenizer(base.folder))
        self.depth = settings.depth or len(decoder_layers(model))
        truncate(model, self.depth)
        self.rates = base_rate(lessons)
        self._config = _lora_config(model, settings)
        self._adapted = adapt(model, self._config, settings.seed).to(where)
        self._model = model.to(where)
        head = make_head(model.config.get_text_config().hidden_size)
        with torch.no_grad():  # to begin with, the base rate everywhere
            head.weight.zero_()
            head.bias.copy_(torch.from_numpy(self.rates).clamp_min(1e-6).log())
        self._head = head.to(where)
        self._adapter = {n: p for n, p in model.named_parameters() if p.requires_grad}
        named = {f"head.{n}": p for n, p in head.named_parameters()}
        self._trained: dict[str, nn.Parameter] = self._adapter | named
        self._optimiser = torch.optim.AdamW(
            self._trained.values(), lr=0.0, weight_decay=settings.decay, fused=True
        )

    def step(self, batch: Batch, rate: float) -> float:
        """Train on one batch; returns its loss."""
        self._optimiser.zero_grad(set_to_none=True)
        total = 0.0
        for start in range(0, len(batch.ids), self.settings.rows):
            part = slice(start, start + self.settings.rows)
            loss: Any = self._loss(batch.descriptions[part], batch.ids[part], batch.shares[part])
            loss = loss * (len(batch.ids[part]) / len(batch.ids))
            loss.backward()
            total += float(loss.detach())
        if not math.isfinite(total):
            raise CheckFailedError("the loss is not finite any more; train with a lower rate")
        nn.utils.clip_grad_norm_(self._trained.values(), self.settings.clip)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        return total

    def loss(self, lessons: Lessons) -> float:
        """Mean loss of all windows with the first wording of every description."""
        total = 0.0
        with torch.inference_mode():
            for start in range(0, len(lessons), self.settings.rows):
                part = slice(start, start + self.settings.rows)
                texts = tuple(wordings[0] for wordings in lessons.descriptions[part])
                right = shares(targets(lessons.activations[part]))
                total += float(self._loss(texts, lessons.ids[part], right)) * len(texts)
        return total / len(lessons)

    def _loss(self, texts: tuple[str, ...], ids: Any, right: Floats) -> Tensor:
        device = self._model.device
        prefixes = [self._wording.prefix(text) for text in texts]
        packed = pack(prefixes, ids, device=device, dtype=torch.float32)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            logits = class_logits(self._model, self._head, packed)
        wanted = torch.from_numpy(right).to(device).flatten(1, 2)
        return -(wanted * logits.float().log_softmax(dim=-1)).sum(dim=-1).mean()

    def dump(self, note: str) -> bytes:
        """Everything that the next step depends on, as safetensors, with a note."""
        tensors = {}
        for name, value in self._trained.items():
            tensors[name] = value.detach().cpu().contiguous()
            for moment, state in self._optimiser.state[value].items():
                tensors[f"{name}/{moment}"] = state.cpu().contiguous()
        return save(tensors, {"note": note})  # one key: several are written in no fixed order

    def load(self, path: Path) -> str:
        """Continue from a dump; returns its note."""
        with safe_open(path, framework="pt") as file, torch.no_grad():
            note: str = (file.metadata() or {})["note"]
            for name, value in self._trained.items():
                value.copy_(file.get_tensor(name))
                self._optimiser.state[value] = {
                    moment: file.get_tensor(f"{name}/{moment}").to(value.device)
                    for moment in ("step", "exp_avg", "exp_avg_sq")
                }
        return note

    def write(self, folder: Path, base: str) -> None:
        """Write adapter (float16, as which what is in training goes on) and head (float32)."""
        write_adapter(folder, self._adapted, {"base_model_name_or_path": base, **self._config})
        with torch.no_grad():
            for value in self._adapter.values():
                value.copy_(value.half())
        head = {n: value.detach().cpu().numpy() for n, value in self._head.named_parameters()}
        write_safetensors_atomic(folder / HEAD, head)


def _resume(run: _Run, checkpoint: Path, identity: str) -> int:
    if not checkpoint.is_file():
        return 0
    with files.reading(checkpoint, "a checkpoint of this simulator", "remove it to begin again"):
        note = json.loads(run.load(checkpoint))
        _same(note["identity"], identity, checkpoint)
        return int(note["step"])


def _same(found: object, expected: str, path: Path) -> None:
    if found != expected:
        raise UsageError(f"{path} is of other settings, lessons or base model; give another folder")


def _lora_config(model: Any, settings: TrainingSettings) -> dict[str, Any]:
    """Settings of PEFT's LoRA: all linear modules of the layers that are adapted."""
    layers = decoder_layers(model)
    if not 0 <= settings.first_layer < len(layers):
        raise UsageError(f"first layer {settings.first_layer}: the base has {len(layers)} layers")
    path = next(name for name, module in model.named_modules() if module is layers)
    modules = {
        name.rpartition(".")[2]
        for name, module in layers.named_modules()
        if isinstance(module, nn.Linear)
    }
    if not modules:
        raise UsageError(f"{type(model).__name__}: no linear modules that an adapter could change")
    return {
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(modules),
        "layers_to_transform": list(range(settings.first_layer, len(layers))),
        "layers_pattern": path.rpartition(".")[2],
    }
