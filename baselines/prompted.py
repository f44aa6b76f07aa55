"""The untrained target model as its own explainer; solved queries come with the prompts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..benchmark.errors import UsageError
from ..benchmark.explainer import Explainer, ExplainerCard
from ..benchmark.models.targets import TARGETS
from ..benchmark.suite.suite import Suite

if TYPE_CHECKING:
    from ..benchmark.backends.injection.spec import Injections


def target_name(suite: Suite) -> str:
    """Return what the suite's target is loaded by: its name, or hub id and commit, or folder.

    Raises:
        UsageError: the suite was made from a folder that is not there.
    """
    target = suite.manifest["target"]
    name = str(target["name"])
    if name in {spec.name for spec in TARGETS}:
        return name
    if target.get("source") == "hub":
        return f"{target['location']}@{target['revision']}"
    if isinstance(target.get("location"), str):
        return str(target["location"])
    raise UsageError(f"suite {suite.name}: its manifest does not say where target {name} is")


def load_untrained(
    name: str,
    *,
    task: str,
    suite: Suite,
    device: str,
    dtype: str,
    batch_size: int | None,
    use_vectors: bool,
    injection: Injections | None,
    openings: Sequence[str],
) -> tuple[Explainer, ExplainerCard]:
    """Load the suite's target as an explainer; see `load_local` for arguments.

    Raises:
        UsageError: the suite does not say where its target is, or as `load_local`.
        MissingPartError: as `load_local`.
        IntegrityError: as `load_local`.
    """
    from ..benchmark.backends.explainer.load import load_local

    explainer, card = load_local(
        target_name(suite),
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        use_vectors=use_vectors,
        injection=injection,
        task=task,
        openings=openings,
    )
    return explainer, dataclasses.replace(card, name=f"baseline/{name}", kind="baseline")
