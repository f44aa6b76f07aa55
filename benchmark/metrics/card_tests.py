"""What each metric makes of answers that are known to be worth something or nothing.

The simulated corpora and answerers of the metric card: a perfect one, the same with labels missing
or false ones added (the two tests of NeuronEval, arXiv:2506.05774), two that hold the truth beside
something else, and those that know nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..records import Answer, GroundTruth, Query, Scored
from ..registry import get_task
from ..scoring.grade import score_table
from ..task import Task
from .verdicts import BALANCED_KINDS, NO_VERDICT, WHICH, ScoreTable, evaluate

SEED = 0
# Answerers, in the order of the card's columns
TESTS = (
    *("perfect", "missing", "false", "constant", "shuffled", "copied", "echo"),
    *("hedging", "two answers", "look-alike"),
)
# Metrics that no task shows and that differences and nulls use
MORE = ("exact_match", "content_match")
# Contents that look like the right one and are not: a letter of another script, a zero-width space,
# other case, other punctuation
LOOK_ALIKES: Sequence[Callable[[str], str]] = (
    lambda text: text.replace("a", "\N{CYRILLIC SMALL LETTER A}"),
    lambda text: f"{text[:1]}\N{ZERO WIDTH SPACE}{text[1:]}",
    str.upper,
    str.capitalize,
    lambda text: f"{text},",
    lambda text: text.replace(" ", "-"),
)
N_ANSWERS = 40  # Possible outputs; the k-th commonest in proportion to 1 / k
N_QUERIES = 1000  # Queries of a causal task's corpus; half of the verdicts are `changed`
GROUP = 4  # Queries of a contrast group of activation patching
JOINED = (" or ", "\n", "; ", "\n\n")  # Between a right answer and its opposite
TWO_CONTENTS: Sequence[Callable[[str], str]] = (
    lambda text: f"{text} or answer 99",
    lambda text: f"answer 99 / {text}",
)

Rng = np.random.Generator

# Fields of the one query whose prompt is copied
_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "activation-patching": {
        "text": "The capital of Norway is",
        "position": 3,
        "n_tokens": 5,
        "token": " Norway",
        "layers": [6, 11],
        "relation": "capital",
    },
    "input-ablations": {
        "text": "Someone says Rome. The capital of Norway is",
        "span": [0, 18],
        "removed": "Someone says Rome.",
        "answer_prefix": "",
        "answer_form": "text",
        "relation": "capital",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Queries of a causal task with their truth; the last ones may ask for a part."""

    task: Task  # The task
    queries: Sequence[Query]  # Those that ask for a verdict
    truth: Sequence[GroundTruth]  # What is true of them
    parts: npt.NDArray[np.int64]  # The right part, 0 to 3, of each `which` query, (n_which,)

    @property
    def commonest(self) -> str:
        """The commonest outcome of a change."""
        return "answer 0"


def causal_figures(name: str) -> dict[str, dict[str, float]]:
    """Return the score of every answerer by every metric of a causal task."""
    task = get_task(name)
    corpus = _corpus(task, np.random.default_rng(SEED))
    tables = _tables(corpus, np.random.default_rng(SEED + 1))
    return {
        metric: {test: max(evaluate(metric, table) for table in tables[test]) for test in TESTS}
        for metric in (*task.metrics, *MORE)
    }


def _corpus(task: Task, rng: Rng) -> Corpus:
    kinds: Sequence[str] = BALANCED_KINDS if "kind_mean" in task.metrics else ("any",)
    n_which = N_QUERIES // 5 if "kind_mean" in task.metrics else 0
    group = 1 if n_which else GROUP
    share = 1 / np.arange(1, N_ANSWERS + 1)
    queries, truth = [], []
    for place in range(N_QUERIES - n_which):
        clean, other = rng.choice(N_ANSWERS, size=2, replace=False, p=share / share.sum())
        outcome = other if rng.random() < 0.5 else clean
        queries.append(
            Query(
                id=f"{place:016x}",
                group=f"{place // group:016x}",
                kind=kinds[place % len(kinds)],
                fields={},
            )
        )
        truth.append(
            GroundTruth(
                id=f"{place:016x}",
                clean=f"answer {clean}",
                outcome=f"answer {outcome}",
                clean_ids=(1,),
                outcome_ids=(1,),
                margin=1.0,
            )
        )
    parts = rng.integers(0, 4, n_which)
    return Corpus(task=task, queries=queries, truth=truth, parts=parts)


