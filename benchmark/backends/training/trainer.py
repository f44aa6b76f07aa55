"""transformers' Trainer with our order of batches and log; a kill cannot spoil its checkpoints."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from transformers import Trainer, TrainerCallback, TrainingArguments

from ... import files
from ...cache import Progress
from ...errors import CheckFailedError, UsageError
from ...team import team
from .checkpoints import TRAINABLE, seal, writing
from .spec import ExplainerSettings, TrainSpec


class ExplainerTrainer(Trainer):
    """A Trainer with our order of batches; checkpoints hold the trained weights alone."""

    steps: Sequence[list[int]]  # places of the lessons of each batch, all epochs in a row
    checks: Sequence[list[int]]  # the same for the validation lessons
    tokens: int = 0  # tokens of lessons that were trained on since the start, padding not counted
    losses: dict[str, list[torch.Tensor]]  # since the last logged step, by what batches ask

    def get_train_dataloader(self) -> Any:
        """All batches of all epochs, in their fixed order."""
        return self._loader(self.train_dataset, self.steps)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """All batches of validation, in their fixed order."""
        return self._loader(eval_dataset or self.eval_dataset, self.checks)

    def _loader(self, data: Any, batches: Sequence[list[int]]) -> Any:
        own: Any = torch.utils.data.DataLoader
        loader = own(data, batch_sampler=batches, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """The module's own loss."""
        loss = model(inputs)["loss"]
        if not bool(torch.isfinite(loss)):
            raise CheckFailedError("the loss is not finite any more; train with a lower rate")
        if model.training:
            self.tokens += int(inputs["mask"].sum()) + len(inputs["mask"]) * len(inputs["head"])
            self.losses.setdefault(inputs["kind"], []).append(loss.detach())
        return loss

    def prediction_step(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """Loss alone."""
        with torch.no_grad():
            loss = self.compute_loss(model, self._prepare_inputs(inputs))
        return loss.detach(), None, None

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        own = {name: value.detach().cpu() for name, value in _trained(self.model).items()}
        data = save({name: value.contiguous() for name, value in own.items()})
        files.write_bytes_atomic(folder / TRAINABLE, data)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        with writing(folder):
            super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if team().first:
            seal(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        _restore(model or self.model, Path(resume_from_checkpoint) / TRAINABLE)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with files.reading(str(checkpoint), "a whole checkpoint", "remove it"):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with files.reading(str(checkpoint), "a whole checkpoint", "remove it"):
            super()._load_rng_state(checkpoint)

    def _load_best_model(self) -> None:
        if self.state.best_model_checkpoint:
            _restore(self.model, Path(self.state.best_model_checkpoint) / TRAINABLE)

    def mean_losses(self) -> dict[str, float]:
        """Mean loss in nats by what batches ask, since this was last called."""
        means = {kind: float(torch.stack(own).mean()) for kind, own in self.losses.items()}
        self.losses = {}
        return means


class Log(TrainerCallback):
    """Writes logged numbers, one JSON line each, and tells a person."""

    def __init__(self, path: Path, progress: Progress, trainer: ExplainerTrainer) -> None:
        self._path, self._progress, self._trainer = path, progress, trainer
        self._since = (time.monotonic(), 0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Begin with what was logged up to the checkpoint that training goes on from."""
        if state.is_world_process_zero:
            lines = [_line(row, state) for row in state.log_history]
            files.write_bytes_atomic(self._path, b"".join(lines))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        """Append a line."""
        # the summary at the end is over the steps since the last start alone
        if "train_runtime" in logs:
            return
        row = state.log_history[-1]  # kept in checkpoints with what is added here
        if "loss" in logs:
            now, tokens = time.monotonic(), self._trainer.tokens
            before, seen = self._since
            row["tokens_per_second"] = round((tokens - seen) / max(now - before, 1e-9), 1)
            row["losses"] = self._trainer.mean_losses()
            self._since = (now, tokens)
        if not state.is_world_process_zero:
            return
        with writing(self._path), self._path.open("ab") as stream:
            stream.write(_line(row, state))
        if "loss" in logs:
            what, note = f"training {self._path.parent.name}", f"loss {logs['loss']:.3f}"
            self._progress(what, state.global_step, state.max_steps, note=note)


def _line(row: Mapping[str, Any], state: Any) -> bytes:
    return files.canonical_json({**row, "steps": state.max_steps}).encode() + b"\n"


class Patience(TrainerCallback):
    """Stops after some evaluations past step `since` without a lower validation loss."""

    def __init__(self, patience: int, since: int = 0) -> None:
        self._patience, self._since = patience, since

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Stop if the lowest loss is too long ago."""
        losses = [
            row["eval_loss"]
            for row in state.log_history
            if "eval_loss" in row and row["step"] > self._since
        ]
        best = losses.index(min(losses)) if losses else 0
        if losses and len(losses) - 1 - best >= self._patience:
            control.should_training_stop = True


def trainer_arguments(
    folder: Path, settings: ExplainerSettings, request: TrainSpec, n_batches: int
) -> TrainingArguments:
    """The Trainer's settings for so many batches; processes that train together share them."""
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
        raise UsageError(
            "this training keeps all weights in every process and cannot shard them (FSDP); "
            "launch it with plain data parallelism (DDP)"
        )
    n_steps = math.ceil(n_batches / (settings.accumulation * team().size))
    every = max(1, math.ceil(n_steps / settings.evaluations))
    often = range(1, max(1, min(10, n_steps // 10)) + 1)
    # a checkpoint falls on a logged step, else the loss logged after a resume is over fewer steps
    logged = max(steps for steps in often if every % steps == 0)
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=n_steps,
        gradient_accumulation_steps=settings.accumulation,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=2 * settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.decay,
        warmup_steps=math.ceil(settings.warmup * n_steps),
        lr_scheduler_type="cosine",
        max_grad_norm=1.0,
        bf16=settings.bfloat16,
        use_cpu=request.device == "cpu",
        seed=settings.seed,
        logging_steps=logged,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        load_best_model_at_end=True,
        remove_unused_columns=False,
        report_to=[] if request.report_to is None else [request.report_to],
        disable_tqdm=True,
        dataloader_num_workers=0,
    )


def _trained(module: Any) -> dict[str, torch.nn.Parameter]:
    return {name: value for name, value in module.named_parameters() if value.requires_grad}


def _restore(module: Any, path: Path) -> None:
    own = _trained(module)
    with torch.no_grad():
        for name, value in load_file(path).items():
            own[name].copy_(value)


WIDTH, HEIGHT, EDGE = 640, 320, 48  # size of the picture and of its margins, in pixels
_SERIES = (("loss", "training", "#4269d0"), ("eval_loss", "validation", "#c0480b"))


def loss_curve(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw training and validation loss of `training.jsonl`, in nats a token, as SVG."""
    series = [
        (title, colour, [(row["step"], row[key]) for row in rows if key in row])
        for key, title, colour in _SERIES
    ]
    points = [point for _, _, part in series for point in part] or [(1, 0.0), (1, 1.0)]
    right = max(step for step, _ in points) or 1
    low, high = (bound(loss for _, loss in points) for bound in (min, max))
    if high == low:
        high = low + 1.0

    def place(step: float, loss: float) -> str:
        x = EDGE + (WIDTH - 2 * EDGE) * step / right
        y = HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (loss - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for number, (title, colour, part) in enumerate(series):
        path = " ".join(place(step, loss) for step, loss in part)
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        lines.append(_text(WIDTH - EDGE, EDGE + 16 * number, title, "end", colour))
    frame = f"M{EDGE},{EDGE}V{HEIGHT - EDGE}H{WIDTH - EDGE}"
    lines += [
        f'<path d="{frame}" fill="none" stroke="#888"/>',
        _text(EDGE - 6, EDGE + 4, f"{high:.2f}", "end"),
        _text(EDGE - 6, HEIGHT - EDGE, f"{low:.2f}", "end"),
        _text(WIDTH - EDGE, HEIGHT - EDGE + 16, f"step {right}", "end"),
        _text(EDGE, EDGE - 12, "loss, nats a token", "start"),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" role="img" aria-label="training loss">'
    )
    return "\n".join([head, *lines, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#666") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
