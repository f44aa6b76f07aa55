"""What a training is: what it reads, and how the explainer is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import MissingPartError, UsageError, check_choice
from ...records import DECODINGS, GREEDY
from ...suite.subset import Amount
from ..injection.spec import Injection, Injections, injections_as_json

LENS = "input-lens"
STARTS = ("none", "random", "aligned", LENS)
"""What `--projection` takes: `aligned` maps the target's states to the explainer's; `input-lens`
shows the explainer its own tokens: those that a direction responds to, or whose embeddings are
nearest to where `aligned` maps a state."""
LOGGERS = {
    "wandb": ("wandb",),
    "trackio": ("trackio",),
    "tensorboard": ("tensorboard", "tensorboardX"),
}
"""Where losses can be logged besides `training.jsonl`, and the modules that any of which needs."""
PRECISIONS = ("auto", "float32", "bfloat16")  # what can be computed in

READING = ("before", "beside", "both")  # before the task, mixed with it, or half and half


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """Everything that `train` is asked for, but for the settings."""

    base: str  # folder, hub id or target's name of the model to train
    output: Path | str  # folder that gets the explainer; `run --model OUTPUT` runs it
    suite: str = "smollm2-135m"  # name of a suite, a folder, or `owner/name@commit`
    tasks: Sequence[str] = ()  # tasks to learn, mixed; all of the suite if empty
    n_train: Amount | None = None  # of each task, or below 1 the part; whole contrast groups
    no_vector: bool = False  # leave vectors out, as a control
    injection: Injections | None = None  # the default where nothing is said
    projection: str = "none"  # one of `STARTS`: maps into the base model's width
    chat_template: str | None = None  # its text, for a base without one; in Jinja
    align: Path | str | None = None  # texts, one a line; None: what the target wrote
    target: str | None = None  # target to align with; the suite's own if None
    device: str = "cpu"  # a torch device
    seed: int = 0  # decides draws, initial weights and order
    precision: str = "auto"  # one of `PRECISIONS`; `auto`: the faster, or what it began with
    report_to: str | None = None  # one of `LOGGERS`: logs there too
    overwrite: bool = False  # start anew where a training is

    def __post_init__(self) -> None:
        """Refuse an unknown choice."""
        check_choice("projection", self.projection, STARTS)
        if self.chat_template is not None and not self.chat_template.strip():
            raise UsageError("the chat template is empty")
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision {self.precision!r}: choose from {', '.join(PRECISIONS)}")
        if self.report_to is not None:
            check_choice("report to", self.report_to, tuple(LOGGERS))
            if not any(find_spec(module) for module in LOGGERS[self.report_to]):
                raise MissingPartError(
                    f"{self.report_to} is not here; pip install {self.report_to}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How an explainer, or a control, learns to read vectors: by true questions about them."""

    when: str = "beside"  # one of `READING`
    share: float = 1.0  # questions for each query of the task that is learnt from
    kinds: tuple[str, ...] = ()  # equally many of each as far as there are; all if empty

    def __post_init__(self) -> None:
        """Check that it is possible."""
        check_choice("reading", self.when, READING)
        if not 0 < self.share < math.inf:
            raise UsageError(f"a reading share of {self.share}; give a number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainerSettings:
    """How an explainer is trained; all of it is part of what a training is."""

    method: str = "lora"  # `lora`, or `full` for all weights
    rank: int = 16  # rank of the adapter
    alpha: float = 32.0  # scale of the adapter, divided by its rank
    learning_rate: float = 1e-3  # highest learning rate of AdamW
    warmup: float = 0.05  # share of the steps of the rise from 0; then it falls as a cosine
    decay: float = 0.01  # weight decay
    batch_size: int = 16  # queries of one template that are read together, on each device
    accumulation: int = 2  # such batches of one step: templates and tasks are mixed by it
    epochs: int = 1  # times that every query is seen
    evaluations: int = 5  # times that the validation loss is measured, evenly spread
    patience: int = 2  # evaluations without a lower validation loss after which training stops
    bfloat16: bool = False  # compute in bfloat16 where that is safe; the weights stay float32
    seed: int = 0  # chooses initial weights and all orders
    twin: str | None = None  # a control's change to the base, see `twins.py`
    injection: Injections = field(default_factory=Injection)
    reading: Reading | None = None  # how reading is taught; None if it is not
    decoding: str = GREEDY  # one of `DECODINGS`; training does not depend on it

    def __post_init__(self) -> None:
        """Check that the numbers are possible."""
        check_choice("method", self.method, ("lora", "full"))
        check_choice("decoding", self.decoding, DECODINGS)
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


def split_options(
    base: str, output: Path | str, options: Mapping[str, Any]
) -> tuple[TrainSpec, dict[str, Any]]:
    """Tell what a training reads from how it is done, which is returned as it is."""
    names = {field.name for field in fields(TrainSpec)}
    asked = {name: value for name, value in options.items() if name in names}
    rest = {name: value for name, value in options.items() if name not in names}
    return TrainSpec(base=base, output=output, **asked), rest