def _tables(corpus: Corpus, rng: Rng) -> dict[str, list[ScoreTable]]:
    """Scored answers of every answerer; the best of several rules counts."""
    n, n_which, parts = len(corpus.truth), len(corpus.parts), corpus.parts
    coins, part_coins = rng.random(n) < 0.5, rng.random(n_which) < 0.5
    false = rng.random(n) < float(np.mean([one.changed for one in corpus.truth]))
    random_parts = rng.integers(0, 4, n_which)
    order = rng.permutation(n)
    perfect, opposite, unchanged, changed = _lines(corpus)
    none, first = np.full(n_which, -1), np.zeros(n_which, dtype=np.int64)
    prompt = corpus.task.render(_asked(corpus.task.name))
    copied = f"{prompt.instructions}\n{prompt.question}"
    echoes = [*copied.splitlines(), *prompt.openings, corpus.task.form, _last_words(copied)]
    lost = [one.changed and coin for one, coin in zip(corpus.truth, coins, strict=True)]
    added = [not one.changed and coin for one, coin in zip(corpus.truth, false, strict=True)]

    def said(replies: Sequence[str], chosen: npt.NDArray[np.int64] = none) -> ScoreTable:
        return _scored(corpus, replies, chosen)

    def chosen(coins: Sequence[bool], heads: Sequence[str], tails: Sequence[str]) -> list[str]:
        return [h if coin else t for coin, h, t in zip(coins, heads, tails, strict=True)]

    def contents(rule: Callable[[str], str]) -> list[str]:
        return [_line(corpus, one.changed, rule(one.outcome)) for one in corpus.truth]

    missing_parts = np.where(part_coins, parts, none)
    false_parts = np.where(part_coins, parts, random_parts)
    return {
        "perfect": [said(perfect, parts)],
        "missing": [said(chosen(lost, unchanged, perfect), missing_parts)],
        "false": [said(chosen(added, changed, perfect), false_parts)],
        "constant": [said(unchanged, first), said(changed, first)],
        "shuffled": [said([perfect[place] for place in order], rng.permutation(parts))],
        "copied": [said([copied] * n)],
        "echo": [said([line] * n) for line in echoes],
        "hedging": [said(chosen(coins.tolist(), unchanged, changed), random_parts)],
        "two answers": [
            *(
                said([by.join(pair) for pair in zip(perfect, opposite, strict=True)])
                for by in JOINED
            ),
            *(said(contents(rule)) for rule in TWO_CONTENTS),
        ],
        "look-alike": [said(contents(rule)) for rule in LOOK_ALIKES],
    }


def _lines(corpus: Corpus) -> list[list[str]]:
    """What is right of each query, with the opposite verdict, and what one verdict would say."""
    answers = (
        lambda one: (one.changed, one.outcome),
        lambda one: (not one.changed, one.outcome),
        lambda one: (False, one.clean),
        lambda _: (True, corpus.commonest),
    )
    return [[_line(corpus, *answer(one)) for one in corpus.truth] for answer in answers]


def _last_words(question: str) -> str:
    """What a question would be read as that is taken for an answer."""
    return f"changed: {question.split()[-1]}"


def _asked(name: str) -> Query:
    return Query(id="0" * 16, group="0" * 16, kind="hint", fields=_FIELDS[name])


def _line(corpus: Corpus, changed: bool, content: str) -> str:
    return corpus.task.format_answer(Answer(changed=changed, content=content))


def _scored(corpus: Corpus, replies: Sequence[str], parts: npt.NDArray[np.int64]) -> ScoreTable:
    """Parse and score replies; parts are taken as read, -1 for no answer."""
    found = []
    for query, truth, raw in zip(corpus.queries, corpus.truth, replies, strict=True):
        answer = corpus.task.parse(raw)
        known = answer if isinstance(answer, Answer) else None
        found.append(Scored(query=query, raw=raw, answer=known, truth=truth))
    table, n = score_table(found), len(parts)
    right = parts == corpus.parts
    return ScoreTable(
        exact=np.append(table.exact, right),
        content=np.append(table.content, right),
        true_changed=np.append(table.true_changed, np.ones(n, dtype=np.bool_)),
        pred_changed=np.append(table.pred_changed, np.full(n, NO_VERDICT, dtype=np.int8)),
        kind=np.append(table.kind, np.full(n, WHICH)),
        group=np.append(table.group, table.n_groups + np.arange(n)),
    )
