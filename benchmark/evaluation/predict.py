"""Queries in, run file out: asks an explainer and keeps its raw replies.

No argument could carry ground truth, and the truth of the split to answer is never opened. An
explainer that breaks the contract is named, its replies are never repaired.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
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
from ..runs.run import MAX_LINE_BYTES, encode_line
from ..runs.writer import Resume, RunWriter, check_run_file, open_run
from ..suite.select import ids_sha256, suite_fields
from ..task import Task
from .check_reply import check_reply
from .spec import GENERATION
from .text_models import TEXT_KINDS


def check_run(
    spec: PromptSpec,
    out: Path,
    *,
    resume: Resume,
    settings: Mapping[str, Any],
    generation: Mapping[str, Any],
) -> None:
    """Refuse what `predict` would refuse whoever answers; loads and writes nothing."""
    card = ExplainerCard(name="", kind="", settings=settings)
    header = make_header(spec, spec.select(), card, generation=generation)
    check_run_file(out, header.to_json(), resume=resume)


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
    with open_run(out, header.to_json(), resume=resume) as writer:
        if unknown := sorted(writer.rows.keys() - {query.id for query in selected}):
            raise IntegrityError(f"{out}: query id {unknown[0]} is not among the run's queries")
        if isinstance(explainer, Priced):
            explainer.spent_before(_sum(writer, "n_in"), _sum(writer, "n_out"))
        if not writer.complete:
            prompts = build_prompts(spec, batches)
            _answer(writer, prompts, explainer, spec.task, key_base(header), progress)
    return out


_TARGET = ("name", "weights_sha256", "tensors_sha256", "tokenizer_sha256")
_PUBLIC_TARGET = ("source", "location", "revision", "licence", "n_layers", "d_model")


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
        generation=Generation(**generation, seed=spec.seed, batch_size=spec.batch_size),
        env=Environment(**provenance.environment(device=device)),
        selftest=dict(suite.manifest["doctor"]),
        partial=chosen and len(selected) < len(suite.queries(spec.split)),
    )


def _target_fields(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a header says of a target; of a folder not its `location`, which is a path."""
    public = _PUBLIC_TARGET if target.get("source") in ("hub", "wheel") else ()
    return {name: target[name] for name in (*_TARGET, *public) if name in target}


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


def _answer(
    writer: RunWriter,
    batches: Sequence[Sequence[Prompt]],
    explainer: Explainer,
    task: Task,
    base: str,
    progress: Progress,
) -> None:
    """Ask for every batch that lacks a row, then write the footer."""
    total = sum(len(batch) for batch in batches)
    number = 0
    for batch in batches:
        rows = [row_fields(base, i, prompt) for i, prompt in enumerate(batch, start=number)]
        number += len(batch)
        for row in rows:
            if writer.rows.get(row["qid"], row).get("key") != row["key"]:
                raise IntegrityError(
                    f"{writer.path}: the row of query {row['qid']} was made from another prompt"
                )
        if all(row["qid"] in writer.rows for row in rows):
            continue
        progress(f"answering {task.name}", len(writer.rows), total)
        missing = [n for n, row in enumerate(rows) if row["qid"] not in writer.rows]
        start = time.perf_counter()
        for replies in _arriving(explainer, batch, missing):
            ms = (time.perf_counter() - start) * 1000 / len(replies)
            done = [(rows[n], reply) for n, reply in replies.items() if n in missing]
            writer.append([{**row, **reply_fields(task, reply), "ms": ms} for row, reply in done])
            progress(f"answering {task.name}", len(writer.rows), total)
            start = time.perf_counter()
    _finish(writer, task, explainer)


def _arriving(
    explainer: Explainer, batch: Sequence[Prompt], missing: Sequence[int]
) -> Iterator[dict[int, Completion]]:
    """Yield replies by number in the batch: all of it at once, or what is missing one by one."""
    if not isinstance(explainer, Priced):
        yield dict(enumerate(ask(explainer, batch)))
        return
    with closing(explainer.complete_each([batch[n] for n in missing])) as replies:
        for number, reply in replies:
            check_reply(reply, type(explainer).__qualname__)
            yield {missing[number]: reply}


def _sum(writer: RunWriter, name: str) -> int:
    return sum(row.get(name, 0) for row in writer.rows.values())


def _finish(writer: RunWriter, task: Task, explainer: Explainer) -> None:
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


MAX_REPLY_BYTES = MAX_LINE_BYTES - 1024  # Of what a row holds of a reply
KEPT_BYTES = 4096  # Of one that has more; as many as can be submitted


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


def reply_fields(task: Task, reply: Completion) -> dict[str, Any]:
    """Return the fields of a row that come from the reply; only `raw` is ever scored.

    A reply that no line of a run file can hold is cut, and its `reason` says so.
    """
    fields = _fields(task, reply)
    if len(encode_line(fields)) <= MAX_REPLY_BYTES:
        return fields
    whole = reply.text.encode("utf-8", "surrogatepass")
    kept = whole[:KEPT_BYTES].decode("utf-8", "ignore")
    cut = dataclasses.replace(reply, text=kept, logprobs=(), ends=())
    return _fields(task, cut) | {"reason": f"cut to {KEPT_BYTES} of {len(whole)} bytes"}


def _fields(task: Task, reply: Completion) -> dict[str, Any]:
    answer = task.parse(reply.text)
    reason = None if answer else ("no answer found" if reply.text.strip() else "empty reply")
    reason = reply.reason or reason
    return {
        "raw": reply.text,
        "parsed": dataclasses.asdict(answer) if answer else None,
        "status": "scored" if answer else "unparsed",
        "reason": reason,
        "n_in": int(reply.n_in),
        "n_out": int(reply.n_out),
        **_sureness(task, reply, readable=answer is not None),
    }


def _sureness(task: Task, reply: Completion, *, readable: bool) -> dict[str, float]:
    """Return how sure of its answer an explainer was, as far as that is known."""
    found = {} if reply.confidence is None else {"confidence": float(reply.confidence)}
    if not reply.logprobs:
        return found
    found["logprob_reply"] = round(sum(reply.logprobs), 6)
    end = task.verdict_end(reply.text) if task.verdict_end and readable else None
    if end is not None:
        n = sum(before < end for before in (0, *reply.ends[:-1]))
        found["logprob_verdict"] = round(sum(reply.logprobs[:n]), 6)
    return found
