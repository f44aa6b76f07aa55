"""The feature-descriptions task: how a query becomes a prompt, and how a description is read.

Owns the task literal and the normal form of a description. Measures nothing.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

from ...benchmark.records import SLOT, Description, Query
from ...benchmark.runs.reply_text import clean_reply, drop_label, drop_marks, unbox
from ...benchmark.task import Rendered, Task
from ..templates import prompts_sha256, render_prompt

NAME = "feature-descriptions"  # name of the task
HEADLINE = ("bigram", "context-token")
"""Kinds whose headline counts: features of context. Those of the current token are apart."""
PROMPTS = Path(__file__).parent / "prompts"  # folder of its templates
MAX_CHARACTERS = 400
"""Longest description that is read; a longer one is cut off behind its last whole word."""

_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n")


def render(query: Query) -> Rendered:
    """Query to text: the layer and the slot of the direction, nothing else is known."""
    values = {"layer": query.fields["layer"], "slot": SLOT}
    return render_prompt(PROMPTS, task=NAME, query_id=query.id, values=values)


def parse_description(raw: str) -> Description | None:
    """Read the first paragraph of a reply on one line, or None if there is no text.

    `benchmark/runs/reply_text.py` says what is dropped around it, such as a block of thinking.
    Control and formatting characters are dropped, white space is collapsed, Unicode is NFC. What a
    description says is nobody's concern here: no other label, quote or full stop is removed.
    """
    text, truncated = raw, False
    while True:
        line = _first_paragraph(text)
        cut = _cut(line)
        truncated = truncated or cut != line
        if cut == text:  # so that what is read is read again unchanged
            return Description(text=text, truncated=truncated) if text else None
        text = cut


def _first_paragraph(raw: str) -> str:
    kept = "".join(sign for sign in raw if sign.isspace() or unicodedata.category(sign)[0] != "C")
    text = clean_reply(unicodedata.normalize("NFC", kept)) or ""
    text = drop_label(text).strip()
    return unbox(drop_marks(" ".join(_PARAGRAPHS.split(text, maxsplit=1)[0].split())))


def _cut(line: str) -> str:
    if len(line) <= MAX_CHARACTERS:
        return line
    return line[: MAX_CHARACTERS + 1].rsplit(" ", 1)[0][:MAX_CHARACTERS].rstrip()


def format_description(answer: Description) -> str:
    """The completion that says a description; `parse_description` reads it back."""
    return answer.text


@cache
def make_task() -> Task:
    """The task literal; reads the template files once."""
    return Task(
        name=NAME,
        version="v2",
        summary="A direction inside the target is shown: on what, in which context, is it active?",
        uses_vector=True,
        render=render,
        parse=parse_description,
        format_answer=format_description,
        metrics=("matched_auroc", "weighted_r"),
        headline="matched_auroc",
        headline_kinds=HEADLINE,
        form="a description in words",
        prompt_sha256=prompts_sha256(PROMPTS),
    )
