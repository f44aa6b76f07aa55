"""Rules that guess a content: the clean answer from the words, the changed one from both.

A rule gives ranked guesses for train (from other texts only) and for every other part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .columns import BoolArray, Columns, IntArray, Texts, texts
from .heads import TOP, ranked


def commonest(
    parts: Sequence[Columns],
    keys: Sequence[Texts],
    contents: Texts,
    used: BoolArray,
    fold: IntArray,
) -> list[Texts]:
    """Guess the commonest contents of train under the same key, then of all."""
    train = np.empty((len(parts[0]), TOP), dtype=object)
    for one in np.unique(fold):
        out = fold == one
        train[out] = _commonest(keys[0][~out & used], contents[~out & used], keys[0][out])
    return [
        train,
        *(_commonest(keys[0][used], contents[used], key) for key in keys[1:]),
    ]


def _commonest(names: Texts, contents: Texts, asked: Texts) -> Texts:
    overall = [name for name, _ in Counter(contents).most_common(TOP)]
    tables: dict[str, Counter[str]] = {}
    for name, content in zip(names, contents, strict=True):
        tables.setdefault(name, Counter())[content] += 1
    best = {k: [x for x, _ in table.most_common(TOP)] + overall for k, table in tables.items()}
    return ranked([best.get(name, overall) for name in asked])


def from_neighbours(index: IntArray, contents: Texts) -> Texts:
    """Guess the contents of neighbours, the nearest first; -1 is none."""
    return ranked([[contents[i] for i in row if i >= 0] for row in index])


def by_vote(index: IntArray, contents: Texts) -> Texts:
    """Guess the commonest contents among neighbours, the nearest of equals first."""
    return ranked(
        [
            [x for x, _ in Counter(contents[i] for i in row if i >= 0).most_common(TOP)]
            for row in index
        ]
    )


def copied(contents: Texts, views: Sequence[Texts]) -> list[Texts]:
    """Guess contents of train that stand in a text as whole words, the last one first."""
    known = sorted(set(contents))
    found = []
    for view in views:
        inside = {text: _inside(text, known) for text in set(view)}
        found.append(ranked([inside[text] for text in view]))
    return found


def _inside(text: str, known: Sequence[str]) -> list[str]:
    places = []
    for name in known:
        start = text.rfind(name)
        if start < 0:
            continue
        end = start + len(name)
        whole = not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())
        if whole:
            places.append((-end, -len(name), name))
    return [name for *_, name in sorted(places)]


def joined(*guessed: Texts) -> Texts:
    """Return the guesses of the first rule, then those of the next where there is room."""
    return ranked([[x for part in rows for x in part] for rows in zip(*guessed, strict=True)])


def shown(columns: Columns) -> Texts:
    """Return the shown text without the removable part."""
    return texts(
        [
            str(text).replace(str(fields.get("removed", "")), " ", 1)
            if fields.get("removed")
            else str(text)
            for text, fields in zip(columns.text, columns.fields, strict=True)
        ]
    )
