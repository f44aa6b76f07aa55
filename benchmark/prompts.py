"""Queries to prompts: order, batches, vectors and solved examples, by queries and seed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from .errors import IntegrityError, UsageError
from .files import canonical_json
from .records import SLOT, Answer, Prompt, Query, Turn
from .suite.rows import checked_vectors, shuffled_rows
from .suite.select import check_task, select_queries
from .suite.suite import Suite
from .task import Rendered, Task

TRAIN = "train"  # The split that solved queries come from
AUTO_BATCH_SIZE = 128  # Default batch size; fixed, so that a run is the same anywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSpec:
    """Everything that the prompts of one task's run depend on."""

    task: Task
    suite: Suite
    split: str  # Which queries; `mini` is allowed
    batch_size: int  # Most prompts in one call
    limit: int | None = None  # Answer only the first so many queries
    queries: Sequence[str] | None = None  # Answer only the queries with these ids
    seed: int = 0  # Chooses the solved queries
    shots: int = 0  # Solved training queries shown before each question
    no_vector: bool = False  # Withhold the vectors, as a control
    shuffled: bool = False  # Give each query another one's vector, as a control
    protocol: str | None = None  # Whose prompts `task` renders; None: the benchmark's own

    def select(self) -> tuple[Query, ...]:
        """Return the queries to answer, after checking that they can be asked like this."""
        check_task(self.task, self.suite)
        if self.shots < 0:
            raise UsageError(f"the number of solved queries is {self.shots}; give 0 or more")
        if self.seed < 0:
            raise UsageError(f"the seed is {self.seed}; give 0 or more")
        if self.shots and self.split == TRAIN:
            raise UsageError("solved queries come from the train split; answer another one")
        return select_queries(self.suite.queries(self.split), limit=self.limit, ids=self.queries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A query and its text."""

    query: Query  # The query
    rendered: Rendered  # Its text
    openings: tuple[str, ...] = ()  # What answers of its task begin with


def render_all(task: Task, queries: Iterable[Query]) -> tuple[Question, ...]:
    """Render queries and put them in the order of a run: template, length, id."""
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
    """Cut ordered questions into batches of one template each."""
    if batch_size < 1:
        raise UsageError(f"the batch size is {batch_size}; give 1 or more")
    batches: list[tuple[Question, ...]] = []
    for _, same in groupby(questions, key=lambda q: q.rendered.template):
        members = tuple(same)
        batches += [members[i : i + batch_size] for i in range(0, len(members), batch_size)]
    return batches


def build_prompts(spec: PromptSpec, batches: Sequence[Sequence[Question]]) -> list[list[Prompt]]:
    """Build the prompts of every batch."""
    task, suite, split = spec.task, spec.suite, spec.split
    vectors = None
    if task.uses_vector and not spec.no_vector:
        asked = [question.query for batch in batches for question in batch]
        vectors = checked_vectors(suite, split, asked)
        if vectors is None:
            raise IntegrityError(f"{suite.root}: task {task.name} needs vectors, {split} has none")
        if spec.shuffled:
            vectors = vectors[shuffled_rows(suite.queries(suite.folder(split)))]
    solved = _shots_by_template(spec, sorted({batch[0].rendered.template for batch in batches}))
    return [
        [build_prompt(question, vectors, solved[question.rendered.template]) for question in batch]
        for batch in batches
    ]


def build_prompt(
    question: Question, vectors: npt.NDArray[np.float16] | None, shots: Sequence[Turn]
) -> Prompt:
    """Attach solved queries and the query's row of float16 (n_vectors, d_target), if given."""
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


def _shots_by_template(spec: PromptSpec, names: Sequence[str]) -> dict[str, tuple[Turn, ...]]:
    """Choose solved training queries for each template, if possible of that template."""
    task, suite, n = spec.task, spec.suite, spec.shots
    if n == 0:
        return dict.fromkeys(names, ())
    queries = suite.queries(TRAIN)
    if not 0 < n <= len(queries):
        raise UsageError(f"cannot show {n} solved queries; the training split has {len(queries)}")
    answers = suite.answers(TRAIN)
    vectors = None if spec.no_vector else checked_vectors(suite, TRAIN, queries)
    everyone = sorted(render_all(task, queries), key=lambda q: q.query.id)
    changed = {key for key, one in answers.items() if isinstance(one, Answer) and one.changed}
    chosen = {}
    for name in names:
        own = [q for q in everyone if q.rendered.template == name]
        # The template is part of the seed: templates must not get the same draw.
        rng = np.random.default_rng([spec.seed, *hashlib.sha256(name.encode()).digest()[:8]])
        chosen[name] = tuple(
            Turn(
                question=one.rendered.question,
                answer=task.format_answer(answers[one.query.id]),
                vector=_vector(one.query, vectors),
                fields=one.query.fields,
            )
            for one in _pick(own if len(own) >= n else everyone, changed, n, rng)
        )
    return chosen


def _pick(
    questions: Sequence[Question], changed: Set[str], n: int, rng: np.random.Generator
) -> list[Question]:
    """Choose `n` questions, spread over kinds, half of them changed, from different groups.

    `changed` holds ids of queries. Where that is impossible, groups give way first, then kinds,
    then verdicts. The result is in random order, so that position tells nothing. The order of
    `questions` must not depend on chance.
    """
    left = [questions[i] for i in rng.permutation(len(questions))]
    kinds = sorted({one.query.kind for one in questions})
    kinds = [kinds[i] for i in rng.permutation(len(kinds))]
    first = bool(rng.integers(2))
    picked: list[Question] = []
    for number in range(n):
        lap, place = divmod(number, len(kinds))
        # Shifting by the lap keeps an even number of kinds from always pairing with one verdict.
        wanted = first ^ bool((lap + place) % 2), kinds[place]
        groups = {one.query.group for one in picked}
        misses = [
            (
                (one.query.id in changed) != wanted[0],
                one.query.kind != wanted[1],
                one.query.group in groups,
            )
            for one in left
        ]
        picked.append(left.pop(misses.index(min(misses))))
    return [picked[i] for i in rng.permutation(n)]


def _vector(
    query: Query, vectors: npt.NDArray[np.float16] | None
) -> npt.NDArray[np.float32] | None:
    if vectors is None or query.vector is None:
        return None
    row: npt.NDArray[np.float32] = vectors[query.vector].astype(np.float32)
    return row
