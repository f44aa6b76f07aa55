"""Queries in, run file out: asks an explainer and keeps its raw replies.

No argument could carry ground truth, and the truth of the split to answer is never opened. An
explainer that breaks the contract is named, its replies are never repaired.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ..cache import Progress, silent
from ..errors import IntegrityError, UsageError
from ..explainer import Explainer, ExplainerCard, Priced
from ..files import canonical_json, sha256_bytes
from ..metrics.verdicts import METRIC_VERSION
from ..prompts import PromptSpec, build_prompts, cut_batches, prompt_sha256, render_all
from ..records import Completion, Prompt, Query
from ..runs import provenance
from ..runs.header import Answering, Asked, Environment, Generation, Header, Package, Target
from ..runs.writer import Resume, RunWriter, open_run
from ..suite.select import ids_sha256, suite_fields
from ..task import Task
from ..team import team
from .reply_row import check_reply, reply_fields
from .spec import GENERATION
from .text_models import TEXT_KINDS


def predict(
    spec: PromptSpec,
    explainer: Explainer,
    card: ExplainerCard,
    out: Path,
    *,
    resume: Resume = "auto",
    device: str | None = None,
    progress: Progress = silent,
) -> Path:
    """Answer the queries of a split and return the path of the run file.

    Killed at any moment and called again with the same arguments, it computes only what is missing.
    Batches do not depend on what is there: one that lacks a row is asked whole, and only its
    missing rows are kept.
    """
    selected = spec.select()
    header = make_header(spec, selected, card, generation=generation_of(card), device=device)
    batches = cut_batches(render_all(spec.task, selected), spec.batch_size)
    with ExitStack() as stack:
        writers: list[RunWriter] = []  # the first process has one

        def open_there() -> tuple[dict[str, str], bool]:
            writer = stack.enter_context(open_run(out, header.to_json(), resume=resume))
            writers.append(writer)
            if unknown := sorted(writer.rows.keys() - {query.id for query in selected}):
                raise IntegrityError(f"{out}: query id {unknown[0]} is not among the run's queries")
            if isinstance(explainer, Priced):
                explainer.spent_before(_sum(writer, "n_in"), _sum(writer, "n_out"))
            return {qid: row.get("key", "") for qid, row in writer.rows.items()}, writer.complete

        there, complete = team().share(open_there)
        if not complete:
            jobs = _lacking(out, build_prompts(spec, batches), key_base(header), there)
            progress(f"answering {spec.task.name}", len(there), len(selected))
            for rows in _answers(jobs, explainer, spec.task, there):
                new = [row for row in rows if row["qid"] not in there]
                for writer in writers:
                    writer.append(new)
                there |= {row["qid"]: row["key"] for row in new}
                progress(f"answering {spec.task.name}", len(there), len(selected))
            for writer in writers:
                finish(writer, spec.task, explainer)
    return out


def make_header(
    spec: PromptSpec,
    selected: Sequence[Query],
    card: ExplainerCard,
    *,
    generation: Mapping[str, Any],
    device: str | None = None,
) -> Header:
    """Return the header of a new run about the selected queries."""
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
        generation=Generation(
            **generation,
            seed=spec.seed,
            batch_size=spec.batch_size,
            protocol=spec.protocol,
        ),
        env=Environment(**provenance.environment(device=device)),
        selftest=dict(suite.manifest["doctor"]),
        partial=chosen and len(selected) < len(suite.queries(spec.split)),
    )


def _target_fields(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a header says of a target; of a folder not its `location`, which is a path."""
    names = ["name", "weights_sha256", "tensors_sha256", "tokenizer_sha256"]
    if target.get("source") in ("hub", "wheel"):
        names += ["source", "location", "revision", "licence", "n_layers", "d_model"]
    return {name: target[name] for name in names if name in target}


def key_base(header: Header) -> str:
    """Return a hash of all a row depends on besides its prompt."""
    line = header.to_json()
    parts = [line["explainer"], line["target"], line["generation"]]
    return sha256_bytes(canonical_json([*parts, header.task.id, header.task.version]).encode())


def row_fields(base: str, number: int, prompt: Prompt) -> dict[str, Any]:
    """Return the fields of a row that are known before the reply; `number` counts from 0."""
    sha = prompt_sha256(prompt)
    key = sha256_bytes(f"{base}:{prompt.query.id}:{sha}".encode())[:32]
    return {"qid": prompt.query.id, "i": number, "prompt_sha": sha, "key": key}


