"""What the target says, batch by batch: from a journal where a batch is finished, else measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from ...benchmark.backends.interventions.outputs import Output, batches
from ...benchmark.backends.interventions.trace import Stem
from ...benchmark.cache import Journal


def output_of(row: Mapping[str, Any]) -> Output:
    """Output from its journal row."""
    return Output(text=row["text"], ids=tuple(row["ids"]), margin=row["margin"])


def journaled(
    stems: Sequence[Stem],
    max_rows: int,
    journal: Journal,
    asked: Callable[[Sequence[int]], list[Any]],
    read: Callable[[list[Stem]], Sequence[Any]],
) -> Iterator[tuple[list[int], list[Any]]]:
    """Indices of stems in batches of at most `max_rows` branches, with the rows `read` gives.

    `asked` says what a batch of indices is, which is its key in the journal. Of several processes
    each measures a part and keeps all.
    """

    def measure(chosen: list[int]) -> list[Any]:
        return [asdict(one) for one in read([stems[i] for i in chosen])]

    return journal.deal(list(batches(stems, max_rows)), asked, measure)


def answers(
    stems: Sequence[Stem],
    batched: Iterator[tuple[list[int], list[Any]]],
    report: Callable[[int], None],
) -> list[list[Output]]:
    """Journaled answers of all branches, stem by stem."""
    found: dict[int, list[Output]] = {}
    for chosen, rows in batched:
        outputs = map(output_of, rows)
        found |= {i: list(islice(outputs, len(stems[i].branches))) for i in chosen}
        report(len(rows))
    return [found[i] for i in range(len(stems))]
