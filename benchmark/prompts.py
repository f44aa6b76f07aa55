"""Queries to prompts: order, batches, vectors and solved examples from the training split.

Owns what makes a run repeatable: everything here depends on the queries and the seed alone, so a
resumed run sees the batches of an uninterrupted one. The only ground truth it opens is the training
split's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from .errors import IntegrityError, UsageError
from .files import canonical_json
from .records import SLOT, Answer, Choice, Description, Prompt, Query, Turn
from .suite.rows import checked_vectors, shuffled_rows
from .suite.suite import Suite
from .task import Rendered, Task

TRAIN = "train"
"""The split solved queries come from."""
AUTO_BATCH_SIZE = 128
"""Prompts in one batch unless the user says otherwise; fixed, so a run is the same anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query and its text."""

    query: Query
    """The query."""
    rendered: Rendered
    """Its text."""
    openings: tuple[str, ...] = ()
    """What answers of its task begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A training query that could be shown solved."""

    question: Question
    """The query and its text."""
    reply: str
    """The reply that would be right."""
    changed: bool
    """Whether the output changes; False for all where nothing is changed."""


def render_all(task: Task, queries: Iterable[Query]) -> tuple[Question, ...]:
    """Render queries and put them in the order of a run: template, length, id.

    Raises:
        IntegrityError: a text lacks the vector's slot or has two, or has one in a text-only task.
    """
    questions = []
    for query in queries:
        rendered = task.render(query)
        if rendered.question.count(SLOT) != int(task.uses_vector):
            raise IntegrityError(
                f"template {rendered.template}, query {query.id}: {rendered.question.count(SLOT)} "
                f"slots for a vector, expected {int(task.uses_vector)}"
            )
        openings = rendered.openings or task.openings
        questions.append(Question(query=query, rendered=rendered, openings=openings))
    return tuple(
        sorted(questions, key=lambda q: (q.rendered.template, len(q.rendered.question), q.query.id))
    )


def cut_batches(questions: Sequence[Question], batch_size: int) -> list[tuple[Question, ...]]:
    """Cut ordered questions into batches of one template each.

    Raises:
        UsageError: the batch size is below 1.
    """
    if batch_size < 1:
        raise UsageError(f"the batch size is {batch_size}; give 1 or more")
    batches: list[tuple[Question, ...]] = []
    for _, same in groupby(questions, key=lambda q: q.rendered.template):
        members = tuple(same)
        batches += [members[i : i + batch_size] for i in range(0, len(members), batch_size)]
    return batches


def check_shots(split: str, shots: int, seed: int) -> None:
    """Refuse solved queries that cannot be shown.

    Raises:
        UsageError: a number is negative, or the split to answer is the one they come from.
    """
    if shots < 0:
        raise UsageError(f"the number of solved queries is {shots}; give 0 or more")
    if seed < 0:
        raise UsageError(f"the seed is {seed}; give 0 or more")
    if shots and split == TRAIN:
        raise UsageError("solved queries come from the train split; answer another one")


def build_prompts(
    *,
    task: Task,
    suite: Suite,
    split: str,
    batches: Sequence[Sequence[Question]],
    shots: int,
    seed: int,
    no_vector: bool,
    shuffled: bool = False,
) -> list[list[Prompt]]:
    """Build the prompts of every batch; `predict` says what the arguments mean.

    Raises:
        UsageError: more solved queries than the training split has.
        IntegrityError: the task needs vectors and the split has none, or a file is corrupt.
    """
    asked = [question.query for batch in batches for question in batch]
    vectors = None
    if task.uses_vector and not no_vector:
        vectors = checked_vectors(suite, split, asked)
        if vectors is None:
            raise IntegrityError(f"{suite.root}: task {task.name} needs vectors, {split} has none")
        if shuffled:
            vectors = vectors[shuffled_rows(suite.queries(suite.folder(split)))]
    solved = shots_by_template(
        task=task,
        suite=suite,
        templates=(batch[0].rendered.template for batch in batches),
        n=shots,
        seed=seed,
        no_vector=no_vector,
    )
    return [
        [build_prompt(question, vectors, solved[question.rendered.template]) for question in batch]
        for batch in batches
    ]


def build_prompt(
    question: Question, vectors: npt.NDArray[np.float16] | None, shots: Sequence[Turn]
) -> Prompt:
    """Attach a query's vector and the solved queries of its template.

    Args:
        question: the query and its text.
        vectors: float16 (n_vectors, d_target), or None to show no vector.
        shots: solved queries.
    """
    return Prompt(
        query=question.query,
        template=question.rendered.template,
        instructions=question.rendered.instructions,
        question=question.rendered.question,
        vector=_vector(question.query, vectors),
        shots=tuple(shots),
        openings=question.openings,
    )


def prompt_sha256(prompt: Prompt) -> str:
    """Return a hash over everything an explainer can see of a prompt except the query's fields."""
    shots = [[turn.question, turn.answer] for turn in prompt.shots]
    text = canonical_json([prompt.template, prompt.instructions, prompt.question, shots])
    digest = hashlib.sha256(text.encode())
    for vector in [prompt.vector, *(turn.vector for turn in prompt.shots)]:
        digest.update(b"\0" if vector is None else vector.astype("<f4").tobytes())
    return digest.hexdigest()


