"""Thresholds of verdicts, found after training on the validation split; see `decision.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...cache import Progress
from ...files import read_json, write_json_atomic
from ...prompts import PromptSpec, build_prompts, cut_batches, render_all
from ...records import Answer
from ...suite.suite import Suite
from ...task import Task
from ..explainer.decision import VERDICTS, verdict_tokens
from ..explainer.declared import SETTINGS, THRESHOLDS
from ..explainer.load import load_local
from ..explainer.local import LocalExplainer
from .checkpoints import is_first
from .spec import TrainSpec


def add_thresholds(
    folder: Path, request: TrainSpec, suites: Sequence[tuple[Task, Suite]], progress: Progress
) -> None:
    """Add to `explainer.json` the thresholds of verdicts, if they are not there."""
    record = read_json(folder / SETTINGS)
    if THRESHOLDS in record or not is_first():
        return
    asked = [(task, suite) for task, suite in suites if task.openings]
    if not asked:
        return
    progress("finding thresholds of verdicts")
    name, seen = str(folder.resolve()), not request.no_vector
    explainer, _ = load_local(name, device=request.device, use_vectors=seen)
    found = {task.name: fit_threshold(explainer, task, suite) for task, suite in asked}
    thresholds = {name: value for name, value in found.items() if value is not None}
    write_json_atomic(folder / SETTINGS, {**record, THRESHOLDS: thresholds})


def fit_threshold(
    explainer: LocalExplainer, task: Task, suite: Suite, batch_size: int = 64
) -> float | None:
    """Threshold of a task, from its headline's kinds in validation; None where no verdict is."""
    spec = PromptSpec(
        task=task,
        suite=suite,
        split="validation",
        batch_size=batch_size,
        no_vector=not explainer.encoder.use_vectors,
    )
    own, truths = explainer.for_task(task.name), suite.answers(spec.split)
    kinds = task.headline_kinds
    asked = [query for query in spec.select() if kinds is None or query.kind in kinds]
    questions = [q for q in render_all(task, asked) if {*q.openings} == {*VERDICTS}]
    gaps: list[float] = []
    n_changed = 0
    for prompts in build_prompts(spec, cut_batches(questions, batch_size)):
        firsts = verdict_tokens(own, prompts[0])
        if firsts is None:
            return None
        logits = own.first_logits(prompts)
        gaps += (logits[:, firsts[0]] - logits[:, firsts[1]]).tolist()
        for prompt in prompts:
            truth = truths[prompt.query.id]
            assert isinstance(truth, Answer)  # what begins with a verdict is no other kind
            n_changed += truth.changed
    return _between(sorted(gaps, reverse=True), n_changed) if gaps else None


def _between(falling: Sequence[float], n: int) -> float:
    """Midway between the nth and the next; beyond the ends, by one."""
    above = falling[n - 1] if n else falling[0] + 1
    below = falling[n] if n < len(falling) else falling[-1] - 1
    return (above + below) / 2
