"""The header of a new run, as an allow-list, and what of its rows is known before asking."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ..explainer import ExplainerCard
from ..files import canonical_json, sha256_bytes
from ..metrics.verdicts import METRIC_VERSION
from ..prompts import PromptSpec, prompt_sha256
from ..records import DECODINGS, GREEDY, Prompt, Query
from ..suite.select import ids_sha256, suite_fields
from . import provenance
from .header import Answering, Asked, Environment, Generation, Header, Package, Target

TARGET_FIELDS = ("name", "weights_sha256", "tensors_sha256", "tokenizer_sha256")
# What a header says besides of a target that anybody can get: for a folder, `location` is a path
PUBLIC_TARGET_FIELDS = ("source", "location", "revision", "licence", "n_layers", "d_model")
PUBLIC_SOURCES = ("hub", "wheel")


def make_header(
    spec: PromptSpec,
    selected: Sequence[Query],
    card: ExplainerCard,
    *,
    generation: Mapping[str, Any],
    device: str | None = None,
) -> Header:
    """Return the header of a new run about the selected queries."""
    machine: dict[str, Any] = provenance.environment(device=device)
    suite, with_vectors = spec.suite, spec.task.uses_vector
    chosen = (spec.limit, spec.queries) != (None, None)
    return Header(
        run_id=uuid.uuid4().hex,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        package=Package(**provenance.package()),
        task=Asked(
            **suite_fields(suite),
            split=spec.split,
            n=len(selected),
            limit=spec.limit,
            query_ids=None if spec.queries is None else sorted(spec.queries),
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
            shots=spec.shots,
            no_vector=spec.no_vector and with_vectors,
            shuffled_vectors=spec.shuffled and with_vectors,
        ),
        generation=Generation(**generation, seed=spec.seed, batch_size=spec.batch_size),
        env=Environment(**machine),
        selftest=dict(suite.manifest["doctor"]),
        partial=chosen and len(selected) < len(suite.queries(spec.split)),
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
    """Return the fields of a row that are known before the reply; `number` counts from 0."""
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
