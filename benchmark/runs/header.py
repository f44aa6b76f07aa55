"""The header of a run file, read strictly. A stored name is never given up."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from ..backends.injection.spec import QUOTING, names_token
from ..errors import IntegrityError
from ..records import ACCESS, COMPARED, DECODINGS, GREEDY, REPLAYS, WORDS, Query

SCHEMA = "introspect-bench/run/1"
# Settings of a user's class that are no arguments: what else makes it another explainer
OWN_CODE = ("source_sha256", "imports_sha256", "declared_identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """The package that made the run."""

    name: str  # Name of the distribution
    version: str  # Its version
    commit: str | None  # Commit of its files, if git tracks them
    # Whether tracked files differed from the commit; None if git does not track them
    dirty: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The queries that the run is about."""

    id: str  # Name of the task
    version: str  # Version of the task's query format, prompts and parser
    suite: str  # Name of the suite
    data_sha256: str  # Hash of the suite's data
    prompt_sha256: str  # Hash of all prompt templates of the task
    split: str  # Split of the suite; `mini` for the fixed part of `validation`
    n: int  # How many queries
    limit: int | None  # Only the first so many; None for all
    query_ids: list[str] | None  # Only these, sorted; None for all
    query_ids_sha256: str  # Hash of the ids of all `n` queries
    # Hash of the metrics' definitions when the run was made; scoring does not read it
    metric_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The target that the queries are about, as the suite's manifest says."""

    name: str  # Its name
    weights_sha256: Mapping[str, str] | None = None  # Hash by weight file
    tensors_sha256: str | None = None  # Hash over the tensors as they are loaded
    tokenizer_sha256: str | None = None  # Hash of the tokenizer
    # Kind of place that it comes from; with what follows, only for public ones
    source: str | None = None
    location: str | None = None  # Where it comes from
    revision: str | None = None  # Which revision of it
    licence: str | None = None  # Its licence
    n_layers: int | None = None  # Decoder layers
    d_model: int | None = None  # Width of its residual stream, and of vectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """Who answers, and with what in view."""

    name: str  # What the user typed after `--model`, without the path to a folder
    kind: str  # `baseline`, `oracle`, `local`, `lm-eval`, `endpoint`, `custom` or `imported`
    revision: str | None  # Commit of a hub model
    # Hash by weight file that was read, adapters included; empty if none was
    weights_sha256: Mapping[str, str]
    # What else could change replies. Of a local model: `injection` (`mode`, `layer`, `scaling`,
    # `multiplier`, `slots`, `projection`), `vectors`, `prompt_form`, `engine`, `dtype`,
    # `batch_size`, `max_new_tokens`, `decoding`, `openings`, `family`, `twin`; of a trained one
    # `n_train` and `verdict_thresholds` (by task), `reading` (`when`, `share`, `kinds`),
    # `validation_loss`. Of a baseline `n_train`, if it is a part. Of a user's class its arguments
    # and `OWN_CODE`
    settings: Mapping[str, Any]
    shots: int  # Solved queries shown before each question
    no_vector: bool  # Whether vectors were withheld
    shuffled_vectors: bool = False  # Whether each query had another one's vector

    @property
    def runs_model(self) -> bool:
        """Whether it runs a model, or, being somebody's own, may do so."""
        return self.kind in ("custom", "lm-eval", "endpoint") or bool(self.weights_sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How replies were asked for."""

    seed: int  # Chose the solved queries
    batch_size: int  # Most prompts of one call
    max_new_tokens: int | None = None  # Longest reply of a local model, in tokens of its own
    thinking: bool | None = None  # Whether replies of a local model begin with thinking
    system: str | None = None  # Text before the instructions of a local model's prompts
    # Whose prompts and ends of replies: `paper`, `paper-zero-shot`; without it the benchmark's own
    protocol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The machine and the libraries' versions; None for a library that is not there."""

    python: str  # Version of Python
    system: str  # Operating system
    machine: str  # Kind of processor
    device: str | None  # Compute device; None if nothing is computed on one
    torch: str | None  # Version of PyTorch
    transformers: str | None  # Version of Transformers
    nnsight: str | None  # Version of NNsight
    peft: str | None  # Version of PEFT
    numpy: str | None  # Version of NumPy
    safetensors: str | None  # Version of Safetensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line of a run file, but for `kind` and `schema`, which are always the same."""

    run_id: str  # 32 hexadecimal digits drawn for the run
    created: str  # When it began, UTC, as in `2026-01-02T03:04:05Z`
    package: Package  # The package that made it
    task: Asked  # The queries it is about
    target: Target  # The target they are about
    access: str  # How the answers were come by, one of `ACCESS`
    explainer: Answering  # Who answers
    generation: Generation  # How replies were asked for
    env: Environment  # The machine and the libraries
    # Result by self-test when the suite was frozen; nothing was tested where the run was made
    selftest: Mapping[str, str]
    partial: bool  # Whether it is about a chosen part of the split

    def to_json(self) -> dict[str, Any]:
        """The line, as JSON values."""
        return {"kind": "header", "schema": SCHEMA, **_written(self)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any], where: str) -> Header:
        """Read the line, found at `where` (file and line)."""
        if row.get("kind") != "header" or row.get("schema") != SCHEMA:
            raise IntegrityError(
                f"{where}: not the header of a run file: schema is {row.get('schema')!r}, "
                f"expected {SCHEMA!r}"
            )
        rest = {name: value for name, value in row.items() if name not in ("kind", "schema")}
        found: Header = _read(cls, rest, where, "")
        if found.access not in ACCESS:
            raise IntegrityError(f"{where}: field access is not one of {', '.join(ACCESS)}")
        return found


