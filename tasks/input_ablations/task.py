"""The input-ablations task: how a query becomes a prompt, and how it is scored.

Owns the task literal and the values its templates see. Measures nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.records import Query
from introspect_bench.benchmark.task import Rendered, Task
from introspect_bench.tasks.answers import (
    FORM,
    OPENINGS,
    format_answer,
    parse_answer,
    verdict_end,
)
from introspect_bench.tasks.prompts import prompts_sha256, render_prompt

NAME = "input-ablations"
"""Name of the task."""

PROMPTS = Path(__file__).parent / "prompts"
"""Folder of its templates."""

ANSWER_FORMS = {"letter": "one letter", "text": "a short text"}
"""How the templates name the form of the target's answer."""


def mark(text: str, span: tuple[int, int]) -> str:
    """Put `[[` and `]]` around a span of characters, leaving its outer whitespace outside.

    Raises:
        IntegrityError: the span is empty, blank or not inside the text.
    """
    start, end = span
    if not (0 <= start < end <= len(text)) or not text[start:end].strip():
        raise IntegrityError(
            f"span {start}-{end} marks nothing in a text of {len(text)} characters"
        )
    inside = text[start:end]
    start += len(inside) - len(inside.lstrip())
    end -= len(inside) - len(inside.rstrip())
    return f"{text[:start]}[[{text[start:end]}]]{text[end:]}"


def render(query: Query) -> Rendered:
    """Query to text: the input with the removed part marked, and the form of the answer.

    Raises:
        IntegrityError: the query's span does not fit its text, or its answer form is unknown.
    """
    fields = query.fields
    form = fields["answer_form"]
    if form not in ANSWER_FORMS:
        raise IntegrityError(f"query {query.id}: answer_form is '{form}', expected letter or text")
    values = {
        "text": mark(fields["text"], (fields["span"][0], fields["span"][1])),
        "prefix": fields["answer_prefix"].strip(),
        "form": ANSWER_FORMS[form],
    }
    return render_prompt(PROMPTS, task=NAME, query_id=query.id, values=values)


@cache
def make_task() -> Task:
    """The task literal; reads the template files once."""
    return Task(
        name=NAME,
        version="v1",
        summary="A marked part of the input is removed: what does the target model answer then?",
        uses_vector=False,
        render=render,
        parse=parse_answer,
        format_answer=format_answer,
        metrics=(
            "kind_mean",
            "balanced_exact_match",
            "which_accuracy",
            "exact_match_changed",
            "exact_match_unchanged",
            "content_match_changed",
            "has_changed_macro_f1",
            "verdict_accuracy",
        ),
        headline="kind_mean",
        headline_kinds=("hint", "context", "which"),
        openings=OPENINGS,
        form=FORM,
        verdict_end=verdict_end,
        prompt_sha256=prompts_sha256(PROMPTS),
    )
