"""Trains an explainer: an adapter or all weights, on answer tokens alone; goes on where it was.

Owns what is written under the folder: `training.json` (what this training is), `training.jsonl`
(one line a logged step), its picture `training.svg`, `checkpoints/` while it lasts, and at the end
the adapter or the weights with `explainer.json`, whose presence means that training is done. The
loop is transformers' Trainer.
"""

from __future__ import annotations

import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, set_seed

from ... import files
from ...errors import UsageError
from ...records import GREEDY
from ...tensors import write_safetensors_atomic
from ..injection.learned import write_learned
from ..injection.projection import Projection
from ..injection.spec import injections_as_json
from ..models.adapters import ADAPTER, WEIGHTS
from ..models.pretrained import load_model, load_tokenizer, usable_device
from ..models.twins import make_twin
from ..simulator.layout import adapt
from ..simulator.model import weights_sha256
from .curve import loss_curve
from .dataset import Lesson, collate, lessons_sha256, plan_batches
from .module import TrainedExplainer
from .spec import ExplainerSettings
from .trainer import (
    ExplainerTrainer,
    Log,
    OnStep,
    Patience,
    cut_log,
    is_first,
    last_checkpoint,
    n_processes,
    trainer_arguments,
)

SCHEMA = "introspect-bench/explainer/1"
"""Schema of `explainer.json`."""
RECORD, PLAN, LOG, CHECKPOINTS = "explainer.json", "training.json", "training.jsonl", "checkpoints"
"""Files and folder under the trained explainer's folder."""
PRODUCTS, CLEARLY = 10, 0.8
"""Products that are timed, and the share of the time from which one dtype is clearly faster."""
CURVE = "training.svg"
"""The losses of `training.jsonl` as a picture."""


def train_explainer(
    base: Path,
    lessons: Sequence[Lesson],
    validation: Sequence[Lesson],
    settings: ExplainerSettings,
    folder: Path,
    *,
    base_name: str,
    about: Mapping[str, Any],
    pad: int,
    device: str = "cpu",
    project: Callable[[Any], Projection] | None = None,
    on_step: OnStep = lambda _done, _total, _loss: None,
) -> Path:
    """Train, or go on training, or find it done.

    Args:
        base: folder of the base model.
        lessons: what it learns from.
        validation: what it stops by.
        settings: how.
        folder: where everything is written.
        base_name: name under which the base is found when the explainer is loaded.
        about: what `explainer.json` says besides: suites, versions, templates.
        pad: token that fills batches up.
        device: torch device.
        project: makes the maps that vectors go through, from the loaded base; None for no maps.
        on_step: told after every logged step.

    Raises:
        UsageError: the folder holds another training, or the base cannot be trained so.
        CheckFailedError: the loss is not a finite number any more.
        MissingPartError: weights or device are missing, or the disk is full.
    """
    model = _loaded(base, device)
    plan = {
        "base": {"name": base_name, "sha256": weights_sha256(model)},
        "settings": settings.as_json(),
        "lessons": _learnt(lessons),
        "validation": {"n": len(validation), "sha256": lessons_sha256(validation)},
        "about": dict(about),
    }
    _check_same(folder, plan)
    if (folder / RECORD).is_file():
        return folder
    if is_first():
        files.write_json_atomic(folder / PLAN, plan)
    set_seed(settings.seed)
    if settings.twin is not None:
        model = make_twin(model, settings.twin, seed=settings.seed)
    wrapped, adapted = _trainable(model, settings, None if project is None else project(model))
    steps = plan_batches(
        lessons, batch_size=settings.batch_size, epochs=settings.epochs, seed=settings.seed
    )
    checkpoint = last_checkpoint(folder / CHECKPOINTS)
    cut_log(folder / LOG, checkpoint)
    log = Log(folder / LOG, on_step)
    trainer = ExplainerTrainer(
        model=wrapped,
        args=trainer_arguments(folder / CHECKPOINTS, settings, len(steps), device),
        train_dataset=list(lessons),
        eval_dataset=list(validation),
        data_collator=lambda part: collate(part, pad=pad),
        callbacks=[log, Patience(settings.patience, _early(lessons, steps, settings))],
    )
    trainer.steps, trainer.losses = steps, {}
    trainer.checks = plan_batches(
        validation, batch_size=2 * settings.batch_size, epochs=1, seed=settings.seed
    )
    log.trainer = trainer
    trainer.remove_callback(PrinterCallback)  # standard output is for results
    trainer.train(resume_from_checkpoint=checkpoint)
    if is_first():
        _write(folder, adapted or model, base, base_name, settings)
        write_learned(folder, wrapped.learned())
        _finish(folder, {**_record(settings, plan), "validation_loss": trainer.state.best_metric})
    trainer.accelerator.wait_for_everyone()
    return folder


