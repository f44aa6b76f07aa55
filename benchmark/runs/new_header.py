"""Builds the header of a run and the parts of its rows that are known before asking.

Owns what is recorded about a run, and how its explainer's settings are read again. Fields are an
allow-list: nothing about the user or the place of a file. (What a user passes to an explainer of
his own is recorded as it is.)
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..explainer import ExplainerCard
from ..files import canonical_json, sha256_bytes
from ..metrics.verdicts import METRIC_VERSION
from ..prompts import prompt_sha256
from ..records import DECODINGS, GREEDY, Prompt, Query
from ..suite.select import ids_sha256, suite_fields
from ..suite.suite import Suite
from . import provenance
from .header import Answering, Asked, Environment, Generation, Header, Package, Target

TARGET_FIELDS = ("name", "weights_sha256", "tensors_sha256", "tokenizer_sha256")
"""What a header says of every target."""
PUBLIC_TARGET_FIELDS = ("source", "location", "revision", "licence", "n_layers", "d_model")
"""What it says besides of one that anybody can get: for a folder, `location` is a path."""
PUBLIC_SOURCES = ("hub", "wheel")
"""Values of a target's `source` for which that is so."""


def make_header(
    *,
    suite: Suite,
    split: str,
    selected: Sequence[Query],
    limit: int | None,
    query_ids: Sequence[str] | None,
    partial: bool,
    card: ExplainerCard,
    shots: int,
    no_vector: bool,
    shuffled: bool,
    generation: Mapping[str, Any],
    selftest: Mapping[str, Any],
    device: str | None,
) -> Header:
    """Return the header of a new run; `predict` says what the arguments mean."""
    machine: dict[str, Any] = provenance.environment(device=device)
    return Header(
        run_id=uuid.uuid4().hex,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        package=Package(**provenance.package()),
        task=Asked(
            **suite_fields(suite),
            split=split,
            n=len(selected),
            limit=limit,
            query_ids=None if query_ids is None else sorted(query_ids),
            query_ids_sha256=ids_sha256(selected),
            metric_version=METRIC_VERSION,
        ),
        target=Target(**_target_fields(suite.manifest["target"])),
        access=card.access,
        explainer=Answering(
            name=card.name,
            kind=card.kind,
            revision=card.revision,
            weights_sha256=dict(card.weights_sha256),
            settings=dict(card.settings),
            shots=shots,
            no_vector=no_vector,
            shuffled_vectors=shuffled,
        ),
        generation=Generation(**generation),
        env=Environment(**machine),
        selftest=dict(selftest),
        partial=partial,
    )


def _target_fields(target: Mapping[str, Any]) -> dict[str, Any]:
    public = PUBLIC_TARGET_FIELDS if target.get("source") in PUBLIC_SOURCES else ()
    return {name: target[name] for name in (*TARGET_FIELDS, *public) if name in target}


def key_base(header: Mapping[str, Any]) -> str:
    """Return a hash of all a row depends on besides its prompt."""
    task = header["task"]
    parts = [header["explainer"], header["target"], header["generation"]]
    return sha256_bytes(canonical_json([*parts, task["id"], task["version"]]).encode())


def row_fields(base: str, number: int, prompt: Prompt) -> dict[str, Any]:
    """Return the fields of a row that are known before the reply.

    Args:
        base: the run's `key_base`.
        number: place of the query in the run, from 0.
        prompt: what the explainer is asked.
    """
    sha = prompt_sha256(prompt)
    key = sha256_bytes(f"{base}:{prompt.query.id}:{sha}".encode())[:32]
    return {"qid": prompt.query.id, "i": number, "prompt_sha": sha, "key": key}


def decoding_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return `decoding` of a run's explainer where replies were not chosen token by token."""
    settings = fields.get("settings")
    said = settings.get("decoding") if isinstance(settings, Mapping) else None
    return {"decoding": said} if said in DECODINGS and said != GREEDY else {}


def n_train(explainer: Mapping[str, Any], task: str) -> int | None:
    """Return how many queries of a task a run's explainer was trained on, if its header says so."""
    settings = explainer.get("settings")
    found = settings.get("n_train") if isinstance(settings, Mapping) else None
    found = found.get(task) if isinstance(found, Mapping) else found
    return found if type(found) is int and found > 0 else None
