"""Training queries as token ids with vectors and a known beginning of the answer.

The answer's place is counted when the prompt is encoded, never searched for in text. A batch holds
one template, whose instructions (the *head*) are then read once for all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...errors import UsageError
from ...prompts import build_prompt, render_all
from ...records import Prompt
from ...suite.rows import checked_vectors
from ...suite.subset import Amount, draw_groups
from ...suite.suite import Suite
from ...task import Task
from ..explainer.chat import Encoded, Encoder

CHUNK = 8  # batches sorted by length together: little is padded, order stays random
WIDTH = 8  # batches are as wide as a multiple of this: every new shape costs time


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One training query with the answer that is right."""

    task: str  # name of its task
    qid: str  # id of its query
    template: str  # template it was rendered with
    ids: tuple[int, ...]  # token ids of prompt and answer, the end of the answer included
    n_head: int  # how many of them are the head, shared by all examples of a template
    n_prompt: int  # how many of them are the prompt, the head included
    columns: tuple[int, ...]  # index of each slot; none is in the head
    vectors: tuple[npt.NDArray[np.float32], ...]  # (d_target,) by slot, or none
    layers: tuple[tuple[int, int], ...] = ()  # by slot; empty unless queries have their own
    reading: str = ""  # kind of question about a vector; empty if the task itself is asked
    early: bool = False  # whether it comes once, in a phase before all others

    @property
    def kind(self) -> str:
        """What is asked: the task, or a kind of question about a vector."""
        return f"{self.task}/reading/{self.reading}" if self.reading else self.task


def make_lessons(
    task: Task,
    suite: Suite,
    encoder: Encoder,
    *,
    split: str = "train",
    n: Amount | None = None,
    seed: int = 0,
) -> list[Lesson]:
    """Encode solved queries of a split, `n` in whole contrast groups or all if None."""
    queries = draw_groups(suite.queries(split), n, seed=seed)
    answers = suite.answers(split)
    vectors = None
    if task.uses_vector and encoder.use_vectors:
        vectors = checked_vectors(suite, split, queries)
    heads: dict[str, Encoded] = {}
    lessons = []
    for question in render_all(task, queries):
        prompt = build_prompt(question, vectors, ())
        if prompt.template not in heads:
            heads[prompt.template] = encoder.head(prompt)
        replayed = encoder.replays(prompt)
        write = (task.format_replayed if replayed else None) or task.format_answer
        reply = encoder.reply_ids(write(answers[prompt.query.id]), replayed=replayed)
        head = heads[prompt.template]
        lessons.append(encode_lesson(encoder, prompt, head, reply, task=task.name))
    return sorted(lessons, key=lambda lesson: lesson.qid)


def encode_lesson(
    encoder: Encoder,
    prompt: Prompt,
    head: Encoded,
    reply: Sequence[int],
    *,
    task: str,
    reading: str = "",
    early: bool = False,
) -> Lesson:
    """Put a prompt, its head and the reply to it together."""
    end = encoder.tokenizer.eos_token_id
    if end is None:
        raise UsageError("the tokenizer names no end of text; an answer could not end")
    (asked,) = encoder.questions([prompt])
    start = (*head.ids, *asked.ids)
    return Lesson(
        task=task,
        qid=f"{prompt.query.id}:{reading}" if reading else prompt.query.id,
        template=prompt.template,
        ids=(*start, *reply, end),
        n_head=len(head.ids),
        n_prompt=len(start),
        columns=tuple(len(head.ids) + column for column in asked.columns),
        vectors=asked.vectors,
        layers=asked.layers,
        reading=reading,
        early=early,
    )


def lessons_sha256(lessons: Sequence[Lesson]) -> str:
    """Hash over all that training reads, in any order of the examples."""
    digest = hashlib.sha256()
    for lesson in sorted(lessons, key=lambda one: (one.task, one.qid)):
        digest.update(repr((lesson.task, lesson.qid, lesson.ids, lesson.columns)).encode())
        if lesson.early:
            digest.update(b"early")
        if lesson.layers:
            digest.update(repr(lesson.layers).encode())
        for vector in lesson.vectors:
            digest.update(vector.astype("<f4").tobytes())
    return digest.hexdigest()