def shots_by_template(
    *, task: Task, suite: Suite, templates: Iterable[str], n: int, seed: int, no_vector: bool
) -> dict[str, tuple[Turn, ...]]:
    """Choose `n` solved training queries for each template.

    Prefers training queries of the same template and falls back to all; `pick` says which.

    Args:
        task: renders queries and writes answers.
        suite: its training split is read, with truth; nothing else is.
        templates: template ids of the queries to answer.
        n: how many to show.
        seed: together with the template it decides the choice.
        no_vector: show none of the training queries' vectors.

    Raises:
        UsageError: `n` is negative or more than the training split has.
    """
    names = sorted(set(templates))
    if n == 0:
        return dict.fromkeys(names, ())
    queries = suite.queries(TRAIN)
    if not 0 < n <= len(queries):
        raise UsageError(f"cannot show {n} solved queries; the training split has {len(queries)}")
    answers = suite.answers(TRAIN)
    vectors = None if no_vector else checked_vectors(suite, TRAIN, queries)
    everyone = [
        _candidate(task, question, answers[question.query.id])
        for question in sorted(render_all(task, queries), key=lambda q: q.query.id)
    ]
    chosen = {}
    for name in names:
        own = [c for c in everyone if c.question.rendered.template == name]
        # The template is part of the seed: templates must not get the same draw.
        rng = np.random.default_rng([seed, *hashlib.sha256(name.encode()).digest()[:8]])
        picked = pick(own if len(own) >= n else everyone, n, rng=rng)
        chosen[name] = tuple(_turn(candidate, vectors) for candidate in picked)
    return chosen


def pick(candidates: Sequence[Candidate], n: int, *, rng: np.random.Generator) -> list[Candidate]:
    """Choose `n` candidates, spread over kinds, half of them changed, from different groups.

    A wish gives way when the candidates do not allow it: groups first, then kinds, then verdicts.
    The result is in random order, so that position tells nothing.

    Args:
        candidates: at least `n`, in an order that does not depend on chance.
        n: how many.
        rng: decides among equals.
    """
    left = [candidates[i] for i in rng.permutation(len(candidates))]
    kinds = sorted({c.question.query.kind for c in candidates})
    kinds = [kinds[i] for i in rng.permutation(len(kinds))]
    first = bool(rng.integers(2))
    picked: list[Candidate] = []
    for number in range(n):
        lap, place = divmod(number, len(kinds))
        # Shifting by the lap keeps an even number of kinds from always pairing with one verdict.
        changed = first ^ bool((lap + place) % 2)
        groups = {c.question.query.group for c in picked}

        def mismatch(
            candidate: Candidate,
            kind: str = kinds[place],
            changed: bool = changed,
            groups: set[str] = groups,
        ) -> tuple[bool, bool, bool]:
            query = candidate.question.query
            return (
                candidate.changed != changed,
                query.kind != kind,
                query.group in groups,
            )

        best = min(left, key=mismatch)
        left.remove(best)
        picked.append(best)
    return [picked[i] for i in rng.permutation(n)]


def _candidate(task: Task, question: Question, answer: Answer | Choice | Description) -> Candidate:
    changed = isinstance(answer, Answer) and answer.changed
    return Candidate(question=question, reply=task.format_answer(answer), changed=changed)


def _turn(candidate: Candidate, vectors: npt.NDArray[np.float16] | None) -> Turn:
    return Turn(
        question=candidate.question.rendered.question,
        answer=candidate.reply,
        vector=_vector(candidate.question.query, vectors),
        fields=candidate.question.query.fields,
    )


def _vector(
    query: Query, vectors: npt.NDArray[np.float16] | None
) -> npt.NDArray[np.float32] | None:
    if vectors is None or query.vector is None:
        return None
    row: npt.NDArray[np.float32] = vectors[query.vector].astype(np.float32)
    return row
