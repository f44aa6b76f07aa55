"""What a training is: what it reads, and how the explainer is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...records import DECODINGS, GREEDY
from ...suite.subset import Amount
from ..injection.spec import Injection, Injections, injections_as_json

LENS = "input-lens"
STARTS = ("none", "random", "aligned", LENS)
"""What `--projection` takes: `aligned` maps the target's states to the explainer's; `input-lens`
shows the explainer its own tokens: those that a direction responds to, or whose embeddings are
nearest to where `aligned` maps a state."""
OnStep = Callable[[int, int, float], None]
"""Progress: steps done, steps in all and the latest loss in nats."""
PRECISIONS = ("auto", "float32", "bfloat16")  # what can be computed in

READING = ("before", "beside", "both")
"""When reading is taught: in a phase before the task, mixed with it, or half and half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """Everything that `train` is asked for, but for the settings."""

    base: str  # folder, hub id or target's name of the model to train
    output: Path  # folder that gets the explainer; `run --model OUTPUT` runs it
    suite: str = "smollm2-135m"  # name or folder of a suite
    tasks: Sequence[str] = ()  # tasks to learn, mixed; all of the suite if empty
    n_train: Amount | None = None
    """Training queries of each task, or below 1 the part of them, whole contrast groups; all if
    None."""
    no_vector: bool = False  # leave vectors out, as a control
    injection: Injections | None = None
    """How vectors enter, for every task or by task; the default where nothing is said."""
    projection: str = "none"
    """Linear maps into the base model's width, trained with it: one of `STARTS`."""
    align: Path | None = None
    """Text file to align on, one text a line; what the target wrote if None."""
    target: str | None = None  # target to align with; the suite's own if None
    device: str = "cpu"  # a torch device
    seed: int = 0  # decides draws, initial weights and order
    precision: str = "auto"
    """One of `PRECISIONS`; `auto`: bfloat16 where it is faster, or what the training began with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How an explainer, or a control, learns to read vectors: by true questions about them."""

    when: str = "beside"  # one of `READING`
    share: float = 1.0  # questions for each query of the task that is learnt from
    kinds: tuple[str, ...] = ()
    """Kinds of questions, equally many of each as far as there are; all if empty."""

    def __post_init__(self) -> None:
        """Check that it is possible."""
        if self.when not in READING:
            raise UsageError(f"reading {self.when!r}: choose from {', '.join(READING)}")
        if not 0 < self.share < math.inf:
            raise UsageError(f"a reading share of {self.share}; give a number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainerSettings:
    """How an explainer is trained; all of it is part of what a training is."""

    method: str = "lora"  # `lora`, or `full` for all weights
    rank: int = 16  # rank of the adapter
    alpha: float = 32.0  # scale of the adapter, divided by its rank
    learning_rate: float = 1e-3  # highest learning rate of AdamW
    warmup: float = 0.05
    """Share of the steps over which it rises from 0; then it falls to 0 as a cosine."""
    decay: float = 0.01  # weight decay
    batch_size: int = 16  # queries of one template that are read together, on each device
    accumulation: int = 2  # such batches of one step: templates and tasks are mixed by it
    epochs: int = 1  # times that every query is seen
    evaluations: int = 5  # times that the validation loss is measured, evenly spread
    patience: int = 2  # evaluations without a lower validation loss after which training stops
    bfloat16: bool = False  # compute in bfloat16 where that is safe; the weights stay float32
    seed: int = 0  # chooses initial weights and all orders
    twin: str | None = None
    """What is changed about the base first, as a control: see `twins.py`; its seed is `seed`."""
    injection: Injections = field(default_factory=Injection)
    """How vectors enter, for every task or by task."""
    reading: Reading | None = None  # how reading is taught; None if it is not
    decoding: str = GREEDY
    """How its replies will be chosen, one of `DECODINGS`; training does not depend on it."""

    def __post_init__(self) -> None:
        """Check that the numbers are possible."""
        if self.method not in ("lora", "full"):
            raise UsageError(f"method {self.method!r}: choose lora or full")
        if self.decoding not in DECODINGS:
            raise UsageError(f"decoding {self.decoding!r}: choose from {', '.join(DECODINGS)}")
        for name in ("rank", "batch_size", "accumulation", "epochs", "evaluations", "patience"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name.replace('_', ' ')}: give 1 or more")
        if not 0 < self.learning_rate < math.inf:
            raise UsageError(f"the learning rate is {self.learning_rate}; give a number above 0")

    def as_json(self) -> dict[str, Any]:
        """All settings by name."""
        values = {**asdict(self), "injection": injections_as_json(self.injection)}
        del values["decoding"]  # the same training whatever is done with it
        if self.reading is None:
            del values["reading"]
        return values
