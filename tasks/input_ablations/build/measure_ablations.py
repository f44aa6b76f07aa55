"""Ground truth of input ablations: what the target answers with and without a span.

Runs the target model, once, when a suite is made. Texts of one group share their first tokens,
which are computed once; every text is tokenised as a whole, so sharing changes no token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from ....benchmark.backends.interventions.outputs import (
    Output,
    batches,
    greedy,
    letter_tokens,
    letters,
)
from ....benchmark.backends.interventions.trace import Branch, Stem
from ....benchmark.backends.models.target_model import TargetModel
from ....benchmark.cache import Journal
from .hints import ANSWER_PREFIX

ROWS = 96
"""Texts per batch."""

Progress = Callable[[str, int], None]
"""Called with a stage name and the number of items just finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The distinct texts of one group, tokenised."""

    rows: tuple[tuple[int, ...], ...]
    """Token ids of each text."""
    index: dict[str, int]
    """Text to row."""
    letter: bool
    """Whether the answers are letters."""


def tokenise(target: TargetModel, texts: Iterable[str], *, chat: bool) -> Texts:
    """Every text of a group, once; those of a chat are answered with a letter."""
    distinct = tuple(dict.fromkeys(texts))
    rows = [
        target.encode_chat(text, ANSWER_PREFIX) if chat else target.encode(text)
        for text in distinct
    ]
    return Texts(
        rows=tuple(map(tuple, rows)),
        index={text: i for i, text in enumerate(distinct)},
        letter=chat,
    )


def stem_of(rows: Sequence[Sequence[int]]) -> Stem:
    """Rows as one stem: their common first tokens, at least one token left to each."""
    shared = 0
    limit = min(len(row) for row in rows) - 1
    while shared < limit and len({row[shared] for row in rows}) == 1:
        shared += 1
    branches = tuple(Branch(ids=tuple(row[shared:])) for row in rows)
    return Stem(ids=tuple(rows[0][:shared]), branches=branches)


def letter_ids(target: TargetModel) -> tuple[int, ...]:
    """Tokens of the four letters after the answer prefix."""
    return letter_tokens(target, ANSWER_PREFIX)


def outputs_of(
    target: TargetModel, groups: Sequence[Texts], journal: Journal, report: Progress
) -> list[list[Output]]:
    """Answers to all texts of all groups; the groups must be of one answer form."""
    if not groups:
        return []
    stems = [stem_of(texts.rows) for texts in groups]
    letter = groups[0].letter
    tokens = letter_ids(target) if letter else ()
    found: dict[int, list[Output]] = {}
    for chosen in batches(stems, ROWS):

        def compute(chosen: Sequence[int] = chosen) -> list[dict[str, object]]:
            few = [stems[i] for i in chosen]
            outputs = letters(target, few, tokens) if letter else greedy(target, few)
            return [asdict(output) for output in outputs]

        asked = ["letters" if letter else "text", [groups[i].rows for i in chosen]]
        rows = journal.run(asked, compute)
        cursor = 0
        for i in chosen:
            size = len(groups[i].rows)
            found[i] = [
                Output(text=row["text"], ids=tuple(row["ids"]), margin=row["margin"])
                for row in rows[cursor : cursor + size]
            ]
            cursor += size
        report("answers", len(rows))
    return [found[i] for i in range(len(groups))]
