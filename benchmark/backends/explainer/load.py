"""From the name of a model to its weights, tokenizer and how it takes vectors.

A folder may hold `explainer.json`, which says how the explainer takes vectors: `{"injection":
{"mode": ..., "layer": ..., "scaling": ..., "multiplier": ..., "slots": ...}}`, or an object of
these by task, and `{"twin": {"kind": ..., "seed": ...}}` where an adapter's base is changed before
it is merged (`twins.py`); learned parts lie beside it (`learned.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ...cache import Progress, silent
from ...errors import UsageError
from ...explainer import ExplainerCard
from ...files import read_json, sha256_file
from ...judging.rubric import PROMPT_VERSION, Message
from ...models.fetch import prepare_target
from ...models.targets import HubId, TargetSpec, find_name, hub_snapshot, locate, weight_files
from ...records import GREEDY, Prompt, Query
from ..injection.learned import Learned, read_learned
from ..injection.spec import Injection, Injections, all_injections, injections_from_json, merged
from ..models.pretrained import (
    ADAPTER,
    find_dtype,
    load_model,
    load_tokenizer,
    merge_adapter,
    usable_device,
)
from ..models.twins import make_twin
from .families import Family, find_family
from .local import MAX_NEW_TOKENS, LocalExplainer
from .selfie_adapters import is_selfie_adapter, open_selfie_adapter

KNOWN = frozenset({"decoding", "injection", "schema", "training", "twin", "validation_loss"})
"""Keys of `explainer.json`; all but the schema and the loss are read here."""
SETTINGS = "explainer.json"  # optional file of a model's folder, see above


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model lies on this machine."""

    directory: Path  # folder with config, tokenizer and safetensors, or with an adapter
    revision: str | None = None  # commit of a hub model


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a folder holds, loaded."""

    model: Any  # adapters merged
    tokenizer: Any
    hashes: dict[str, str]  # sha256 by name of weight file
    injection: Injections
    learned: Learned
    family: Family | None  # whose convention its prompts follow; None for the benchmark's own
    decoding: str | None = None  # as its folder says
    about: dict[str, Any] = field(default_factory=dict)  # `twin`, `n_train` and the like


def find_model(model: str, *, progress: Progress = silent) -> Place:
    """Find the folder of a model: a path, a named target, or `owner/name[@revision]` on a hub."""
    named = find_name(model)
    if isinstance(named, Path):
        return Place(directory=named)
    if isinstance(named, TargetSpec):
        return Place(directory=prepare_target(named, progress=progress))
    folder = hub_snapshot(named.id, named.revision)
    return Place(directory=folder, revision=folder.name)


def detect_family(directory: Path) -> str | None:
    """The family of a checkpoint whose files, or architecture, can be of no other kind, or None."""
    if is_selfie_adapter(directory):
        return "selfie-adapter"
    if (directory / "config.json").is_file():
        names = read_json(directory / "config.json").get("architectures") or []
        # the paper's are named as ContinuousLlama or LlamaWithIntervention
        if any(str(n).startswith("Continuous") or "WithIntervention" in str(n) for n in names):
            return "paper"
    return None


def open_checkpoint(
    directory: Path,
    family: str | None,
    injection: Injections | None,
    dtype: torch.dtype,
    progress: Progress,
) -> Checkpoint:
    """Read a folder as its family says; `injection` overrides `explainer.json` and family."""
    if not isinstance(injection, Injection) and (directory / SETTINGS).is_file():
        injection = merged(injection, _declared_injection(directory / SETTINGS))
    name, _, file = (family or detect_family(directory) or "").partition(":")
    if name == "selfie-adapter":
        return _selfie(directory, file or None, injection, dtype, progress)
    if file:
        raise UsageError(f"family {family!r}: only selfie-adapter takes a file")
    known = find_family(name) if name else None
    chosen = merged(injection, Injection() if known is None else known.injection)
    learned = read_learned(directory, chosen)
    loaded = _load(directory, dtype, progress)
    decoding, about = _declared(directory / SETTINGS, "decoding"), _about(directory / SETTINGS)
    decoding = None if decoding is None else str(decoding)
    return Checkpoint(*loaded, chosen, learned, known, decoding=decoding, about=about)


def _selfie(
    directory: Path,
    file: str | None,
    injection: Injections | None,
    dtype: torch.dtype,
    progress: Progress,
) -> Checkpoint:
    adapter = open_selfie_adapter(directory, file)
    relative = directory / adapter.base
    base = str(relative) if relative.is_dir() else adapter.base
    folder = find_model(base, progress=progress).directory
    model, tokenizer, base_hashes = _load(folder, dtype, progress)
    hashes = {adapter.path.name: sha256_file(adapter.path), **_of_base(base_hashes)}
    chosen = merged(injection, adapter.family.injection)
    learned = Learned(projection=adapter.projection)
    return Checkpoint(model, tokenizer, hashes, chosen, learned, adapter.family)


def _of_base(hashes: dict[str, str]) -> dict[str, str]:
    return {f"base/{name}": digest for name, digest in hashes.items()}


def _declared_injection(path: Path) -> Injections:
    values = read_json(path)
    if not isinstance(values.get("injection"), dict) or not set(values) <= KNOWN:
        raise UsageError(
            f"{path}: expected injection with an object, and nothing else but what training writes"
        )
    return injections_from_json(values["injection"])


def _load(
    directory: Path, dtype: torch.dtype, progress: Progress
) -> tuple[Any, Any, dict[str, str]]:
    """Load model, tokenizer and sha256 by weight file of a model or adapter folder."""
    hashes = weight_files(directory)
    if not (directory / ADAPTER).is_file():
        return load_model(directory, dtype, hashes), load_tokenizer(directory), hashes
    base = find_model(_base_model(directory), progress=progress).directory
    if base.resolve() == directory.resolve():
        raise UsageError(f"{directory / ADAPTER}: the adapter names itself as its base model")
    model, tokenizer, base_hashes = _load(base, dtype, progress)
    if (directory / "tokenizer_config.json").is_file():
        tokenizer = load_tokenizer(directory)
    hashes |= _of_base(base_hashes)
    if twin := _declared_twin(directory / SETTINGS):
        model = make_twin(model.float(), twin["kind"], seed=twin["seed"]).to(dtype)
    return merge_adapter(model, directory), tokenizer, hashes


def _declared(path: Path, *keys: str) -> Any:
    value: Any = read_json(path) if path.is_file() else None
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _declared_twin(path: Path) -> dict[str, Any] | None:
    twin = _declared(path, "twin")
    if twin is None:
        return None
    if not isinstance(twin, dict) or set(twin) != {"kind", "seed"}:
        raise UsageError(f"{path}: expected twin with kind and seed")
    if type(twin["kind"]) is not str or type(twin["seed"]) is not int:
        raise UsageError(f"{path}: expected a name as kind and a whole number as seed of its twin")
    return twin


def _about(path: Path) -> dict[str, Any]:
    """What a card says of an explainer's training, where its folder says it."""
    n_train = _declared(path, "training", "lessons", "n_train")
    reading = _declared(path, "training", "settings", "reading")
    loss = _declared(path, "validation_loss")
    if n_train is not None and (
        not isinstance(n_train, dict) or not all(type(n) is int for n in n_train.values())
    ):
        raise UsageError(f"{path}: expected n_train with a whole number for each task")
    if loss is not None and type(loss) is not float:
        raise UsageError(f"{path}: expected a number as validation_loss")
    if reading is not None and not isinstance(reading, dict):
        raise UsageError(f"{path}: expected reading with an object")
    about = {"twin": _declared_twin(path), "n_train": n_train, "reading": reading}
    about = {name: value for name, value in about.items() if value}
    return about | ({} if loss is None else {"validation_loss": loss})


