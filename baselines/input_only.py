"""What the text of a query gives away: majority answers by text features, with back-off.

Two forms. `input-only` sees what the members of a contrast group share, so its exact match is never
above the input-only ceiling. `rule-of-thumb` (input ablations only) also reads the removed part,
which is all a text-only question has. A *cell* is a set of training queries with equal values of
some features; a *chain* lists feature sets from fine to coarse. A query gets the commonest answer
of its finest cell that is large enough. Chain and least size are chosen on one fifth of the
training groups after learning from the rest; no other split is opened.

An answer is counted as it is and, where its content is the text a query states (the answer of the
demonstration, the end of the removed part), also as "what is stated", which carries over to texts
never seen in training.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..benchmark.records import Answer, Choice, Prompt, Query
from ..benchmark.suite.suite import Suite
from ..benchmark.task import Task
from .constant import Solved, solved_train

Features = Mapping[str, str]
"""Text features of a query; `stated` is the text it states."""

Chain = tuple[tuple[str, ...], ...]
"""Feature names, finest set first; the last set is empty: everything."""

STATED = "⟦stated⟧"
"""Stands for the text a query states."""

LEAST = (1, 2, 4, 8, 16)
"""Least sizes of a cell that are tried."""

HELD_OUT = 5
"""One group in this many is kept for choosing chain and least size."""

PATCHING, ABLATIONS = "activation-patching", "input-ablations"
"""Names of the tasks."""

CHAINS: Mapping[tuple[str, str], tuple[Chain, ...]] = {
    ("input-only", PATCHING): (
        (("kind", "layers"), ()),
        (("relation", "kind", "layers"), ("relation", "kind"), ("relation",), ()),
        (
            ("relation", "kind", "layers", "stated"),
            ("relation", "kind", "layers"),
            ("relation", "kind"),
            ("relation",),
            (),
        ),
        (("relation", "stated", "kind"), ("relation", "stated"), ("relation", "kind"), ()),
    ),
    ("input-only", ABLATIONS): (
        (("kind", "style"), ("kind",), ()),
        (("kind", "relation", "style"), ("kind", "style"), ("kind",), ()),
    ),
    ("rule-of-thumb", ABLATIONS): (
        (("kind", "letter"), ("kind",), ()),
        (("kind", "style", "letter"), ("kind", "letter"), ("kind",), ()),
        (("kind", "relation", "style", "letter"), ("kind", "style", "letter"), ("kind",), ()),
        (("kind", "relation", "letter"), ("kind", "letter"), ("kind",), ()),
        (
            ("kind", "relation", "letter", "mention"),
            ("kind", "relation", "letter"),
            ("kind", "letter", "mention"),
            ("kind",),
            (),
        ),
        (
            ("kind", "relation", "letter", "mention", "stated"),
            ("kind", "relation", "letter", "mention"),
            ("kind", "relation"),
            ("kind",),
            (),
        ),
    ),
}
"""Chains that are tried, by baseline and task."""

_STYLE = re.compile(r"\n(\(A\)|A\)|A\.)")
_LETTER = re.compile(r"\b[A-D]\b")
_NAME = re.compile(r"\b[^\W\d_a-z]\w+")


def patching_features(query: Query) -> Features:
    """Features of a patching query; the demonstration states what stands before its full stop."""
    first, last = query.fields["layers"]
    return {
        "relation": query.fields["relation"],
        "kind": query.kind,
        "layers": f"{first}-{last}",
        "stated": _stated(query.fields["text"].rpartition(". ")[0]),
    }


def shared_features(query: Query) -> Features:
    """Features of an ablation query that its whole group shares: nothing of the removed part."""
    # only questions with options have a style; a sentence may begin with "A. J. Burnett"
    style = _STYLE.search(query.fields["text"]) if query.fields["chat"] else None
    return {
        "relation": query.fields["relation"],
        "kind": query.kind,
        "style": style.group(1) if style else "",
        "stated": "",
    }


def ablation_features(query: Query) -> Features:
    """Shared features, the hinted letter, and whose names the removed part repeats."""
    if "removed" not in query.fields:  # four parts, of which none is the one removed
        return {**shared_features(query), "letter": "", "mention": ""}
    text, removed = query.fields["text"], query.fields["removed"]
    start, end = query.fields["span"]
    names, rest = _NAME.findall(removed)[1:], f"{text[:start]} {text[end:]}"
    repeated = sum(name in rest for name in names)
    letter = _LETTER.search(removed)
    return {
        **shared_features(query),
        "letter": letter.group() if letter else "",
        "mention": "none" if not repeated else "some" if repeated < len(names) else "all",
        "stated": letter.group() if letter else _stated(removed),
    }


FEATURES: Mapping[tuple[str, str], Callable[[Query], Features]] = {
    ("input-only", PATCHING): patching_features,
    ("input-only", ABLATIONS): shared_features,
    ("rule-of-thumb", ABLATIONS): ablation_features,
}
"""Features by baseline and task."""


def _stated(sentence: str) -> str:
    """Last capitalised words of a sentence, or its last word."""
    words = sentence.strip().rstrip(".?!\"'").split()
    start = len(words)
    while start > 0 and words[start - 1][:1].isupper():
        start -= 1
    return " ".join(words[start:] or words[-1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOnly:
    """Majority answers by cell."""

    task: Task
    """Writes answers."""
    features: Callable[[Query], Features]
    """Reads the features of a query."""
    chain: Chain
    """Feature sets, finest first."""
    least: int
    """Smallest cell that is used, except the one of everything."""
    cells: Mapping[tuple[str, ...], tuple[int, Answer | Choice]]
    """Size and commonest answer of each cell; content may be `STATED`."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Give each query the answer of its cell."""
        return [self.task.format_answer(self.answer(prompt.query)) for prompt in prompts]

    def answer(self, query: Query) -> Answer | Choice:
        """Answer of the finest cell that is large enough."""
        features = self.features(query)
        for names in self.chain:
            size, answer = self.cells.get(_key(names, features), (0, None))
            if answer is not None and (size >= self.least or not names):
                if isinstance(answer, Answer) and answer.content == STATED:
                    return Answer(changed=answer.changed, content=features["stated"])
                return answer
        raise AssertionError("the last cell of a chain holds every training query")


