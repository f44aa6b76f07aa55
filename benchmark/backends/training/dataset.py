"""Training queries, and questions about their vectors, as token ids with vectors and an answer.

The answer's place is counted when the prompt is encoded, never searched for in text. A batch holds
one template, whose instructions (the *head*) are then read once for all of it. Which questions
about vectors are drawn depends on queries and oracle rows alone, so that a control without vectors
shares them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...errors import UsageError
from ...prompts import build_prompt, render_all
from ...records import Prompt
from ...suite.rows import checked_vectors
from ...suite.subset import Amount, draw_groups
from ...suite.suite import Suite
from ...task import ReadingQuestion, Task
from ..explainer.chat import Encoded, Encoder, joined
from .spec import Reading

CHUNK = 8  # batches sorted by length together: little is padded, order stays random


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
        replayed = encoder.replays(prompt)
        write = (task.format_replayed if replayed else None) or task.format_answer
        reply = encoder.reply_ids(write(answers[prompt.query.id]), replayed=replayed)
        lessons.append(_lesson(encoder, prompt, heads, reply, task=task.name))
    return sorted(lessons, key=lambda lesson: lesson.qid)


def _lesson(
    encoder: Encoder,
    prompt: Prompt,
    heads: dict[str, Encoded],
    reply: Sequence[int],
    *,
    task: str,
    reading: str = "",
    early: bool = False,
) -> Lesson:
    """Put a prompt and the reply to it together; `heads` are those known, by template."""
    end = encoder.tokenizer.eos_token_id
    if end is None:
        raise UsageError("the tokenizer names no end of text; an answer could not end")
    if prompt.template not in heads:
        heads[prompt.template] = encoder.head(prompt)
    head, (asked,) = heads[prompt.template], encoder.questions([prompt])
    start = joined(head, asked)
    return Lesson(
        task=task,
        qid=f"{prompt.query.id}:{reading}" if reading else prompt.query.id,
        template=prompt.template,
        ids=(*start.ids, *reply, end),
        n_head=len(head.ids),
        n_prompt=len(start.ids),
        columns=start.columns,
        vectors=start.vectors,
        layers=start.layers,
        reading=reading,
        early=early,
    )


class ContinuedEncoder(Encoder):
    """Prompts as plain text that a reply goes on from: no turns, no label before the reply."""

    def __init__(self, like: Encoder) -> None:
        """Take tokenizer and injection of another encoder."""
        vars(self).update(vars(like), chat=False)

    def _texts(self, prompt: Prompt) -> tuple[str, str]:
        return f"{prompt.instructions}\n" if prompt.instructions else "", ""


def make_reading_lessons(
    task: Task,
    suite: Suite,
    encoder: Encoder,
    reading: Reading,
    *,
    n: Amount | None = None,
    seed: int = 0,
) -> list[Lesson]:
    """Encode questions about the vectors of the training queries that `make_lessons` draws."""
    if task.reading is None:
        return []
    if encoder.injection.quotes:
        raise UsageError(
            f"injection {encoder.injection.mode}: questions about a vector quote no text for it to "
            "stand in; train without reading, or choose own-layers or embedding"
        )
    queries = draw_groups(suite.queries("train"), n, seed=seed)
    questions = task.reading(queries, suite.oracle("train"))
    wanted = round(reading.share * len(queries))
    drawn = draw_questions(questions, wanted, kinds=reading.kinds, seed=seed)
    vectors = checked_vectors(suite, "train", queries) if encoder.use_vectors else None
    continued = ContinuedEncoder(encoder)
    heads: dict[str, Encoded] = {}
    lessons = []
    for question, first_half in drawn:
        place, kind = question.query.vector, question.kind
        prompt = Prompt(
            query=question.query,
            template=f"{task.name}/reading/{kind}",
            instructions=question.instructions,
            question=question.question,
            vector=None if vectors is None or place is None else vectors[place].astype("float32"),
        )
        own = continued if question.continued else encoder
        early = reading.when == "before" or (reading.when == "both" and first_half)
        reply = own.reply_ids(question.reply)
        lessons.append(
            _lesson(own, prompt, heads, reply, task=task.name, reading=kind, early=early)
        )
    return sorted(lessons, key=lambda lesson: lesson.qid)


def draw_questions(
    questions: Sequence[ReadingQuestion], n: int, *, kinds: Sequence[str] = (), seed: int = 0
) -> list[tuple[ReadingQuestion, bool]]:
    """Draw `n` questions by hash, as many of each kind as of the others while there are any.

    Contrast groups stay together, but for the last one of a kind, so that choices stay balanced.
    With each question: whether it is in the first half of its kind.
    """
    by_kind: dict[str, list[ReadingQuestion]] = {}
    for question in questions:
        by_kind.setdefault(question.kind, []).append(question)
    if unknown := sorted(set(kinds) - by_kind.keys()):
        raise UsageError(
            f"reading kind {unknown[0]!r}: this suite gives {', '.join(sorted(by_kind))}"
        )
    chosen = {kind: by_kind[kind] for kind in sorted(kinds or by_kind)}
    there = sum(map(len, chosen.values()))
    if n > there or n < 1:
        raise UsageError(
            f"{n} questions about vectors: these training queries give 1 to {there} of the kinds "
            f"{', '.join(chosen)}; choose another share or more kinds"
        )

    def order(question: ReadingQuestion) -> tuple[str, str]:
        key = f"{seed}:{question.kind}:{question.query.group}"
        return hashlib.sha256(key.encode()).hexdigest(), question.query.id

    drawn = []
    for kind, count in _shares({kind: len(own) for kind, own in chosen.items()}, n).items():
        own = sorted(chosen[kind], key=order)[:count]
        drawn += [(question, 2 * place < count) for place, question in enumerate(own)]
    return drawn


def _shares(there: dict[str, int], n: int) -> dict[str, int]:
    """Share `n` among kinds, equally as far as they go; the scarcest are served first."""
    shares: dict[str, int] = {}
    for kind in sorted(there, key=lambda k: (there[k], k)):
        shares[kind] = min(there[kind], n // (len(there) - len(shares)))
        n -= shares[kind]
    return shares


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