def _base_model(directory: Path) -> str:
    """Name of an adapter's base model; a folder may be given relative to the adapter's."""
    adapter = read_json(directory / ADAPTER)
    base, revision = adapter.get("base_model_name_or_path"), adapter.get("revision")
    if not isinstance(base, str) or not base:
        raise UsageError(f"{directory / ADAPTER}: base_model_name_or_path is missing")
    if (directory / base).is_dir():
        return str(directory / base)
    is_hub = isinstance(locate(base), HubId)
    return f"{base}@{revision}" if is_hub and isinstance(revision, str) else base


def load_local(
    model: str,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    family: str | None = None,
    target: str | None = None,
    progress: Progress = silent,
    **options: Any,
) -> tuple[LocalExplainer, ExplainerCard]:
    """Load a folder, hub id or target name as an explainer; an adapter brings its base model.

    Options are fields of `local.Options`; where they say nothing of injection or decoding,
    `explainer.json` does. `family` (or `selfie-adapter:FILE`) is told from the checkpoint if None.
    The tokenizer of `target` counts positions in texts if vectors enter at quoted tokens.
    """
    where, number = usable_device(device), find_dtype(dtype, device)
    place = find_model(model, progress=progress)
    opened = open_checkpoint(place.directory, family, options.get("injection"), number, progress)
    quotes = any(way.quotes for way in all_injections(opened.injection))
    target_tokenizer = None
    if target is not None and options.get("use_vectors", True) and quotes:
        target_tokenizer = load_tokenizer(find_model(target, progress=progress).directory)
    options["injection"] = opened.injection
    options["decoding"] = options.get("decoding") or opened.decoding or GREEDY
    explainer = LocalExplainer(
        opened.model.to(where),
        opened.tokenizer,
        learned=opened.learned,
        family=opened.family,
        target_tokenizer=target_tokenizer,
        **options,
    )
    card = ExplainerCard(
        name=model,
        kind="local",
        revision=place.revision,
        weights_sha256=opened.hashes,
        settings=explainer.settings() | opened.about,
    )
    return explainer, card


