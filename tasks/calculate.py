"""Each query's intervention carried out again on the target, from the query alone.

The answers are those of the ceiling: what does not come out again is what a label owes to the
machine, or the batch, that it was measured on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..benchmark.errors import UsageError
from ..benchmark.metrics.verdicts import evaluate
from ..benchmark.records import Answer, Choice, Query, Scored
from ..benchmark.scoring.grade import score_table
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task

if TYPE_CHECKING:
    from ..benchmark.backends.interventions.calculator import Calculator, Text

Vectors = Sequence[npt.NDArray[np.float32] | None]


def calculate(
    target: Calculator, queries: Sequence[Query], vectors: Vectors
) -> list[Answer | Choice | None]:
    """Return each query's answer; None where no part's removal changes the output."""
    if queries and "layers" in queries[0].fields:
        return _patched(target, queries, vectors)
    texts = [_texts(query) for query in queries]
    said = target.answers([text for row in texts for text in row])
    return [
        _removed(query, [said[text] for text in row])
        for query, row in zip(queries, texts, strict=True)
    ]


def calculated_metrics(
    target: Calculator, task: Task, suite: Suite, split: str
) -> dict[str, float | None]:
    """Return the task's metrics of these answers over the headline's kinds of a split."""
    kinds = task.headline_kinds
    queries = [q for q in suite.queries(split) if kinds is None or q.kind in kinds]
    table = suite.vectors(split).astype(np.float32) if task.uses_vector else None
    vectors = [None if table is None or q.vector is None else table[q.vector] for q in queries]
    truth = suite.truth(split)
    scored = [
        Scored(
            query=query,
            raw="" if answer is None else task.format_answer(answer),
            answer=answer,
            truth=truth[query.id],
        )
        for query, answer in zip(queries, calculate(target, queries, vectors), strict=True)
    ]
    found = score_table(scored)
    values = {name: evaluate(name, found) for name in task.metrics}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _patched(
    target: Calculator, queries: Sequence[Query], vectors: Vectors
) -> list[Answer | Choice | None]:
    from ..benchmark.backends.interventions.calculator import Patch, Text

    patches = []
    for query, vector in zip(queries, vectors, strict=True):
        if vector is None:
            raise UsageError("baseline/calculator reads vectors; it cannot do without them")
        first, last = query.fields["layers"]
        patches.append(
            Patch(
                text=query.fields["text"],
                position=query.fields["position"],
                layers=(first, last),
                vector=vector,
            )
        )
    clean = target.answers([Text(text=patch.text) for patch in patches])
    return [
        _answer(clean[Text(text=patch.text)], outcome)
        for patch, outcome in zip(patches, target.patched(patches), strict=True)
    ]


def _removed(query: Query, said: Sequence[str]) -> Answer | Choice | None:
    """The answer where what is said to the whole text, and without each part, is known."""
    clean, *rest = said
    if "parts" not in query.fields:
        return _answer(clean, rest[0])
    for part, outcome in zip(query.fields["parts"], rest, strict=True):
        if outcome != clean:
            return Choice(part=part["label"])
    return None


def _answer(clean: str, outcome: str) -> Answer:
    return Answer(changed=clean != outcome, content=outcome)


def _texts(query: Query) -> list[Text]:
    """The whole text of a query, and the text without the part, or each of the parts, it marks."""
    from ..benchmark.backends.interventions.calculator import Text

    fields = query.fields
    spans = [part["span"] for part in fields["parts"]] if "parts" in fields else [fields["span"]]
    return [
        Text(
            text=fields["text"][:start] + fields["text"][end:],
            prefix=fields["answer_prefix"] if fields["chat"] else None,
            letter=fields["answer_form"] == "letter",
        )
        for start, end in [(0, 0), *spans]
    ]
