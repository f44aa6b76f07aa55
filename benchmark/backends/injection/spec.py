"""How a query's vector enters an explainer, as it is declared; `hooks.py` does it.

The *slot* is the position of the placeholder token in a prompt, or of several; the *residual* is
the output of a decoder layer there; a query's *own layers* are those that it names, a block or a
single one. Importing this module does not import torch.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from ...errors import UsageError
from ...evaluation.spec import INJECTIONS
from ...registry import get_task

Mode = Literal["embedding", "add", "replace", "own-layers", "quoted-token", "replay"]
"""`embedding`: replaces the input embedding (arXiv:2511.08579); `add`, `replace`: acts on one
layer's output (SelfIE, Patchscopes, Activation Oracles); `own-layers`: replaces the outputs of all
of the query's own layers at the slot; `quoted-token`: the same at the token of the quoted text that
the query names, or at the slot if it names none, so that a model with the target's weights computes
what the target computed; `replay`: the same in a copy of the quoted text with which the explainer's
turn begins, so that such a model first says what the target said and then reports it."""

REPLAY = "replay"
QUOTING = ("quoted-token", REPLAY)  # modes in which a vector stands at a token of the query's text

Scaling = Literal["raw", "norm-matched", "natural", "learned"]
"""`raw`: as stored; `norm-matched`: scaled to the mean embedding norm, or to the residual's norm at
the slot; `natural`: norm-matched for directions, which have length 1, and raw for states;
`learned`: norm-matched times one trained number, 1 before training."""

MAX_SLOTS = 16  # most placeholder tokens for one vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """Linear maps that vectors go through before they enter, as declared."""

    d_target: int  # width of the vectors
    n_layers: int  # layers of the target; a query's own are matched by relative depth
    layers: tuple[int, ...]  # first layers of vectors, one map each; empty for one map for all
    bias: bool = False  # whether a vector is added behind the product
    unit: bool = False  # whether vectors are brought to length 1 before
    nearest: bool = False
    """Whether a mapped vector becomes the input embedding nearest to it by cosine; several slots
    get the nearest ones in turn."""

    @classmethod
    def from_json(cls, values: Any) -> Maps:
        """Read the declaration."""
        known = {"d_target": int, "n_layers": int, "layers": list, "bias": bool, "unit": bool}
        if isinstance(values, Mapping) and "nearest" in values:
            known["nearest"] = bool
        if not isinstance(values, Mapping) or {k: type(v) for k, v in values.items()} != known:
            raise UsageError(f"injection projection: expected an object with {', '.join(known)}")
        if not all(type(layer) is int and layer >= 0 for layer in values["layers"]):
            raise UsageError("injection projection: layers are numbers from 0")
        return cls(**{**values, "layers": tuple(values["layers"])})

    def as_json(self) -> dict[str, Any]:
        """The declaration as JSON values; older ones did not know `nearest`."""
        values = {**asdict(self), "layers": list(self.layers)}
        if not self.nearest:
            del values["nearest"]
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """Where and at what size the vector enters; part of the run header."""

    mode: Mode = "embedding"  # what is overwritten or added to
    layer: int | None = None  # decoder layer from 0, for `add` and `replace`
    scaling: Scaling = "norm-matched"  # how the vector's length is set
    multiplier: float = 1.0  # factor on the scaled vector, above 0
    slots: int = 1  # placeholder tokens for each vector; all of them get it
    projection: Maps | None = None  # maps that lie beside the adapter

    def __post_init__(self) -> None:
        """Refuse impossible combinations."""
        for what, said, known in (("mode", self.mode, Mode), ("scaling", self.scaling, Scaling)):
            if said not in get_args(known):
                expected = ", ".join(get_args(known))
                raise UsageError(f"injection {what} '{said}': expected {expected}")
        at_layer = self.mode in ("add", "replace")
        if not at_layer and self.layer is not None:
            raise UsageError(f"injection mode '{self.mode}' takes no layer")
        if at_layer and (type(self.layer) is not int or self.layer < 0):
            raise UsageError(f"injection mode '{self.mode}' needs a layer, counted from 0")
        if isinstance(self.multiplier, bool) or not isinstance(self.multiplier, int | float):
            raise UsageError(f"injection multiplier {self.multiplier!r} is not a number")
        if not 0 < self.multiplier <= sys.float_info.max:
            raise UsageError(f"injection multiplier {self.multiplier} is not above 0 and finite")
        if self.projection is not None and self.projection.nearest and self.mode != "embedding":
            raise UsageError("nearest embeddings enter in injection mode 'embedding', nowhere else")
        if type(self.slots) is not int or not 1 <= self.slots <= MAX_SLOTS:
            raise UsageError(f"injection slots {self.slots!r}: expected 1 to {MAX_SLOTS}")

    @property
    def own(self) -> bool:
        """Whether layers differ from query to query."""
        return self.mode in ("own-layers", *QUOTING)

    @property
    def quotes(self) -> bool:
        """Whether the vector stands at a token of the query's text."""
        return self.mode in QUOTING

    @property
    def needs_layers(self) -> bool:
        """Whether a query must say which layers its vector is of."""
        return self.own or (self.projection is not None and self.projection.layers != ())

    @classmethod
    def from_json(cls, values: object) -> Injection:
        """Read the declared choice, as in `{"mode": "add", "layer": 3}`."""
        if not isinstance(values, Mapping):
            raise UsageError(f"injection {str(values)[:80]!r}: expected an object")
        values = dict(values)
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise UsageError(f"injection key '{unknown[0]}': expected {', '.join(known)}")
        if values.get("projection") is not None:
            values["projection"] = Maps.from_json(values["projection"])
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values; a single slot and no projection are left out."""
        values = asdict(self)
        if self.slots == 1:
            del values["slots"]
        if self.projection is None:
            del values["projection"]
        else:
            values["projection"] = self.projection.as_json()
        return values


Injections = Injection | Mapping[str, Injection]
"""How vectors of every task enter: alike, or by the task's name; the empty name stands for all
other tasks."""


def injection_of(task: str, injections: Injections | None) -> Injection:
    """How a task's vectors enter; the default `Injection()` where nothing is said of it."""
    if isinstance(injections, Injection):
        return injections
    named = injections or {}
    return named.get(task) or named.get("") or Injection()