def _record(settings: ExplainerSettings, plan: Mapping[str, Any]) -> dict[str, Any]:
    """What `explainer.json` says, but for the loss."""
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "injection": injections_as_json(settings.injection),
        "training": plan,
    }
    if settings.decoding != GREEDY:
        record["decoding"] = settings.decoding
    if settings.twin is not None:
        record["twin"] = {"kind": settings.twin, "seed": settings.seed}
    return record


def _finish(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record, which says that all is there, and the curve; remove the checkpoints."""
    rows = [row for _, row in files.read_jsonl(folder / LOG)]
    files.write_bytes_atomic(folder / CURVE, loss_curve(rows).encode())
    files.write_json_atomic(folder / RECORD, dict(record))
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def _early(
    lessons: Sequence[Lesson], steps: Sequence[Sequence[int]], settings: ExplainerSettings
) -> int:
    """Steps of the phase before the task itself."""
    batches = sum(lessons[step[0]].early for step in steps)
    return math.ceil(batches / (settings.accumulation * n_processes()))


def _learnt(lessons: Sequence[Lesson]) -> dict[str, Any]:
    """How much is learnt from; `n_train` counts queries of tasks, `reading` questions by kind."""
    tasks = Counter(lesson.task for lesson in lessons if not lesson.reading)
    reading = Counter(lesson.reading for lesson in lessons if lesson.reading)
    return {
        "n": len(lessons),
        "n_train": dict(sorted(tasks.items())),
        **({"reading": dict(sorted(reading.items()))} if reading else {}),
        "sha256": lessons_sha256(lessons),
    }


def bfloat16_is_faster(device: str) -> bool:
    """Whether products of matrices are clearly faster in bfloat16 on a device.

    Raises:
        UsageError: unknown device.
        MissingPartError: this machine has no such device.
    """
    if usable_device(device).type != "cpu":
        return True
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(1024, 576, dtype=dtype), torch.ones(576, 1536, dtype=dtype)
        left @ right  # the first product prepares
        start = time.perf_counter()
        for _ in range(PRODUCTS):
            left @ right
        seconds[dtype] = time.perf_counter() - start
    return seconds[torch.bfloat16] < CLEARLY * seconds[torch.float32]


def _loaded(base: Path, device: str) -> Any:
    """The base model in float32, with the attention that trains fastest on the device."""
    where = usable_device(device)
    model = load_model(base, torch.float32)
    if where.type == "cpu":
        model.set_attn_implementation("eager")  # a sixth faster there than the fused kernels
    return model


def _trainable(
    model: Any, settings: ExplainerSettings, projection: Projection | None
) -> tuple[TrainedExplainer, Any]:
    if settings.method == "full":
        return TrainedExplainer(model, settings.injection, projection=projection), None
    model.requires_grad_(False)
    if settings.bfloat16:
        _store_in_bfloat16(model)
    adapted = adapt(model, _lora(settings), settings.seed)
    wrapped = TrainedExplainer(adapted, settings.injection, inner=model, projection=projection)
    return wrapped, adapted


def _store_in_bfloat16(model: Any) -> None:
    """Round frozen matrices once, but the output's; autocast would do it again at every use."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module is not model.get_output_embeddings():
            module.to(torch.bfloat16)


def _lora(settings: ExplainerSettings) -> dict[str, Any]:
    return {
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": "all-linear",
        "task_type": "CAUSAL_LM",
    }


def _write(
    folder: Path, model: Any, base: Path, base_name: str, settings: ExplainerSettings
) -> None:
    """Write an adapter, rounded to float16, or weights with the base's tokenizer."""
    if settings.method == "full":
        model.save_pretrained(folder)
        load_tokenizer(base).save_pretrained(folder)
        return
    from peft import get_peft_model_state_dict

    found = get_peft_model_state_dict(model, save_embedding_layers=False)
    config = {"peft_type": "LORA", "base_model_name_or_path": base_name, **_lora(settings)}
    files.write_json_atomic(folder / ADAPTER, config)
    write_safetensors_atomic(
        folder / WEIGHTS,
        {name: value.detach().cpu().half().numpy() for name, value in found.items()},
    )


def _check_same(folder: Path, plan: Mapping[str, Any]) -> None:
    """Refuse a folder that holds another training."""
    if not (folder / PLAN).is_file():
        return
    found = files.read_json(folder / PLAN)
    for name, value in plan.items():
        if files.canonical_json(found.get(name)) != files.canonical_json(value):
            raise UsageError(f"{folder} holds a training with another {name}; give another folder")
