"""Questions about training vectors as lessons: which of them, when, and how they are encoded.

Owns the draw, which a control without vectors shares: it depends on queries and oracle rows alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from ...errors import UsageError
from ...records import Prompt
from ...suite.rows import checked_vectors
from ...suite.subset import Amount, draw_groups
from ...suite.suite import Suite
from ...task import ReadingQuestion, Task
from ..explainer.chat import Encoded, Encoder
from .dataset import Lesson, encode_lesson
from .spec import Reading


class ContinuedEncoder(Encoder):
    """Prompts as plain text that a reply goes on from: no turns, no label before the reply."""

    def __init__(self, like: Encoder) -> None:
        """Take tokenizer and injection of another encoder."""
        super().__init__(
            like.tokenizer,
            use_vectors=like.use_vectors,
            injection=like.injection,
            target_tokenizer=like.target_tokenizer,
        )
        self.chat = False

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
    """Encode questions about the vectors of the training queries that are learnt from.

    Args:
        task: asks them.
        suite: its training split is read, with oracle rows.
        encoder: the explainer's.
        reading: how many of which kinds, and when.
        n: training queries that are learnt from, as `make_lessons` draws them.
        seed: decides both draws.

    Raises:
        UsageError: vectors enter at quoted tokens, a kind is unknown, there are fewer questions, or
            the suite does not say where its vectors were read.
        IntegrityError: a file of the suite is corrupt.
    """
    if task.reading is None:
        return []
    if encoder.injection.quotes:
        raise UsageError(
            f"injection {encoder.injection.mode}: questions about a vector quote no text for it to "
            "stand in; train without reading, or choose own-layers or embedding"
        )
    queries = draw_groups(suite.queries("train"), n, seed=seed)
    wanted = round(reading.share * len(queries))
    drawn = draw_questions(
        task.reading(queries, suite.oracle("train")), wanted, kinds=reading.kinds, seed=seed
    )
    vectors = checked_vectors(suite, "train", queries) if encoder.use_vectors else None
    continued = ContinuedEncoder(encoder)
    heads: dict[str, Encoded] = {}
    lessons = []
    for question, early in drawn:
        prompt = _prompt(task, question)
        if vectors is not None and question.query.vector is not None:
            prompt = replace(prompt, vector=vectors[question.query.vector].astype("float32"))
        own = continued if question.continued else encoder
        if question.kind not in heads:
            heads[question.kind] = own.head(prompt)
        lessons.append(
            encode_lesson(
                own,
                prompt,
                heads[question.kind],
                own.reply_ids(question.reply),
                task=task.name,
                reading=question.kind,
                early=reading.when == "before" or (reading.when == "both" and early),
            )
        )
    return sorted(lessons, key=lambda lesson: lesson.qid)


def draw_questions(
    questions: Sequence[ReadingQuestion], n: int, *, kinds: Sequence[str] = (), seed: int = 0
) -> list[tuple[ReadingQuestion, bool]]:
    """Draw questions by hash, as many of each kind as of the others while there are any.

    Contrast groups stay together, but for the last one of a kind, so that choices stay balanced.

    Args:
        questions: all there are.
        n: how many.
        kinds: kinds to draw from; all if empty.
        seed: decides the draw.

    Returns:
        Questions, and whether each is in the first half of its kind.

    Raises:
        UsageError: a kind is unknown, or there are fewer.
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

    found = []
    for kind, count in _shares({kind: len(own) for kind, own in chosen.items()}, n).items():
        own = sorted(chosen[kind], key=order)[:count]
        found += [(question, 2 * place < count) for place, question in enumerate(own)]
    return found


def _shares(there: dict[str, int], n: int) -> dict[str, int]:
    """Share `n` among kinds, equally as far as they go; the scarcest are served first."""
    found = {}
    for left, kind in zip(
        range(len(there), 0, -1), sorted(there, key=lambda k: (there[k], k)), strict=True
    ):
        found[kind] = min(there[kind], n // left)
        n -= found[kind]
    return found


def _prompt(task: Task, question: ReadingQuestion) -> Prompt:
    return Prompt(
        query=question.query,
        template=f"{task.name}/reading/{question.kind}",
        instructions=question.instructions,
        question=question.question,
    )
