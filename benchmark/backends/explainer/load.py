"""From the name of a model to a `LocalExplainer` with its card.

Owns dtype and the card; what a name stands for is `checkpoints.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...cache import OnProgress, silent
from ...errors import UsageError
from ...explainer import ExplainerCard
from ...records import GREEDY
from ..injection.spec import Injections, all_injections
from ..models.pretrained import load_tokenizer, usable_device
from .checkpoints import Place as Place
from .checkpoints import find_model as find_model
from .checkpoints import open_checkpoint
from .local import AUTO_BATCH_SIZE, LocalExplainer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Names of dtypes weights can be loaded in."""


def load_local(
    model: str,
    *,
    device: str = "cpu",
    dtype: str = "auto",
    batch_size: int | None = None,
    max_new_tokens: int | None = None,
    thinking: bool | None = None,
    system: str | None = None,
    injection: Injections | None = None,
    task: str = "",
    family: str | None = None,
    target: str | None = None,
    use_vectors: bool = True,
    openings: Sequence[str] = (),
    decoding: str | None = None,
    on_progress: OnProgress = silent,
) -> tuple[LocalExplainer, ExplainerCard]:
    """Load a local language model as an explainer.

    Args:
        model: folder, hub id or target name; a PEFT adapter brings its base model.
        device: a torch device.
        dtype: one of `DTYPES`, or `auto`: float32 on CPU, bfloat16 elsewhere.
        batch_size: rows decoded together; `AUTO_BATCH_SIZE` if None.
        max_new_tokens: longest reply, as `LocalExplainer` takes it.
        thinking: whether replies begin with thinking, likewise.
        system: what stands before the instructions, likewise.
        injection: how vectors enter, for every task or by task; where it says nothing, what
            `explainer.json` says, else the default.
        task: name of the task it is asked about first; `LocalExplainer.for_task` tells others.
        family: whose convention prompts follow, and for SelfIE adapters also
            `selfie-adapter:FILE`; told from the checkpoint if None, see `detect_family`.
        target: name or folder of the target, whose tokenizer counts positions in queries' texts;
            the explainer's own counts if None. Opened only if vectors enter at quoted tokens.
        use_vectors: False leaves vectors out.
        openings: what a reply must begin with, one of these; empty for free replies.
        decoding: one of `records.DECODINGS`; if None, what `explainer.json` says, else greedy.
        on_progress: told what is happening while a target is prepared.

    Raises:
        UsageError: unknown name, device or dtype, or an architecture that cannot be loaded.
        MissingPartError: folder, weights, tokenizer, hub or device are missing.
        IntegrityError: weights are corrupt, or an adapter's are not those of its base model.
    """
    where, number = usable_device(device), find_dtype(dtype, device)
    place = find_model(model, on_progress=on_progress)
    found = open_checkpoint(place.directory, family, injection, number, on_progress)
    counts = None
    quotes = any(way.quotes for way in all_injections(found.injection))
    if target is not None and use_vectors and quotes:
        counts = load_tokenizer(find_model(target, on_progress=on_progress).directory)
    explainer = LocalExplainer(
        found.model.to(where),
        found.tokenizer,
        injection=found.injection,
        task=task,
        learned=found.learned,
        family=found.family,
        target_tokenizer=counts,
        use_vectors=use_vectors,
        batch_size=AUTO_BATCH_SIZE if batch_size is None else batch_size,
        max_new_tokens=max_new_tokens,
        thinking=thinking,
        system=system,
        openings=openings,
        decoding=decoding or found.decoding or GREEDY,
    )
    card = ExplainerCard(
        name=model,
        kind="local",
        revision=place.revision,
        weights_sha256=found.hashes,
        settings=explainer.settings()
        | ({"twin": found.twin} if found.twin else {})
        | ({"n_train": found.n_train} if found.n_train else {})
        | ({"reading": found.reading} if found.reading else {})
        | ({} if found.validation_loss is None else {"validation_loss": found.validation_loss}),
    )
    return explainer, card


def find_dtype(name: str, device: str) -> torch.dtype:
    """Return a dtype by its name.

    Raises:
        UsageError: there is none.
    """
    if name == "auto":
        return torch.float32 if device.startswith("cpu") else torch.bfloat16
    if name not in DTYPES:
        raise UsageError(f"unknown dtype '{name}': expected auto, {', '.join(DTYPES)}")
    return DTYPES[name]
