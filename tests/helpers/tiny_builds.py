"""Whole builds of tiny suites: invented facts, a random target, a few groups a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_targets import SAYS, make_letter_tokenizer, make_target

from introspect_bench.benchmark.backends.models.target_model import (
    TargetModel,
    with_rounded_weights,
)
from introspect_bench.benchmark.registry import get_task
from introspect_bench.tasks.activation_patching.build import balance, trials
from introspect_bench.tasks.activation_patching.build import build as patching
from introspect_bench.tasks.activation_patching.build import collect as collecting
from introspect_bench.tasks.activation_patching.build import contrast as matching
from introspect_bench.tasks.activation_patching.build import survey as reading
from introspect_bench.tasks.activation_patching.build.trials import SplitSize
from introspect_bench.tasks.build.make import make_suite
from introspect_bench.tasks.build.order import Order
from introspect_bench.tasks.facts import facts as prompts
from introspect_bench.tasks.facts.facts import Fact
from introspect_bench.tasks.input_ablations.build import build as ablations

STEMS = tuple(
    first + second
    for first in ("Ke", "Pe", "O", "東", "Жу", "La", "Ti", "Cha", "Fi", "Mu")
    for second in ("nya", "ru", "man", "京")
)
ENDS = ("", "ville", "land", "grad", "mouth", "ton", "stan", "berg", "wick", "holm", "ford", "by")
ANSWERS = ("Q", "Lima", "Paris", "Rome", "Киев", "Oslo", "Bern", "Cairo")
RELATIONS = ("capital", "currency", "language")
TASKS = ("activation-patching", "input-ablations")
SIZES: dict[str, dict[str, Any]] = {
    "activation-patching": {
        "train": SplitSize(groups=4, pool=60, tries=5, uses=3),
        "validation": SplitSize(groups=4, pool=60, tries=5, uses=3),
        "test": SplitSize(groups=4, pool=60, tries=5, uses=3),
    },
    "input-ablations": {
        "train": {"hint": 6, "context": 6, "which": 4},
        "validation": {"hint": 4, "context": 4, "which": 4},
        "test": {"hint": 4, "context": 4, "which": 4, "option": 4, "word": 4},
    },
}


def invented_facts() -> tuple[Fact, ...]:
    subjects = [stem + end for stem in STEMS for end in ENDS]
    return tuple(
        Fact(
            relation=relation,
            subject=subject,
            objects=(ANSWERS[prompts.rank(relation, subject) % len(ANSWERS)],),
        )
        for relation in RELATIONS
        for subject in subjects
    )


@contextmanager
def small_world() -> Iterator[None]:
    """Few facts, a few groups a round, and caps that leave room in a suite of a few groups."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prompts, "load_facts", invented_facts)
        patch.setattr(collecting, "OUTCOME_CAP", 1.0)
        patch.setattr(matching, "RELATION_CAPS", {True: 1.0, False: 1.0})
        patch.setattr(patching, "SURVEY_POOL", 30)
        patch.setattr(patching, "SURVEY_GROUPS", 1)
        patch.setattr(patching, "INERT", 0.0)
        patch.setattr(patching, "SPARE", 1.3)
        patch.setattr(trials, "MARGIN", 0.0)
        patch.setattr(matching, "LEAN", 99.0)
        for module in (balance, reading):  # answers are single letters, often one inside another
            patch.setattr(module, "overlap", str.__eq__)
        patch.setattr(ablations, "OUTCOME_CAP", dict.fromkeys(ablations.OUTCOME_CAP, 1.0))
        patch.setattr(ablations, "MARGIN", 0.0)
        yield
    torch.set_num_threads(threads)


def load() -> TargetModel:
    return make_target(seed=4, talkative=SAYS, tokenizer=make_letter_tokenizer())


def load_rounded() -> TargetModel:
    target = load()
    with_rounded_weights(target)
    return target


def quiet(_stage: str, _n: int) -> None:
    pass


def order(task: str, folder: Path, **changes: Any) -> Order:
    return replace(
        Order(
            suite="tiny",
            task=task,
            target={"name": "tiny", "weights_sha256": {}},
            seed=0,
            out=folder / task / get_task(task).version,
            work=folder / "work" / task,
            sizes=SIZES[task],
            draft=True,
            nulls=False,
        ),
        **changes,
    )


def make_all(task: str, folder: Path, report: Callable[[str, int], None] = quiet) -> Path:
    (folder / task).mkdir(parents=True, exist_ok=True)
    made = order(task, folder)
    make_suite(made, load, load_rounded, report)
    return made.out


@cache
def made_once(folder: Path) -> tuple[dict[str, Path], dict[str, list[str]]]:
    """Suites of both tasks, made once for all modules that read them; what each build reported."""
    found: dict[str, Path] = {}
    stages: dict[str, list[str]] = {}
    for task in TASKS:
        told = stages[task] = []
        found[task] = make_all(task, folder, lambda stage, _, told=told: told.append(stage))  # type: ignore[misc]
    return found, stages
