"""Reference explainers: trained ones, their controls and the cells of a study, as recipes.

The study asks which way in, and which questions about vectors beside the task, teach an explainer
to read one; its cells are compared on a part of train that is held out (`docs/studies/read.py`).
The explainers of the board take the recipe of one cell, `CHOSEN`. A control differs from its
explainer in one thing alone, and its learning rate. Weights that ship lie in
`baselines/reference/NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ..benchmark.backends.injection.spec import Injection, Injections
from ..benchmark.backends.training.spec import Reading
from ..benchmark.errors import MissingPartError, UsageError
from ..benchmark.registry import REFERENCE
from ..tasks.activation_patching.reading_questions import CONTINUED
from .registry import CAUSAL, FEATURES, PATCHING

TARGET = "smollm2-135m"
"""The target they explain."""
SHIPPED = Path(__file__).parent / "reference"
"""Where shipped weights lie."""
NO_VECTOR = "-no-vector"
"""How the name of a control ends that any recipe with vectors has: the same without them."""
CHOSEN = "read-own"
"""Cell of the study whose recipe the explainers of the board take."""

Role = Literal["self", "control", "study"]
"""The target explaining itself, a control of that, or a cell of the study of reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSpec:
    """One recipe."""

    name: str
    """Name after `reference/`."""
    role: Role
    """What it is for."""
    summary: str
    """One sentence: what is special about it."""
    base: str = TARGET
    """Model that is trained."""
    injection: Injections = field(default_factory=Injection)
    """How vectors enter, for every task or by task."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """What else its training is given: arguments of `train`."""
    tasks: tuple[str, ...] = ()
    """Tasks it is for; all if empty."""
    no_vector: bool = False
    """Whether it never sees a vector, in training and after."""

    def without_vectors(self, name: str = "") -> ReferenceSpec:
        """The control that is trained and asked the same without vectors."""
        return replace(
            self,
            name=name or f"{self.name}{NO_VECTOR}",
            role="study" if self.role == "study" else "control",
            summary=f"As {self.name}, trained and asked without vectors.",
            no_vector=True,
        )


OWN = Injection(mode="own-layers", scaling="natural")
"""The vector stands at its own layers, in a token of its own."""
REPLAYED = Injection(mode="replay", scaling="natural")
"""The same in a copy that begins the explainer's turn, from which it goes on as the target did."""
EIGHT = Injection(slots=8)
"""Eight tokens stand in for a vector."""
GEMMA_TURNS = (
    "{{ bos_token }}{% for m in messages %}"
    "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
"""Chat template for Gemma's base models, which have none, in the marks of turns that they know: so
that they are asked in the form that the target is."""
LENS = "input-lens"
"""Start of maps that show a vector as the explainer's own tokens."""
PLAIN: Mapping[str, Any] = {
    "learning_rate": 2e-3,
    "accumulation": 1,
    "precision": "bfloat16",
    "evaluations": 1,
}
"""What all trainings have."""
BESIDE = Reading(when="beside", share=2.0)
"""Two questions of all kinds for each query, mixed with the task."""
BEFORE = Reading(when="before", share=2.0, kinds=("answer", "which", *CONTINUED))
"""As many first, most of them texts that go on from the vector."""
BOTH = Reading(when="both", share=4.0)
"""Twice as many, half of them first."""


def _cell(name: str, summary: str, injection: Injection, **training: Any) -> ReferenceSpec:
    return ReferenceSpec(
        name=f"read-{name}",
        role="study",
        summary=summary,
        injection=injection,
        training={**PLAIN, **training},
        tasks=(PATCHING,),
    )


STUDY = (
    _cell("embedding", "A slot at the input embedding, the task alone.", Injection()),
    _cell("own", "The vector at its own layers of a slot, the task alone.", OWN),
    _cell("own-beside", "Own layers, reading beside the task.", OWN, reading=BESIDE),
    _cell(
        "own-3-beside",
        "Own layers of three slots, reading beside the task.",
        replace(OWN, slots=3),
        reading=BESIDE,
    ),
    _cell("own-before", "Own layers, first texts that go on from it.", OWN, reading=BEFORE),
    _cell("own-both", "Own layers, reading before and beside the task.", OWN, reading=BOTH),
    _cell(
        "own-maps-both",
        "Own layers through a trained map for each block, reading before and beside.",
        OWN,
        projection="aligned",
        reading=BOTH,
    ),
    _cell(
        "lens-8-beside",
        "Eight of its own tokens that are nearest to the vector, reading beside.",
        EIGHT,
        projection=LENS,
        reading=BESIDE,
    ),
    _cell(
        "aligned-8-both",
        "Eight slots at the input embedding through trained maps, reading before and beside.",
        EIGHT,
        projection="aligned",
        reading=BOTH,
    ),
)
"""Cells of the study of reading; each has a control without vectors by its name."""


def _main(chosen: str) -> tuple[ReferenceSpec, ...]:
    cell = next(spec for spec in STUDY if spec.name == chosen)
    lens = cell.training.get("projection") == LENS
    recipe = {**cell.training, "evaluations": 3}
    own = ReferenceSpec(
        name="smollm2-self",
        role="self",
        summary=f"The target explains itself. Recipe {cell.name}: {cell.summary}",
        injection=cell.injection,
        training=recipe,
        tasks=CAUSAL if lens else (),  # a lens reads states or directions
    )
    # in another basis or width vectors go through maps; learning rates are chosen for each base
    mapped = {"projection": "aligned", **recipe, "learning_rate": 1e-3}
    return (
        own,
        own.without_vectors("smollm2-no-vector"),
        replace(
            own,
            name="smollm2-rotated",
            role="control",
            summary="As smollm2-self, from a twin that computes the same in a rotated basis.",
            training={**mapped, "twin": "rotated"},
        ),
        replace(
            own,
            name="gemma3-270m",
            role="control",
            summary="As smollm2-self, from another model.",
            base="gemma3-270m",
            training={**mapped, "chat_template": GEMMA_TURNS},
        ),
    )


_REPLAY = ReferenceSpec(
    name="smollm2-replay",
    role="self",
    summary=(
        "The target explains itself; it first goes on from the quoted text with the patch in "
        "place, and then reports what it said."
    ),
    injection=REPLAYED,
    training={**PLAIN, "evaluations": 3, "decoding": "compared"},
    tasks=(PATCHING,),
)
_LENS = ReferenceSpec(
    name="smollm2-input-lens",
    role="self",
    summary=(
        "The target describes features; for each direction it sees its own tokens that move the "
        "direction's layer most along it."
    ),
    injection=EIGHT,
    training={**PLAIN, "evaluations": 3, "projection": LENS},
    tasks=(FEATURES,),
)
MAIN = (
    *_main(CHOSEN),
    _REPLAY,
    _REPLAY.without_vectors(),
    _LENS,
    _LENS.without_vectors(),
    replace(
        _LENS,
        name="gemma3-270m-input-lens",
        role="control",
        summary="As smollm2-input-lens, from another model, which sees tokens of its own.",
        base="gemma3-270m",
        training={**_LENS.training, "chat_template": GEMMA_TURNS},
    ),
)
"""Explainers of the board and their controls."""
REFERENCES = MAIN + STUDY
"""Every recipe; those with vectors have a control `NAME-no-vector` whether it is listed or not."""


def find_reference(name: str) -> ReferenceSpec:
    """The recipe with a name, or the control of one."""
    for spec in REFERENCES:
        if spec.name == name:
            return spec
        if name == f"{spec.name}{NO_VECTOR}" and not spec.no_vector:
            return spec.without_vectors()
    raise UsageError(
        f"unknown reference '{name}': choose from {', '.join(spec.name for spec in MAIN)}, or a "
        "cell of the study that `ls references` lists"
    )


def reference_folder(name: str) -> Path:
    """The folder of a reference explainer that ships with the package."""
    spec = find_reference(name)
    folder = SHIPPED / spec.name
    if not (folder / "explainer.json").is_file():
        raise MissingPartError(
            f"{REFERENCE}{name} ships without weights; train it with "
            f"`introspect-bench train --recipe {name} -o DIR`, and run the folder it names"
        )
    return folder