class LocalJudge:
    """A judge made of a loaded language model."""

    def __init__(self, explainer: LocalExplainer, card: ExplainerCard) -> None:
        """Take a model without vectors; no path of this machine is in its name."""
        self._explainer, self._card = explainer, card
        place = locate(card.name)
        self.name = place.resolve().name if isinstance(place, Path) else card.name

    @property
    def settings(self) -> dict[str, Any]:
        """Hashes of the weights, and everything that could change a reply."""
        return {
            "kind": "local",
            "revision": self._card.revision,
            "weights_sha256": dict(self._card.weights_sha256),
            **self._explainer.settings(),
        }

    def replies(self, conversations: Sequence[Sequence[Message]]) -> Iterator[tuple[int, str]]:
        """Yield `(index of the conversation, raw reply)`, a batch at a time, in order."""
        step = self._explainer.batch_size
        for start in range(0, len(conversations), step):
            prompts = [_prompt(messages) for messages in conversations[start : start + step]]
            for index, completion in enumerate(self._explainer.complete(prompts), start):
                yield index, completion.text


def load_judge(
    model: str,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
    progress: Progress = silent,
) -> LocalJudge:
    """Load a judge from a folder, a hub id or the name of a target."""
    options: dict[str, Any] = {"use_vectors": False, "batch_size": batch_size}
    options |= {"max_new_tokens": MAX_NEW_TOKENS, "progress": progress}
    return LocalJudge(*load_local(model, device=device, **options))


def _prompt(messages: Sequence[Message]) -> Prompt:
    instructions, asked = (message["content"] for message in messages)
    query = Query(id="0" * 16, group="0" * 16, kind="judge", fields={})
    return Prompt(query=query, template=PROMPT_VERSION, instructions=instructions, question=asked)
