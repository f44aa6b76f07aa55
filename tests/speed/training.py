"""How fast explainers are trained, against a plain Trainer on padded batches.

Run it by hand: `python tests/speed/training.py`. Both sides train the same adapter of the embedded
target on the same queries of all tasks, in the same process and with the same number of threads:
ours as `introspect-bench train` does (instructions read once a batch, lessons sorted by length,
logits at the answer alone, bfloat16 where it is faster), the plain way as tutorials do
(`transformers.Trainer`, random order, whole prompts padded to the longest of a batch, labels masked
with -100, float32). It prints tokens of lessons, padding not counted, a second for both, and their
ratio, which should be at least 1.5. Machines are noisy: look at the ratio, on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments

from introspect_bench.benchmark.backends.explainer.chat import Encoder
from introspect_bench.benchmark.backends.models.pretrained import adapt, load_model, load_tokenizer
from introspect_bench.benchmark.backends.training.dataset import Lesson, make_lessons
from introspect_bench.benchmark.backends.training.spec import ExplainerSettings, TrainSpec
from introspect_bench.benchmark.backends.training.train import (
    Training,
    bfloat16_is_faster,
    train_explainer,
)
from introspect_bench.benchmark.models.fetch import prepare_target
from introspect_bench.benchmark.models.targets import resolve_target
from introspect_bench.benchmark.suite.select import tasks_of

BATCH = 16
"""Queries of a batch, on both sides."""


def plain(folder: Path, lessons: Sequence[Lesson], pad: int, work: Path) -> float:
    """Seconds of a plain training."""
    model = load_model(folder, torch.float32)
    model.requires_grad_(False)
    lora = {"r": 16, "lora_alpha": 32.0, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    adapted = adapt(model, lora, 0)

    def padded(part: Sequence[Lesson]) -> dict[str, torch.Tensor]:
        width = max(len(one.ids) for one in part)
        ids = torch.full((len(part), width), pad)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for row, one in enumerate(part):
            own = torch.tensor(one.ids)
            ids[row, : len(own)], mask[row, : len(own)] = own, 1
            labels[row, one.n_prompt : len(own)] = own[one.n_prompt :]
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    arguments = TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=1e-3,
        use_cpu=True,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        logging_strategy="no",
    )
    data: Any = list(lessons)
    trainer = Trainer(model=adapted, args=arguments, train_dataset=data, data_collator=padded)
    trainer.remove_callback(PrinterCallback)
    start = time.perf_counter()
    trainer.train()
    return time.perf_counter() - start


def ours(folder: Path, lessons: Sequence[Lesson], pad: int, work: Path) -> float:
    """Seconds of a training as the package does it, its evaluations and files included."""
    settings = ExplainerSettings(
        batch_size=BATCH, accumulation=1, evaluations=1, bfloat16=bfloat16_is_faster("cpu")
    )
    start = time.perf_counter()
    training = Training(
        request=TrainSpec(base="speed", output=work),
        base=folder,
        base_name="speed",
        lessons=lessons,
        validation=lessons[:1],
        settings=settings,
        about={},
        pad=pad,
    )
    train_explainer(training)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=96, help="queries of each task")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = prepare_target(resolve_target("smollm2-135m"))
    tokenizer = load_tokenizer(folder)
    encoder = Encoder(tokenizer, use_vectors=True)
    lessons: list[Lesson] = []
    for task, suite in tasks_of("smollm2-135m"):
        lessons += make_lessons(task, suite, encoder, n=options.n)
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    tokens = sum(len(lesson.ids) for lesson in lessons)
    rates = {}
    for name, train in (("ours", ours), ("plain", plain)):
        with tempfile.TemporaryDirectory() as work:
            rates[name] = tokens / train(folder, lessons, pad, Path(work))
    found = {
        "queries": len(lessons),
        "tokens": tokens,
        "threads": options.threads,
        "ours_tokens_per_second": round(rates["ours"], 1),
        "plain_tokens_per_second": round(rates["plain"], 1),
        "ratio": round(rates["ours"] / rates["plain"], 2),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