def _written(part: Any) -> dict[str, Any]:
    found = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if field.default is MISSING or value != field.default:
            found[field.name] = _written(value) if is_dataclass(value) else value
    return found


def _read(part: Any, values: object, where: str, prefix: str) -> Any:
    """Read a header, or an object in it; `prefix` names the objects around it."""
    known = _hints(part)
    if not isinstance(values, Mapping):
        raise IntegrityError(f"{where}: field {prefix[:-1]} is missing or not an object")
    if unknown := sorted(values.keys() - known.keys()):
        raise IntegrityError(f"{where}: field {prefix}{unknown[0][:80]} is not one of a header")
    found = {}
    for field in fields(part):
        name, hint = field.name, known[field.name]
        if is_dataclass(hint):
            found[name] = _read(hint, values.get(name), where, f"{prefix}{name}.")
        elif name in values and _fits(values[name], hint):
            found[name] = values[name]
        elif name in values or field.default is MISSING:
            raise IntegrityError(f"{where}: field {prefix}{name} is missing or of the wrong type")
    return part(**found)


@cache
def _hints(part: type) -> dict[str, Any]:
    return get_type_hints(part)


def _fits(value: object, hint: Any) -> bool:
    """Whether a JSON value is of a type: a plain one, a list, an object by name, or one of some."""
    kind, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if kind is types.UnionType:
        return any(_fits(value, one) for one in inner)
    if kind is list:
        return isinstance(value, list) and all(_fits(one, inner[0]) for one in value)
    if kind is Mapping:
        return isinstance(value, Mapping) and all(_fits(one, inner[1]) for one in value.values())
    return type(value) is hint


def decoding_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return `decoding` of an explainer whose replies were not chosen token by token."""
    said = settings.get("decoding")
    return {"decoding": said} if said in DECODINGS and said != GREEDY else {}


def n_train(settings: object, task: str) -> int | None:
    """Return how many queries of a task an explainer was trained on, if its settings say so."""
    found = settings.get("n_train") if isinstance(settings, Mapping) else None
    found = found.get(task) if isinstance(found, Mapping) else found
    return found if type(found) is int and found > 0 else None


def widest(classes: Iterable[str]) -> str:
    """Return the widest of some access classes, at least one, by the order of `ACCESS`."""
    return max(classes, key=ACCESS.index)


def local_access(settings: Mapping[str, Any], queries: Iterable[Query]) -> str:
    """Return the access class of a local language model.

    A vector that stands at the token of the quoted text that the query names, at its own layers, is
    the query's intervention; so is comparing a reply with the vector and one without. A vector in a
    slot is read, whatever it replaces there. A single query may stand for all of a task.
    """
    injection = settings.get("injection")
    mode = injection.get("mode") if isinstance(injection, Mapping) else None
    quoted = mode in QUOTING and any(names_token(query.fields) for query in queries)
    return REPLAYS if quoted or settings.get("decoding") == COMPARED else WORDS
