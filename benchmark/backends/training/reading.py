"""Questions about training vectors as examples: which of them, when, and how they are encoded.

The draw depends on queries and oracle rows alone, so that a control without vectors shares it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

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
        if kind not in heads:
            heads[kind] = own.head(prompt)
        reply = own.reply_ids(question.reply)
        early = reading.when == "before" or (reading.when == "both" and first_half)
        lessons.append(
            encode_lesson(
                own, prompt, heads[kind], reply, task=task.name, reading=kind, early=early
            )
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
