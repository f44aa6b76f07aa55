"""Trains an explainer: an adapter or all weights, on answer tokens alone; goes on where it was.

Written under the folder: `training.json` (what this training is), `training.jsonl` (one line a
logged step), its picture `training.svg`, `checkpoints/` while it lasts, and at the end the adapter
or the weights with `README.md`, a model card, and `explainer.json`, whose presence means that
training is done. The loop is transformers' Trainer.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, set_seed

from ... import files
from ...cache import Progress, silent
from ...errors import IntegrityError, UsageError
from ...models.targets import HubId, locate
from ...records import GREEDY
from ...team import team
from ..explainer.declared import SETTINGS
from ..injection.learned import LEARNED, PROJECTION, Projection, write_learned
from ..injection.spec import injections_as_json
from ..models.devices import usable_device
from ..models.pretrained import ADAPTER, WEIGHTS, load_tokenizer, weights_sha256, write_adapter
from ..models.twins import make_twin
from .checkpoints import SEAL, broken, last_checkpoint, writing
from .dataset import Lesson, lessons_sha256, plan_batches
from .module import TrainedExplainer, collate, load_base, lora, trainable
from .spec import ExplainerSettings, TrainSpec
from .trainer import ExplainerTrainer, Log, Patience, loss_curve, trainer_arguments

SCHEMA = "introspect-bench/explainer/1"  # schema of `explainer.json`
PLAN, CHECKPOINTS = "training.json", "checkpoints"
PRODUCTS, CLEARLY = 10, 0.8  # products timed; share of the time that is clearly faster
LOG = "training.jsonl"  # losses, one line a logged step
CURVE = "training.svg"  # the losses of `training.jsonl` as a picture
CARD = "README.md"
WRITTEN = (
    *(SEAL, SETTINGS, ADAPTER, WEIGHTS, LEARNED, PROJECTION, LOG, CURVE, CARD, "config.json"),
    *("generation_config.json", "model*.safetensors*", "tokenizer*", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.*", "merges.txt", "chat_template.jinja", PLAN),
)
"""What a training writes, as patterns, in the order in which it is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What is trained, on what and how."""

    request: TrainSpec  # what was asked for
    base: Path  # folder of the base model
    base_name: str  # name under which the base is found when the explainer is loaded
    lessons: Sequence[Lesson]  # examples to learn from
    validation: Sequence[Lesson]  # examples to stop by
    settings: ExplainerSettings  # how
    about: Mapping[str, Any]  # what `explainer.json` says besides: suites, versions, templates
    pad: int  # token that fills batches up
    project: Callable[[Any], Projection] | None = None  # from the base to its maps


def train_explainer(training: Training, progress: Progress = silent) -> Path:
    """Train into the folder that was asked for, or go on training, or find it done."""
    request, settings = training.request, training.settings
    folder, model = Path(request.output), load_base(training.base, request.device)
    validated = lessons_sha256(training.validation)
    plan = {
        "base": {"name": training.base_name, "sha256": weights_sha256(model)},
        "settings": settings.as_json(),
        "lessons": _counts(training.lessons),
        "validation": {"n": len(training.validation), "sha256": validated},
        "about": dict(training.about),
    }
    if request.overwrite:
        remove_training(folder, training.base)
    _check_same(folder, plan)
    if (folder / SETTINGS).is_file():
        if (folder / SEAL).exists() and (name := broken(folder)):
            raise IntegrityError(
                f"{folder / name}: not as the training wrote it; restore it, or remove the folder "
                "and train again"
            )
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # if a kill left some
        return folder
    if team().first:
        files.write_json_atomic(folder / PLAN, plan)
    set_seed(settings.seed)
    if settings.twin is not None:
        model = make_twin(model, settings.twin, seed=settings.seed)
    maps = None if training.project is None else training.project(model)
    wrapped = trainable(model, settings, maps)
    trainer = _fit(training, wrapped, folder, progress)
    if team().first:
        with writing(folder):
            _write(folder, wrapped.model, training)
            write_learned(folder, wrapped.learned())
        _finish(folder, settings, plan, trainer.state.best_metric)
    trainer.accelerator.wait_for_everyone()
    return folder


def remove_training(folder: Path, base: Path) -> None:
    """Remove what a training wrote into a folder; whatever else is there stays."""
    if not (folder / PLAN).is_file():
        return
    if folder.resolve() == base.resolve() or team().size > 1:
        raise UsageError(
            f"{folder} is not removed by several processes, nor where it is the base of the new "
            "training; give another folder"
        )
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    for pattern in WRITTEN:
        for path in folder.glob(pattern):
            path.unlink()


def _fit(
    training: Training, wrapped: TrainedExplainer, folder: Path, progress: Progress
) -> ExplainerTrainer:
    settings, lessons = training.settings, training.lessons
    size, seed = settings.batch_size, settings.seed
    steps = plan_batches(lessons, batch_size=size, epochs=settings.epochs, seed=seed)
    checkpoint = last_checkpoint(folder / CHECKPOINTS)
    batches = sum(lessons[step[0]].early for step in steps)
    early = math.ceil(batches / (settings.accumulation * team().size))
    trainer = ExplainerTrainer(
        model=wrapped,
        args=trainer_arguments(folder / CHECKPOINTS, settings, training.request, len(steps)),
        train_dataset=list(lessons),
        eval_dataset=list(training.validation),
        data_collator=lambda part: collate(part, pad=training.pad),
        callbacks=[Patience(settings.patience, since=early)],
    )
    trainer.steps, trainer.losses = steps, {}
    trainer.checks = plan_batches(training.validation, batch_size=2 * size, epochs=1, seed=seed)
    trainer.add_callback(Log(folder / LOG, progress, trainer))
    trainer.remove_callback(PrinterCallback)  # standard output is for results
    trainer.train(resume_from_checkpoint=checkpoint)
    return trainer


def _finish(folder: Path, settings: ExplainerSettings, plan: Mapping[str, Any], loss: Any) -> None:
    """Write picture and card, and at last the record; checkpoints go."""
    record = {
        "schema": SCHEMA,
        "injection": injections_as_json(settings.injection),
        "training": plan,
        "validation_loss": loss,
    }
    if settings.decoding != GREEDY:
        record["decoding"] = settings.decoding
    if settings.twin is not None:
        record["twin"] = {"kind": settings.twin, "seed": settings.seed}
    files.write_bytes_atomic(folder / CURVE, read_curve(folder / LOG).encode())
    if not (folder / CARD).exists():
        files.write_bytes_atomic(folder / CARD, model_card(record).encode())
    files.write_json_atomic(folder / SETTINGS, record)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def read_curve(path: Path) -> str:
    """Draw the losses of a log."""
    with files.reading(path, "the log of a training"):
        return loss_curve([row for _, row in files.read_jsonl(path)])


def _counts(lessons: Sequence[Lesson]) -> dict[str, Any]:
    """How much it learns from; `n_train` counts queries of tasks, `reading` questions by kind."""
    tasks = Counter(lesson.task for lesson in lessons if not lesson.reading)
    reading = Counter(lesson.reading for lesson in lessons if lesson.reading)
    return {
        "n": len(lessons),
        "n_train": dict(sorted(tasks.items())),
        **({"reading": dict(sorted(reading.items()))} if reading else {}),
        "sha256": lessons_sha256(lessons),
    }


def bfloat16_is_faster(device: str) -> bool:
    """Whether products of matrices are clearly faster in bfloat16 on a device."""
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


def _write(folder: Path, model: Any, training: Training) -> None:
    template = training.request.chat_template
    if template is not None or training.settings.method == "full":
        load_tokenizer(training.base, chat_template=template).save_pretrained(folder)
    if training.settings.method == "full":
        model.save_pretrained(folder)
        return
    name, base = training.base_name, locate(training.base_name)
    where = {"base_model_name_or_path": base.id if isinstance(base, HubId) else name}
    if isinstance(base, HubId) and base.revision:
        where["revision"] = base.revision  # so that peft finds it too
    write_adapter(folder, model, where | lora(training.settings))


def _check_same(folder: Path, plan: Mapping[str, Any]) -> None:
    if not (folder / PLAN).is_file():
        return
    stored = files.read_json(folder / PLAN)
    for name, value in plan.items():
        if files.canonical_json(stored.get(name)) != files.canonical_json(value):
            raise UsageError(f"{folder} holds a training with another {name}; give another folder")


def model_card(record: Mapping[str, Any]) -> str:
    """Return `README.md`, for a hub, from `explainer.json`; no path of this machine is in it."""
    training = record["training"]
    name, about, settings = training["base"]["name"], training["about"], training["settings"]
    base = locate(name)
    front: dict[str, Any] = {
        "library_name": "peft" if settings["method"] == "lora" else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["introspect-bench", "interpretability", "introspection"],
    }
    if isinstance(base, HubId):
        front["base_model"] = base.id
    else:  # a target by name, or a folder
        name = name.rpartition("/")[2]
    rows = [
        f"| {one['task']} | {one['suite']} {one['version']} "
        f"| {training['lessons']['n_train'].get(one['task'], 0)} | `{one['data_sha256']}` |"
        for one in about["suites"]
    ]
    return _CARD.format(
        front="\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items()),
        base=name,
        sha256=training["base"]["sha256"],
        vectors="with" if about["vectors"] else "without",
        rows="\n".join(rows),
        loss=record["validation_loss"],
        seed=settings["seed"],
        package=about["package"],
    )


_CARD = """\
---
{front}
---

# An explainer of the inside of a language model

It was trained to say what features of another model's inside respond to, or what that model writes
after an intervention, {vectors} the vectors that are asked about. Made with introspect-bench
{package} from `{base}` (sha256 of its weights `{sha256}`), seed {seed}; loss on the validation
split {loss}. The test split was not opened.

| task | suite | training queries | sha256 of the data |
|---|---|---:|---|
{rows}

```bash
introspect-bench run --model OWNER/NAME@COMMIT --task TASK
```

`explainer.json` says how vectors enter and how it was trained; without it and introspect-bench this
is a model that reads placeholders. It answers in one form and says nothing of how sure it is. What
it says about a model is to be scored, not believed.
"""