def _key(names: tuple[str, ...], features: Features) -> tuple[str, ...]:
    return tuple(f"{name}={features[name]}" for name in names)


def fit(name: str, task: Task, solved: Sequence[Solved], chain: Chain, least: int) -> InputOnly:
    """Count answers in all cells of a chain."""
    counts: defaultdict[tuple[str, ...], Counter[Answer | Choice]] = defaultdict(Counter)
    sizes: Counter[tuple[str, ...]] = Counter()
    read = FEATURES[name, task.name]
    for one in solved:
        features = read(one.query)
        for key in (_key(names, features) for names in chain):
            sizes[key] += 1
            counts[key][one.answer] += 1
            if isinstance(one.answer, Answer) and one.answer.content == features["stated"]:
                counts[key][Answer(changed=one.answer.changed, content=STATED)] += 1
    cells = {key: (sizes[key], _commonest(seen)) for key, seen in counts.items()}
    return InputOnly(task=task, features=read, chain=chain, least=least, cells=cells)


def _commonest(seen: Counter[Answer | Choice]) -> Answer | Choice:
    """The commonest answer; among equally common ones what is stated, then by text."""

    def order(answer: Answer | Choice) -> tuple[int, bool, str]:
        content = answer.content if isinstance(answer, Answer) else answer.part
        return -seen[answer], content != STATED, content

    return min(seen, key=order)


def learn(name: str, task: Task, suite: Suite) -> tuple[InputOnly, dict[str, Any]]:
    """Choose chain and least cell size within the training split, then count all of it.

    Raises:
        UsageError: the training split is empty.
        IntegrityError: one of its files is corrupt.
    """
    solved = solved_train(suite)
    held = [one for one in solved if int(one.query.group, 16) % HELD_OUT == 0]
    rest = [one for one in solved if int(one.query.group, 16) % HELD_OUT != 0]
    if not held or not rest:
        held, rest = list(solved), list(solved)

    def score(choice: tuple[Chain, int]) -> int:
        model = fit(name, task, rest, *choice)
        return sum(model.answer(one.query) == one.answer for one in held)

    choices = [(chain, least) for chain in CHAINS[name, task.name] for least in LEAST]
    chain, least = max(choices, key=score)
    settings = {"features": [list(names) for names in chain], "least": least}
    return fit(name, task, solved, chain, least), settings