def generation_of(card: ExplainerCard) -> dict[str, Any]:
    """Return how replies of a local model are generated, as the run's header says it."""
    chosen = {name: card.settings.get(name) for name in GENERATION}
    if card.kind in TEXT_KINDS:
        return chosen
    return chosen | {"thinking": bool(chosen["thinking"])} if card.kind == "local" else {}


Rows = list[dict[str, Any]]
Batch = tuple[Sequence[Prompt], Rows]  # prompts that are asked together, and what is known of rows


def _lacking(
    path: Path, batches: Sequence[Sequence[Prompt]], base: str, there: Mapping[str, str]
) -> list[Batch]:
    """The batches of which a row is not there yet; `there` has keys of rows by query."""
    found, number = [], 0
    for batch in batches:
        rows = [row_fields(base, i, prompt) for i, prompt in enumerate(batch, start=number)]
        number += len(batch)
        for row in rows:
            if there.get(row["qid"], row["key"]) != row["key"]:
                raise IntegrityError(
                    f"{path}: the row of query {row['qid']} was made from another prompt"
                )
        if any(row["qid"] not in there for row in rows):
            found.append((batch, rows))
    return found


def _answers(
    jobs: Sequence[Batch], explainer: Explainer, task: Task, there: Mapping[str, str]
) -> Iterator[Rows]:
    """Yield rows as they come: by batches, dealt to processes; one by one what costs money."""
    if not isinstance(explainer, Priced):
        for _, rows in team().deal(jobs, partial(_answered, explainer, task)):
            yield rows
        return
    if team().size > 1:
        raise UsageError("an endpoint is asked by one process; start it without torchrun")
    for prompts, rows in jobs:
        missing = [n for n, row in enumerate(rows) if row["qid"] not in there]
        start = time.perf_counter()
        with closing(explainer.complete_each([prompts[n] for n in missing])) as replies:
            for number, reply in replies:
                check_reply(reply, type(explainer).__qualname__)
                ms = (time.perf_counter() - start) * 1000
                yield [{**rows[missing[number]], **reply_fields(task, reply), "ms": ms}]
                start = time.perf_counter()


def _answered(explainer: Explainer, task: Task, batch: Batch) -> Rows:
    prompts, rows = batch
    start = time.perf_counter()
    replies = ask(explainer, prompts)
    ms = (time.perf_counter() - start) * 1000 / len(prompts)
    return [
        {**row, **reply_fields(task, reply), "ms": ms}
        for row, reply in zip(rows, replies, strict=True)
    ]


def _sum(writer: RunWriter, name: str) -> int:
    return sum(row.get(name, 0) for row in writer.rows.values())


def finish(writer: RunWriter, task: Task, explainer: Explainer | None = None) -> None:
    """Write the footer: how many replies can be read, and what they cost."""
    rows = writer.rows.values()
    unparsed = sum(task.parse(row["raw"]) is None for row in rows)
    n_in, n_out = _sum(writer, "n_in"), _sum(writer, "n_out")
    writer.finish(
        counts={"scored": len(rows) - unparsed, "unparsed": unparsed},
        cost={
            "seconds": sum(row.get("ms", 0) for row in rows) / 1000,
            "tokens_in": n_in,
            "tokens_out": n_out,
            **(explainer.price(n_in, n_out) if isinstance(explainer, Priced) else {}),
        },
    )


def ask(explainer: Explainer, prompts: Sequence[Prompt]) -> list[Completion]:
    """Call an explainer once; UsageError unless it returns one reply for each prompt."""
    name = type(explainer).__qualname__
    replies = explainer.complete(prompts)
    # A text is a sequence too, of one-letter replies.
    if isinstance(replies, str) or not isinstance(replies, Sequence):
        raise UsageError(
            f"{name}.complete returned a {type(replies).__name__}, expected a list of replies"
        )
    if len(replies) != len(prompts):
        raise UsageError(
            f"{name}.complete returned {len(replies)} replies to {len(prompts)} prompts"
        )
    found = [Completion(text=reply) if isinstance(reply, str) else reply for reply in replies]
    for reply in found:
        check_reply(reply, name)
    return found
