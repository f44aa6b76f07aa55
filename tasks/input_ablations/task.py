"""The input-ablations task: how a query becomes a prompt, and how it is scored.

Owns the task literal and the values its templates see. Measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from ...benchmark.errors import IntegrityError
from ...benchmark.metrics.verdicts import WHICH
from ...benchmark.records import Query
from ...benchmark.task import Rendered, Task
from ..templates import prompts_sha256, render_prompt
from ..verdicts import FORM, OPENING, OPENINGS, format_either, parse_either, verdict_end

NAME = "input-ablations"

PROMPTS = Path(__file__).parent / "prompts"
"""Folder of its templates; those of kind `which` are in a folder of that name."""

ANSWER_FORMS = {"letter": "one letter", "text": "a short text"}
"""How the templates name the form of the target's answer."""


def mark(text: str, span: tuple[int, int]) -> str:
    """Put `[[` and `]]` around a span of characters, leaving its outer whitespace outside.

    Raises IntegrityError: the span is empty, blank or not inside the text.
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


def mark_parts(text: str, parts: Sequence[Mapping[str, Any]]) -> str:
    """Put `[[B: ` and `]]` around every part, B being its label; parts are in the text's order.

    Raises IntegrityError: as `mark`.
    """
    for part in reversed(parts):
        start, end = part["span"]
        whole = mark(text, (start, end))
        text = whole.replace("[[", f"[[{part['label']}: ", 1)
    return text


def render(query: Query) -> Rendered:
    """Query to text: the input with what may be removed marked, and the form of the answer.

    Raises IntegrityError: a span does not fit the text, or its answer form is unknown.
    """
    fields = query.fields
    form = fields["answer_form"]
    if form not in ANSWER_FORMS:
        raise IntegrityError(f"query {query.id}: answer_form is '{form}', expected letter or text")
    which = query.kind == WHICH
    values = {
        "text": mark_parts(fields["text"], fields["parts"])
        if which
        else mark(fields["text"], (fields["span"][0], fields["span"][1])),
        "prefix": fields["answer_prefix"].strip(),
        "form": ANSWER_FORMS[form],
    }
    folder = PROMPTS / WHICH if which else PROMPTS
    rendered = render_prompt(
        folder, task=f"{NAME}/{WHICH}" if which else NAME, query_id=query.id, values=values
    )
    return replace(rendered, openings=(OPENING,) if which else OPENINGS)


@cache
def make_task() -> Task:
    """The task literal; reads the template files once."""
    return Task(
        name=NAME,
        version="v2",
        summary="Part of the input is removed: what does the target answer, or which part counts?",
        uses_vector=False,
        render=render,
        parse=parse_either,
        format_answer=format_either,
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
        openings=(*OPENINGS, OPENING),
        form=f"{FORM}, or `{OPENING} X` where a part is asked for",
        verdict_end=verdict_end,
        prompt_sha256=prompts_sha256(PROMPTS),
    )
