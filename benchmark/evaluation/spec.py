"""What a run is: the options of `run`, their defaults, and the file they lead to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..endpoint.limits import EndpointSpec
from ..errors import UsageError, check_choice
from ..files import MAX_INTEGER_CHARS
from ..models.targets import home_folder
from ..records import GREEDY
from ..suite.subset import Amount, show_amount
from .text_models import shown_name

if TYPE_CHECKING:
    from ..backends.injection.spec import Injections
    from ..explainer import Explainer
    from ..runs.writer import Resume
    from ..suite.suite import Suite
    from ..task import Task


DTYPES = ("auto", "float32", "bfloat16", "float16")
LARGEST = 10 ** (MAX_INTEGER_CHARS - 1) - 1  # Largest number that a run file can hold

# Whether this machine has the device is found out when a model is loaded on it.
_DEVICE = re.compile("auto|(cpu|cuda|hpu|mps|mtia|npu|xla|xpu)(:(0|[1-9][0-9]{0,3}))?")

VLLM = "vllm"
# Fields for local models that say where weights go and what runs them, and their values
SPREAD = {
    "device_map": ("auto", "balanced", "sequential"),
    "quantization": ("8bit", "4bit"),
    "engine": (VLLM,),
}
# Arguments of vLLM that no run chooses; the others here have options of their own, or none
VLLM_FIXED = {
    "enable_prefix_caching": False,
    "enable_prompt_embeds": True,
    "generation_config": VLLM,  # no defaults of the folder's own
    "logprobs_mode": "raw_logprobs",
    "max_logprobs": -1,
    "skip_tokenizer_init": True,
}
VLLM_KEPT = frozenset({*VLLM_FIXED, "dtype", "hf_token", "model", "tokenizer", "trust_remote_code"})
GENERATION = ("max_new_tokens", "thinking", "system")  # Fields that are for local models

PAPER, ZERO_SHOT = "paper", "paper-zero-shot"
PROTOCOLS = (PAPER, ZERO_SHOT)

# Values of `--injection`
INJECTIONS = "embedding, add:LAYER, replace:LAYER, own-layers, quoted-token or replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """Everything that says what a run is."""

    # `baseline/NAME`, a folder, a hub id, a target's name, `lm-eval:BACKEND,ARGS`, `openai:NAME`,
    # or `py:module:Class`
    model: str
    explainer: Explainer | None = None  # An object that answers, which `model` names
    suite: str = "smollm2-135m"  # Name of a suite, a folder, or `owner/name@commit`
    tasks: Sequence[str] = ()  # Tasks to answer; all of the suite if empty
    split: str = "test"  # Which queries; `mini` is a small part of `validation`
    limit: int | None = None  # Answer only the first so many queries; marks the run partial
    queries: Sequence[str] | None = None  # Only these ids; marks the run partial
    resume: Resume = "auto"  # What to do about an existing file; `overwrite` starts anew
    device: str = "cpu"  # A torch device; `auto`: the best that is here
    dtype: str = "auto"  # Of a local model's weights; `auto`: float32 on CPU, else bfloat16
    device_map: str | None = None  # `auto`: spread a local model over all devices
    quantization: str | None = None  # Of a local model's weights: `8bit` or `4bit`
    engine: str | None = None  # `vllm` decodes a local model's replies; None: this package
    batch_size: int | None = None  # Prompts in one batch; `AUTO_BATCH_SIZE` if None
    seed: int = 0  # Chooses the solved queries that are shown
    shots: int | None = None  # Solved queries to show; None for the baseline's own number, or none
    # Training queries that a baseline learns from, or below 1 the part of them, whole contrast
    # groups
    n_train: Amount | None = None
    no_vector: bool = False  # Withhold the vectors, as a control
    shuffle_vectors: bool = False  # Give each query another one's vector, as a control
    # How vectors enter a local model, for every task or by task; where nothing is said, as its
    # checkpoint declares, or the default
    injection: Injections | None = None
    # Whose convention a local model's prompts follow; None for its checkpoint's, or the benchmark's
    # own
    family: str | None = None
    base: str | None = None  # Where an adapter's base model is, if it moved
    decoding: str | None = None  # How replies are chosen; None: as its checkpoint says, or greedy
    max_new_tokens: int | None = None  # Of a local model; None: 32, or 1,024 with thinking
    thinking: bool | None = None  # Whether a local model's replies begin with thinking; off if None
    system: str | None = None  # Text before the instructions of a local model's prompts
    # `paper`: ask in the words of arXiv:2511.08579, and end as there; `paper-zero-shot`: in those
    # it has for models that were not trained
    protocol: str | None = None
    # Of a `py:module:Class` or of vLLM; or fields of an endpoint's requests
    explainer_args: Mapping[str, Any] = field(default_factory=dict)
    endpoint: EndpointSpec | None = None  # Of `openai:NAME`: its server, and limits
    judge: bool = True  # Have descriptions judged once all are there
    output: Path | str = "runs"  # Folder of run files

    def __post_init__(self) -> None:
        """Refuse what no run can be."""
        if not self.model:
            raise UsageError("the name of the model is empty")
        if self.no_vector and self.shuffle_vectors:
            raise UsageError("vectors cannot be both withheld and shuffled; choose one")
        _check_number("limit", self.limit, 1)
        _check_number("batch size", self.batch_size, 1)
        _check_number("longest reply", self.max_new_tokens, 1)
        _check_number("number of solved queries", self.shots, 0)
        if not isinstance(self.n_train, float):
            _check_number("number of training queries", self.n_train, 1)
        _check_number("seed", self.seed, 0)
        if self.protocol is not None:
            check_choice("protocol", self.protocol, PROTOCOLS)
            if self.shots or self.decoding not in (None, GREEDY):
                raise UsageError("the paper's protocol has no solved queries and greedy decoding")
        if not _DEVICE.fullmatch(self.device):
            raise UsageError(f"unknown device '{self.device}': expected such as auto, cpu, cuda")
        for name, known in SPREAD.items():
            if (value := getattr(self, name)) is not None:
                check_choice(name.replace("_", " "), value, known)
        if self.dtype not in DTYPES:
            raise UsageError(f"unknown dtype '{self.dtype}': expected {', '.join(DTYPES)}")

    @property
    def server(self) -> EndpointSpec:
        """The server of `openai:NAME`, with the variable that holds the key it gets."""
        from ..endpoint.address import default_key

        spec = self.endpoint or EndpointSpec()
        return replace(spec, key_env=spec.key_env or default_key(spec.url))

    @property
    def generation(self) -> dict[str, Any]:
        """How a local model's replies are generated, by name."""
        return {name: getattr(self, name) for name in GENERATION}

    def path(self, task: Task, suite: Suite) -> Path:
        """Return the file of one task's run: the same request always means the same file."""
        folder = home_folder(self.model)
        name = folder.resolve().name if folder.is_dir() else shown_name(self.model)
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80]
        control = ".no-vector" if self.no_vector else ""
        control += ".shuffled" if self.shuffle_vectors else ""
        control += "" if self.protocol is None else f".{self.protocol}"
        control += "" if self.n_train is None else f".n-{show_amount(self.n_train)}"
        return Path(self.output) / f"{slug}{control}.{suite.name}.{task.name}.{self.split}.jsonl"


def _check_number(what: str, value: object, least: int) -> None:
    """Refuse what is not a whole number that a run file can hold; None is the default."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"the {what} is {value!r}; give a whole number")
    if value < least:
        raise UsageError(f"the {what} is {value}; give {least} or more")
    if value > LARGEST:
        raise UsageError(f"the {what} is {value}; give {LARGEST} or less")
