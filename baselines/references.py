"""Reference explainers: trained ones, their controls and the injection study, as recipes.

Owns what each is trained from and how; training is `introspect-bench reference`. A control differs
from the explainer it belongs to in one thing alone, and has the learning rate of those tried whose
validation loss is lowest (`docs/rates`). Weights that ship with the package lie in
`baselines/reference/NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from introspect_bench.baselines.specs import FEATURES, PATCHING
from introspect_bench.benchmark.backends.injection import Injection, Injections
from introspect_bench.benchmark.errors import MissingPartError, UsageError

REFERENCE = "reference/"
"""How the name of a reference explainer starts."""
TARGET = "smollm2-135m"
"""The target they explain."""
SHIPPED = Path(__file__).parent / "reference"
"""Where shipped weights lie."""

Role = Literal["self", "control", "study"]
"""The target explaining itself, a control of that, or a cell of the injection study."""


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


OWN = Injection(mode="own-layers", scaling="natural")
"""The vector stands at its own layers, in a token of its own."""
QUOTED = Injection(mode="quoted-token", scaling="natural")
"""The vector stands at its own layers, where the target had it: the explainer's own state becomes
what the target's was, which only the target's weights can go on from."""
REPLAYED = Injection(mode="replay", scaling="natural")
"""The same in a copy that begins the explainer's turn: it goes on from there as the target did,
and reports what it said."""
LENS = Injection(slots=8)
"""Eight tokens of the explainer's own that a direction responds to stand in for it."""
WHOLE: Injections = {PATCHING: REPLAYED, FEATURES: LENS}
"""Patches are replayed, directions seen as tokens."""
_STUDIED: Mapping[str, Any] = {"learning_rate": 2e-3, "accumulation": 1, "precision": "bfloat16"}
_REPLAYED: Mapping[str, Any] = {**_STUDIED, "evaluations": 3, "decoding": "compared"}
_LENS: Mapping[str, Any] = {**_STUDIED, "evaluations": 3, "projection": "input-lens"}
_ALL: Mapping[str, Any] = {**_REPLAYED, "evaluations": 8, "projection": "input-lens"}

_MAIN = (
    ReferenceSpec(
        name="smollm2-self",
        role="self",
        summary=(
            "The target explains itself: it goes on from the quoted text with the patch in place "
            "and reports what it said, and sees a direction as tokens of its own."
        ),
        injection=WHOLE,
        training=_ALL,
    ),
    ReferenceSpec(
        name="smollm2-no-vector",
        role="control",
        summary="As smollm2-self, trained and asked without vectors.",
        injection=WHOLE,
        training=_ALL,
        no_vector=True,
    ),
    ReferenceSpec(
        name="smollm2-replay",
        role="self",
        summary=(
            "The target explains itself; it first goes on from the quoted text with the patch in "
            "place, and then reports what it said."
        ),
        injection=REPLAYED,
        training=_REPLAYED,
    ),
    ReferenceSpec(
        name="smollm2-replay-no-vector",
        role="control",
        summary="As smollm2-replay, trained and asked without vectors.",
        injection=REPLAYED,
        training=_REPLAYED,
        no_vector=True,
    ),
    ReferenceSpec(
        name="smollm2-input-lens",
        role="self",
        summary=(
            "The target describes features; for each direction it sees its own tokens that move "
            "the direction's layer most along it."
        ),
        injection=LENS,
        training=_LENS,
        tasks=(FEATURES,),
    ),
    ReferenceSpec(
        name="smollm2-input-lens-no-vector",
        role="control",
        summary="As smollm2-input-lens, trained and asked without vectors.",
        injection=LENS,
        training=_LENS,
        tasks=(FEATURES,),
        no_vector=True,
    ),
    ReferenceSpec(
        name="smollm2-rotated",
        role="control",
        summary="As smollm2-replay, from a twin that computes the same in a rotated basis.",
        injection=REPLAYED,
        training={**_REPLAYED, "twin": "rotated", "learning_rate": 1e-3},
    ),
    ReferenceSpec(
        name="gemma3-270m",
        role="control",
        summary=(
            "As smollm2-replay, from another model: vectors go through maps into its width, to "
            "layers of the same relative depth."
        ),
        base="gemma3-270m",
        injection=REPLAYED,
        training={**_REPLAYED, "projection": "aligned", "learning_rate": 1e-3},
    ),
    ReferenceSpec(
        name="gemma3-270m-input-lens",
        role="control",
        summary="As smollm2-input-lens, from another model, which sees tokens of its own.",
        base="gemma3-270m",
        injection=LENS,
        training=_LENS,
        tasks=(FEATURES,),
    ),
    ReferenceSpec(
        name="smollm2-random-init",
        role="control",
        summary="As smollm2-replay, all weights trained from random ones.",
        injection=REPLAYED,
        training={**_REPLAYED, "twin": "random-init", "method": "full", "learning_rate": 3e-4},
    ),
)


def _study() -> tuple[ReferenceSpec, ...]:
    """Every way in, every length, one token or three."""
    ways: dict[str, dict[str, Any]] = {
        "embedding": {"mode": "embedding"},
        "layer-1": {"mode": "replace", "layer": 1},
        "layer-2": {"mode": "replace", "layer": 2},
        "own-layers": {"mode": "own-layers"},
    }
    cells = [
        (f"study-{way}-{scaling}-{slots}", Injection(**fields, scaling=scaling, slots=slots))
        for way, fields in ways.items()
        for scaling in ("raw", "norm-matched", "learned")
        for slots in (1, 3)
    ]
    cells.append(("study-quoted-token-raw-1", Injection(mode="quoted-token", scaling="raw")))
    cells.append(("study-quoted-token-natural-1", QUOTED))
    cells.append(("study-own-layers-natural-1", OWN))
    cells.append(("study-replay-natural-1", REPLAYED))
    return tuple(
        ReferenceSpec(
            name=name,
            role="study",
            summary="A cell of the injection study.",
            injection=injection,
            training={**_STUDIED, "evaluations": 1},
        )
        for name, injection in cells
    )


REFERENCES = _MAIN + _study()
"""Every recipe."""


def find_reference(name: str) -> ReferenceSpec:
    """Return the recipe with a name.

    Raises:
        UsageError: there is none; the message lists those that are no cells of the study.
    """
    for spec in REFERENCES:
        if spec.name == name:
            return spec
    raise UsageError(
        f"unknown reference '{name}': choose from {', '.join(spec.name for spec in _MAIN)}, or a "
        "cell of the study that `ls references` lists"
    )


def reference_folder(name: str) -> Path:
    """Return the folder of a reference explainer that ships with the package.

    Raises:
        UsageError: no such recipe.
        MissingPartError: its weights are not part of this package.
    """
    spec = find_reference(name)
    folder = SHIPPED / spec.name
    if not (folder / "explainer.json").is_file():
        raise MissingPartError(
            f"{REFERENCE}{name} ships without weights; train it with "
            f"`introspect-bench reference {name} -o DIR`, and run the folder it names"
        )
    return folder
