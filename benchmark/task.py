"""What a task is: a typed literal with a renderer and a parser; no data, no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .records import Answer, Choice, Description, Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A query as text, before vectors and solved examples are attached."""

    template: str  # Template id, `<task>/<number>`
    instructions: str  # Text shared by all queries of this template
    question: str  # Text of this query, with `SLOT` once if the task has a vector
    openings: tuple[str, ...] = ()  # How answers can begin; empty: as all of the task, or freely


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingQuestion:
    """A question about a training query's vector, for training explainers; never part of a run."""

    query: Query  # The query whose vector it is about
    kind: str  # What is asked
    instructions: str  # Text shared by all questions of the kind; may be empty
    question: str  # Text of this one, with `SLOT` once
    reply: str  # The right reply
    continued: bool  # Whether the reply continues the question as plain text, in no turn of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A kind of query with its prompt, parser and metrics."""

    name: str  # Identifier, such as `activation-patching`
    version: str  # Version of the query format, prompts and parser, such as `v1`
    summary: str  # One sentence: what is asked
    uses_vector: bool  # Whether each query carries one vector of the target's width
    render: Callable[[Query], Rendered]  # The template is chosen by a hash of the query id
    parse: Callable[[str], Answer | Choice | Description | None]  # None: no answer; pure
    format_answer: Callable[[Any], str]  # The completion that says an answer; `parse` reads it back
    # The same after the text that the query quotes, which an explainer has just repeated; None if
    # queries quote none
    format_replayed: Callable[[Any], str] | None = None
    # Characters of a completion up to the end of its verdict's word, None without one; None if
    # answers have no verdict
    verdict_end: Callable[[str], int | None] | None = None
    # Training queries and their oracle rows to questions about their vectors, for training
    reading: (
        Callable[[Sequence[Query], Mapping[str, Mapping[str, Any]]], list[ReadingQuestion]] | None
    ) = None
    metrics: tuple[str, ...]  # Names in `benchmark.metrics.METRICS`, headline first
    headline: str  # The metric that ranks
    headline_kinds: tuple[str, ...] | None = None  # Of headline numbers; None for all
    openings: tuple[str, ...] = ()  # How answers can begin; empty: as all of the task, or freely
    form: str = "a reply with an answer"  # What a reply has to look like, for messages
    # Hash over all templates, so that runs with different wording are never compared as equals
    prompt_sha256: str = ""
