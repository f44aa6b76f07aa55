"""The activation-patching task: how a query becomes a prompt, and how it is scored.

Owns the task literal and the values its templates see. Measures nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ...benchmark.records import SLOT, Query
from ...benchmark.task import Rendered, Task
from ..templates import prompts_sha256, render_prompt
from ..verdicts import FORM, OPENINGS, format_answer, format_replayed, parse_answer, verdict_end
from .reading_questions import reading_questions

NAME = "activation-patching"

KINDS = ("last-subject", "other-subject", "relation", "demonstration", "last")
"""Position kinds: last token of the subject; another token of the subject; a token of the word that
names the relation; last token of the demonstration's answer; last token of the prompt."""

DISRUPTED = "disrupted"
"""Kind of queries at places where nine of ten patches give neither prompt's own answer."""

COUNTERFACT = "counterfact"
"""Kind of queries of the paper's data (arXiv:2511.08579), which say not what their token is."""

PROMPTS = Path(__file__).parent / "prompts"  # folder of its templates


def render(query: Query) -> Rendered:
    """Query to text: what is read, where, in which layers, and that the activation is replaced.

    Tokens are numbered from 1 ("token 17 of 24"), layers from 0 as in the literature.
    """
    fields = query.fields
    first, last = fields["layers"]
    values = {
        "text": fields["text"],
        "token": fields["token"].strip() or fields["token"],
        "number": fields["position"] + 1,
        "n_tokens": fields["n_tokens"],
        "first": first,
        "last": last,
        "slot": SLOT,
    }
    return render_prompt(PROMPTS, task=NAME, query_id=query.id, values=values)


@cache
def make_task() -> Task:
    """The task literal; reads the template files once."""
    return Task(
        name=NAME,
        version="v2",
        summary=(
            "One vector replaces the residual stream at one token in a block of layers: "
            "what does the target model answer then?"
        ),
        uses_vector=True,
        render=render,
        parse=parse_answer,
        format_answer=format_answer,
        format_replayed=format_replayed,
        reading=reading_questions,
        metrics=(
            "balanced_exact_match",
            "exact_match_changed",
            "exact_match_unchanged",
            "content_match_changed",
            "has_changed_macro_f1",
            "group_consistency",
            "verdict_accuracy",
        ),
        headline="balanced_exact_match",
        headline_kinds=(*KINDS, COUNTERFACT),
        openings=OPENINGS,
        form=FORM,
        verdict_end=verdict_end,
        prompt_sha256=prompts_sha256(PROMPTS, inside=False),  # questions of training are inside
    )