def merged(*said: Injections | None) -> Injections:
    """All that is said of tasks; where two say something, the first of them counts."""
    found: dict[str, Injection] = {}
    for one in said:
        if isinstance(one, Injection):
            return {"": one, **found} if found else one
        found = {**(one or {}), **found}
    return found


def all_injections(injections: Injections) -> list[Injection]:
    """Every injection that `injection_of` can give, each once."""
    tasks = () if isinstance(injections, Injection) else injections
    return list(dict.fromkeys(injection_of(task, injections) for task in ["", *tasks]))


def injections_from_json(values: Any) -> Injections:
    """Read what `injections_as_json` returned."""
    by_task = isinstance(values, Mapping) and values and "mode" not in values
    if by_task and all(isinstance(one, Mapping) for one in values.values()):
        return {str(task): Injection.from_json(one) for task, one in values.items()}
    return Injection.from_json(values)


def injections_as_json(injections: Injections) -> dict[str, Any]:
    """One injection, or one for each task, as JSON values."""
    if isinstance(injections, Injection):
        return injections.as_json()
    return {task: one.as_json() for task, one in injections.items()}


def names_token(query_fields: Mapping[str, Any]) -> bool:
    """Whether a query names a token of a text."""
    return "position" in query_fields and "text" in query_fields


def own_layers(query_fields: Mapping[str, Any]) -> tuple[int, int]:
    """First and last layer that a query names: its block `layers`, or its single `layer`."""
    if "layers" in query_fields:
        first, last = query_fields["layers"]
        return int(first), int(last)
    if "layer" in query_fields:
        return int(query_fields["layer"]), int(query_fields["layer"])
    raise UsageError("a query names no layers of its own; use another injection")


def matched_layer(layer: int, n_from: int, n_to: int) -> int:
    """The layer of a model with `n_to` layers at the relative depth of one of `n_from`."""
    return layer if n_from == n_to else round(layer * (n_to - 1) / max(n_from - 1, 1))


def parse_injection(
    modes: Sequence[str] = (), scalings: Sequence[str] = (), slots: Sequence[str] = ()
) -> Injections | None:
    """Read words, each `TASK=VALUE` for one task or `VALUE` for all others; None without words."""
    given = {
        "mode": _by_task("injection", modes),
        "scaling": _by_task("scaling", scalings),
        "slots": _by_task("slots", slots),
    }
    tasks = dict.fromkeys(task for words in given.values() for task in words)
    injections = {}
    for task in tasks:
        said = {name: words.get(task, words.get("")) for name, words in given.items()}
        injections[task] = Injection.from_json(_place(said["mode"] or "embedding") | _size(said))
    return injections[""] if list(injections) == [""] else injections or None


def _by_task(option: str, words: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for word in words:
        task, equals, value = word.rpartition("=")
        if equals:
            get_task(task)
        if task in values:
            raise UsageError(f"--{option} {word!r}: {task or 'all tasks'} got a value before")
        values[task] = value
    return values


def _place(mode: str) -> dict[str, Any]:
    name, _, layer = mode.partition(":")
    if layer and not layer.isdecimal():
        raise UsageError(f"injection {mode!r}: expected {INJECTIONS}")
    return {"mode": name, "layer": int(layer) if layer else None}


def _size(said: dict[str, str | None]) -> dict[str, Any]:
    size: dict[str, Any] = {} if said["scaling"] is None else {"scaling": said["scaling"]}
    if said["slots"] is not None:
        if not said["slots"].isdecimal():
            raise UsageError(f"--slots {said['slots']!r}: give a whole number")
        size["slots"] = int(said["slots"])
    return size
