"""Explainers that need no training of their own, to be beaten, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.explainer import Explainer, ExplainerCard
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.task import Task

if TYPE_CHECKING:
    from introspect_bench.benchmark.backends.injection import Injection

Need = Literal["train", "vectors", "target-model", "oracle"]
"""What a baseline opens: the training split with its truth, vectors, the target's weights, or what
only oracles are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSpec:
    """One baseline, as listed."""

    name: str
    """Name after `baseline/`."""
    kind: Literal["baseline", "oracle"]
    """An oracle is told something a contestant is not: a reference, not a contestant."""
    summary: str
    """One sentence: how it answers."""
    needs: tuple[Need, ...]
    """What it opens; no baseline ever opens the truth of the split it answers."""
    tasks: tuple[str, ...] = ("activation-patching", "input-ablations")
    """Names of the tasks it can answer."""
    shots: int = 0
    """Solved training queries its prompts show unless the user says otherwise."""
    opens: bool = False
    """Whether its replies are made to begin as the task's answers do (`Task.openings`)."""


BASELINES = (
    BaselineSpec(
        name="constant",
        kind="baseline",
        summary="Always gives the answer that is right most often on the training split.",
        needs=("train",),
    ),
    BaselineSpec(
        name="input-only",
        kind="baseline",
        summary=(
            "Gives the answer most frequent on the training split among queries with the same text "
            "features, reading only what a contrast group shares; the honest prior."
        ),
        needs=("train",),
    ),
    BaselineSpec(
        name="rule-of-thumb",
        kind="baseline",
        summary="As input-only, but it also reads the part that is removed.",
        needs=("train",),
        tasks=("input-ablations",),
    ),
    BaselineSpec(
        name="nearest-neighbour",
        kind="baseline",
        summary=(
            "Gives the answer of the most similar training query: cosine of vectors in the same "
            "layers and position kind, or of character n-grams for text-only tasks."
        ),
        needs=("train", "vectors"),
    ),
    BaselineSpec(
        name="zero-shot",
        kind="baseline",
        summary=(
            "The untrained target model explains itself; its reply is made to begin with the "
            "verdict it finds likelier, for left alone it writes none."
        ),
        needs=("target-model", "vectors"),
        opens=True,
    ),
    BaselineSpec(
        name="few-shot",
        kind="baseline",
        summary="The untrained target model explains itself after some solved training queries.",
        needs=("target-model", "vectors", "train"),
        shots=4,
    ),
    BaselineSpec(
        name="unchanged",
        kind="oracle",
        summary="Says `unchanged` with the target's output, which it is told.",
        needs=("oracle",),
    ),
    BaselineSpec(
        name="source-oracle",
        kind="oracle",
        summary=(
            "Is told the outputs of the target and of the vector's source prompt; says which of "
            "the two comes out, by what is commoner on the training split for the same layers and "
            "position kind."
        ),
        needs=("oracle", "train"),
        tasks=("activation-patching",),
    ),
)
"""Every baseline."""


def find_baseline(name: str) -> BaselineSpec:
    """Return the baseline with a name.

    Raises:
        UsageError: there is none; the message lists the names.
    """
    for spec in BASELINES:
        if spec.name == name:
            return spec
    raise UsageError(
        f"unknown baseline '{name}': choose from {', '.join(spec.name for spec in BASELINES)}"
    )


def make_baseline(
    name: str,
    *,
    task: Task,
    suite: Suite,
    split: str,
    device: str = "cpu",
    dtype: str = "auto",
    batch_size: int | None = None,
    use_vectors: bool = True,
    injection: Injection | None = None,
) -> tuple[Explainer, ExplainerCard]:
    """Learn or load a baseline.

    Args:
        name: its name, without `baseline/`.
        task: the task it will answer.
        suite: the suite; only what the baseline's `needs` say is opened.
        split: the split it will answer; oracles are told about this split.
        device: for the baselines that run the target model, as are dtype, batch size, injection.
        dtype: dtype of its weights, or `auto`.
        batch_size: rows decoded together.
        use_vectors: whether prompts carry their vectors.
        injection: how they enter.

    Raises:
        UsageError: unknown name, a task it cannot answer, or vectors it needs are left out.
    """
    spec = check_baseline(name, task, use_vectors=use_vectors)
    if "target-model" in spec.needs:
        from introspect_bench.baselines.untrained import load_untrained

        return load_untrained(
            name,
            suite=suite,
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            use_vectors=use_vectors,
            injection=injection,
            openings=task.openings if spec.opens else (),
        )
    explainer, settings = _learners()[name](task, suite, split)
    return explainer, ExplainerCard(name=f"baseline/{name}", kind=spec.kind, settings=settings)


def check_baseline(name: str, task: Task, *, use_vectors: bool) -> BaselineSpec:
    """Return the baseline with a name if it can answer a task.

    Raises:
        UsageError: unknown name, a task it cannot answer, or vectors it needs are left out.
    """
    spec = find_baseline(name)
    if task.name not in spec.tasks:
        raise UsageError(f"baseline/{name} answers {', '.join(spec.tasks)}, not {task.name}")
    if name == "nearest-neighbour" and task.uses_vector and not use_vectors:
        raise UsageError("baseline/nearest-neighbour compares vectors; it cannot do without them")
    return spec


Learner = Callable[[Task, Suite, str], tuple[Explainer, dict[str, Any]]]
"""Task, suite and the split to answer, to the explainer and its settings."""


def _learners() -> dict[str, Learner]:
    from introspect_bench.baselines import constant, input_only, nearest_neighbour, oracles

    return {
        "constant": constant.learn,
        "input-only": lambda task, suite, _split: input_only.learn("input-only", task, suite),
        "rule-of-thumb": lambda task, suite, _split: input_only.learn("rule-of-thumb", task, suite),
        "nearest-neighbour": nearest_neighbour.learn,
        "unchanged": oracles.learn_unchanged,
        "source-oracle": oracles.learn_source,
    }