def plan_batches(
    lessons: Sequence[Lesson], *, batch_size: int, epochs: int, seed: int
) -> list[list[int]]:
    """Places of examples by batch: early ones once, then all epochs of the others in a row.

    Each epoch is one random order. The examples of a template are taken in that order, chunks of
    them are sorted by length and cut into batches, and all batches come in random order again.
    """
    if batch_size < 1 or epochs < 1 or not lessons:
        raise UsageError("training needs lessons, a batch size and epochs of 1 or more")
    steps: list[list[int]] = []
    for early, times in ((True, 1), (False, epochs)):
        places = [place for place, lesson in enumerate(lessons) if lesson.early is early]
        own = [lessons[place] for place in places]
        for epoch in range(times if own else 0):
            rng = np.random.default_rng([seed, epoch])
            steps += [[places[i] for i in batch] for batch in _epoch(own, batch_size, rng)]
    return steps


def _epoch(lessons: Sequence[Lesson], batch_size: int, rng: np.random.Generator) -> list[list[int]]:
    length = np.array([len(lesson.ids) for lesson in lessons])
    kinds = [(lesson.task, lesson.template) for lesson in lessons]
    templates = sorted(set(kinds))
    template = np.array([templates.index(kind) for kind in kinds])
    order = rng.permutation(len(lessons))
    batches: list[list[int]] = []
    for number in range(len(templates)):
        own = order[template[order] == number]
        for start in range(0, len(own), CHUNK * batch_size):
            part = own[start : start + CHUNK * batch_size]
            part = part[np.argsort(length[part], kind="stable")]
            cuts = range(0, len(part), batch_size)
            batches += [part[i : i + batch_size].tolist() for i in cuts]
    return [batches[i] for i in rng.permutation(len(batches))]


def collate(lessons: Sequence[Lesson], *, pad: int) -> dict[str, Any]:
    """Put the examples of one template side by side, padded on the right after their `head`.

    `answers` (n, width) is the token to be predicted at each place of `ids` or -100; `rows` and
    `columns` (n_slots,), `layers` (n_slots, 2) and `vectors` (n_slots, d_target) say where vectors
    enter: `layers` is (0, 2) unless queries have their own, `vectors` (0, 0) without vectors.
    """
    first = lessons[0]
    head = first.ids[: first.n_head]
    if any((one.task, one.ids[: one.n_head]) != (first.task, head) for one in lessons):
        raise ValueError("lessons of one batch must be of one task and begin with the same head")
    longest = max(len(lesson.ids) for lesson in lessons) - len(head)
    width = -(-longest // WIDTH) * WIDTH
    ids = torch.full((len(lessons), width), pad, dtype=torch.int64)
    mask = torch.zeros((len(lessons), width), dtype=torch.int64)
    answers = torch.full((len(lessons), width), -100, dtype=torch.int64)
    for row, lesson in enumerate(lessons):
        tokens = torch.tensor(lesson.ids[len(head) :])
        begin = lesson.n_prompt - len(head)
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
        # the token at place t is predicted at place t - 1
        answers[row, begin - 1 : len(tokens) - 1] = tokens[begin:]
    seen = [(row, lesson) for row, lesson in enumerate(lessons) if lesson.vectors]
    rows = [row for row, lesson in seen for _ in lesson.columns]
    columns = [column - len(head) for _, lesson in seen for column in lesson.columns]
    layers = [own for _, lesson in seen for own in lesson.layers]
    vectors = [vector for _, lesson in seen for vector in lesson.vectors]
    stacked = np.stack(vectors) if vectors else np.zeros((0, 0), dtype=np.float32)
    return {
        "ids": ids,  # first: Trainer takes its length for the number of lessons
        "head": torch.tensor(head, dtype=torch.int64),
        "mask": mask,
        "answers": answers,
        "rows": torch.tensor(rows, dtype=torch.int64),
        "columns": torch.tensor(columns, dtype=torch.int64),
        "layers": torch.tensor(layers, dtype=torch.int64).reshape(-1, 2),
        "vectors": torch.from_numpy(stacked.astype(np.float32)),
        "task": first.task,
        "kind": first.kind,
    }
