"""Training queries as token ids with vectors and a known beginning of the answer.

Owns what one lesson is, how lessons are batched and padded, and the order of a whole training. The
answer's place is counted when the prompt is encoded, never searched for in text. A batch holds one
template, whose instructions (the *head*) are then read once for all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
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

CHUNK = 8
"""Batches whose lessons are sorted by length together: little is padded, order stays random."""
WIDTH = 8
"""Batches are padded to a multiple of this many tokens: every new shape costs time to prepare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One training query with the answer that is right."""

    task: str
    """Name of its task."""
    qid: str
    """Id of its query."""
    template: str
    """Template it was rendered with."""
    ids: tuple[int, ...]
    """Token ids of prompt and answer, the end of the answer included."""
    n_head: int
    """How many of them are the head, which all lessons of a template begin with."""
    n_prompt: int
    """How many of them are the prompt, the head included."""
    columns: tuple[int, ...]
    """Index of each slot; none is in the head."""
    vectors: tuple[npt.NDArray[np.float32], ...]
    """Vector of each slot, (d_target,); empty without vectors."""
    layers: tuple[tuple[int, int], ...] = ()
    """First and last layer of each slot; empty unless each query has its own."""
    reading: str = ""
    """Kind of question about a vector; empty if the task itself is asked."""
    early: bool = False
    """Whether it comes once, in a phase before all others."""

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
    """Encode solved queries of a split.

    Args:
        task: renders queries and writes answers.
        suite: its split is read, with truth.
        encoder: the explainer's.
        split: `train`, or `validation` to stop by.
        n: how many, whole contrast groups drawn by hash; all if None.
        seed: decides the draw.

    Raises:
        UsageError: `n` is not above 0 or more than there are, or the tokenizer has no end of text.
        IntegrityError: a file of the suite is corrupt.
    """
    queries = draw_groups(suite.queries(split), n, seed=seed)
    answers = suite.answers(split)
    vectors = None
    if task.uses_vector and encoder.use_vectors:
        vectors = checked_vectors(suite, split, queries)
    heads: dict[str, Encoded] = {}
    found = []
    for question in render_all(task, queries):
        prompt = build_prompt(question, vectors, ())
        if prompt.template not in heads:
            heads[prompt.template] = encoder.head(prompt)
        replayed = encoder.replays(prompt)
        said = (task.format_replayed if replayed else None) or task.format_answer
        reply = encoder.reply_ids(said(answers[prompt.query.id]), replayed=replayed)
        found.append(encode_lesson(encoder, prompt, heads[prompt.template], reply, task=task.name))
    return sorted(found, key=lambda lesson: lesson.qid)


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
    """Put a prompt and the reply to it together; `head` is the prompt's own.

    Raises:
        UsageError: the tokenizer has no end of text.
    """
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
    """Hash over all that training reads, in any order of the lessons."""
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
    """Return places of lessons by batch: early ones once, then all epochs of the others in a row.

    Each epoch is one random order. The lessons of a template are taken in that order, chunks
    of them are sorted by length and cut into batches, and all batches come in random order again.

    Raises:
        UsageError: a number is below 1, or there are no lessons.
    """
    if batch_size < 1 or epochs < 1 or not lessons:
        raise UsageError("training needs lessons, a batch size and epochs of 1 or more")
    parts: dict[bool, list[int]] = {True: [], False: []}
    for place, lesson in enumerate(lessons):
        parts[lesson.early].append(place)
    steps: list[list[int]] = []
    for early, times in ((True, 1), (False, epochs)):
        for epoch in range(times if parts[early] else 0):
            rng = np.random.default_rng([seed, epoch])
            own = [lessons[place] for place in parts[early]]
            steps += [[parts[early][i] for i in batch] for batch in _epoch(own, batch_size, rng)]
    return steps


def _epoch(lessons: Sequence[Lesson], batch_size: int, rng: np.random.Generator) -> list[list[int]]:
    """All lessons once, as batches of places."""
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


class Steps(torch.utils.data.Sampler[list[int]]):
    """Batches in a fixed order, as torch's DataLoader takes them."""

    def __init__(self, steps: Sequence[list[int]]) -> None:
        """Keep the order."""
        self.steps = steps

    def __iter__(self) -> Iterator[list[int]]:
        """Yield places of lessons."""
        return iter(self.steps)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.steps)


def collate(lessons: Sequence[Lesson], *, pad: int) -> dict[str, Any]:
    """Put the lessons of one template side by side, padded on the right after their head.

    Returns:
        `ids` int64 (n, width), what follows the head; `head` int64 (n_head,); `mask` int64
        (n, width); `answers` int64 (n, width), the token to be predicted at each place or -100;
        `rows`, `columns` int64 (n_slots,), `layers` int64 (n_slots, 2) and `vectors` float32
        (n_slots, d_target), where vectors enter; `layers` is (0, 2) unless queries have their own,
        `vectors` is (0, 0) without vectors; `task`, the task's name, which says how they enter;
        `kind`, what is asked.

    Raises:
        ValueError: they do not share their task and their head.
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
    rows: list[int] = []
    columns: list[int] = []
    layers: list[tuple[int, int]] = []
    vectors: list[npt.NDArray[np.float32]] = []
    for row, lesson in enumerate(lessons):
        own = torch.tensor(lesson.ids[len(head) :])
        begin = lesson.n_prompt - len(head)
        ids[row, : len(own)] = own
        mask[row, : len(own)] = 1
        # the token at place t is predicted at place t - 1
        answers[row, begin - 1 : len(own) - 1] = own[begin:]
        if lesson.vectors:
            rows += [row] * len(lesson.columns)
            columns += [column - len(head) for column in lesson.columns]
            layers += lesson.layers
            vectors += lesson.vectors
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
