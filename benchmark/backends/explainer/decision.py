"""How a verdict is decided other than by the likelier word: by a threshold, or from two replies.

An explainer that can hardly tell `changed` from `unchanged` finds both about equally likely, and
the likelier is then the same word for nearly every query, by an accident of training. The threshold
is the difference of the two words' logits above which it says `changed` as often as is true of the
validation split: the prevalence rule for probabilities that are off (scikit-learn's
`FixedThresholdClassifier`). It moves no query past another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ...metrics.verdicts import normalise_content
from ...prompts import PromptSpec, build_prompts, cut_batches, render_all
from ...records import Answer, Completion, Prompt
from ...runs.reply_text import without_thinking
from ...suite.suite import Suite
from ...task import Task

if TYPE_CHECKING:
    from .local import LocalExplainer

VERDICTS = ("changed:", "unchanged:")  # how replies begin that a threshold chooses from
BATCH_SIZE = 64  # prompts read together to find a threshold

Firsts = tuple[int, int]  # first tokens of `VERDICTS`, as an explainer writes them


def verdict_tokens(explainer: LocalExplainer, prompt: Prompt) -> Firsts | None:
    """First token of each verdict; None where replies do not begin with verdicts, or alike."""
    if {*prompt.openings} != {*VERDICTS} or explainer.replays(prompt):
        return None
    changed, unchanged = (explainer.encoder.reply_ids(verdict)[0] for verdict in VERDICTS)
    return None if changed == unchanged else (changed, unchanged)


def likeliest_opening(
    logits: torch.Tensor, openings: Sequence[Sequence[int]]
) -> list[Sequence[int]]:
    """For each row of (n, vocabulary) the opening whose first token is likeliest."""
    firsts = [opening[0] for opening in openings]
    return [openings[best] for best in logits[:, firsts].argmax(-1).tolist()]


def verdict_by(logits: torch.Tensor, firsts: Firsts, threshold: float) -> list[Sequence[int]]:
    """Verdict's first token for each row of (n, vocabulary); () where another token is likelier."""
    changed, unchanged = firsts
    likeliest = logits.argmax(-1).tolist()
    above = (logits[:, changed] - logits[:, unchanged] > threshold).tolist()
    return [
        ((changed if is_above else unchanged,) if token in firsts else ())
        for token, is_above in zip(likeliest, above, strict=True)
    ]


def fit_threshold(explainer: LocalExplainer, task: Task, suite: Suite) -> float | None:
    """Threshold of a task, from its headline's kinds in validation; None where no verdict is."""
    spec = PromptSpec(
        task=task,
        suite=suite,
        split="validation",
        batch_size=BATCH_SIZE,
        no_vector=not explainer.encoder.use_vectors,
    )
    own, truths = explainer.for_task(task.name), suite.answers(spec.split)
    kinds = task.headline_kinds
    asked = [query for query in spec.select() if kinds is None or query.kind in kinds]
    questions = [q for q in render_all(task, asked) if {*q.openings} == {*VERDICTS}]
    gaps: list[float] = []
    n_changed = 0
    for prompts in build_prompts(spec, cut_batches(questions, BATCH_SIZE)):
        firsts = verdict_tokens(own, prompts[0])
        if firsts is None:
            return None
        logits = own.first_logits(prompts)
        gaps += (logits[:, firsts[0]] - logits[:, firsts[1]]).tolist()
        for prompt in prompts:
            truth = truths[prompt.query.id]
            assert isinstance(truth, Answer)  # what begins with a verdict is no other kind
            n_changed += truth.changed
    return _between(sorted(gaps, reverse=True), n_changed) if gaps else None


def _between(falling: Sequence[float], n: int) -> float:
    """Midway between the nth and the next; beyond the ends, by one."""
    above = falling[n - 1] if n else falling[0] + 1
    below = falling[n] if n < len(falling) else falling[-1] - 1
    return (above + below) / 2


class Compared:
    """Asks a local explainer twice."""

    def __init__(self, explainer: LocalExplainer, task: Task) -> None:
        """Take an explainer and the task whose answers it gives."""
        self.explainer, self.task = explainer, task
        self.blind = explainer.without_vectors()

    def check_width(self, d_target: int) -> None:
        """Refuse vectors of another width than the explainer takes."""
        self.explainer.check_width(d_target)

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Answer prompts; the two replies stand, as thinking, before the answer made of them.

        Where one has no answer, or none but the verdict, the reply with the vector stands as it is.
        """
        seen = self.explainer.complete(prompts)
        # without vectors the second reply would be the first again
        blind = seen if self.blind is self.explainer else self.blind.complete(prompts)
        return [self._one(*pair) for pair in zip(seen, blind, strict=True)]

    def _one(self, seen: Completion, blind: Completion) -> Completion:
        both = (seen,) if blind is seen else (seen, blind)
        return Completion(
            text=self._text(seen.text, blind.text),
            n_in=sum(reply.n_in for reply in both),
            n_out=sum(reply.n_out for reply in both),
        )

    def _text(self, seen: str, blind: str) -> str:
        after, before = self.task.parse(seen), self.task.parse(blind)
        if not isinstance(after, Answer) or not isinstance(before, Answer):
            return seen
        contents = [normalise_content(answer.content) for answer in (after, before)]
        if "" in contents:
            return seen
        answer = Answer(changed=contents[0] != contents[1], content=after.content)
        lines = (
            "<think>",
            f"with the vector: {(without_thinking(seen) or '').strip()}",
            f"without it: {(without_thinking(blind) or '').strip()}",
            "</think>",
            self.task.format_answer(answer),
        )
        return "\n".join(lines)
