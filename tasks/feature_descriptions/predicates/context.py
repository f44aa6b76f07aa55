"""Computes places on units: where a unit stands in its sentence, line, bracket or passage.

Only what the window shows counts. In particular:

- A sentence ends at `.`, `!`, `?`, `...` (or a run of one) and at a line break; not at a full stop
  after a single capital letter or an abbreviation, nor where the next word or number on the line
  begins with a small letter. The window's first word starts no sentence, for what precedes is
  unknown. A word here is a word or number.
- Inside a bracket or quotation: after an opening mark in the window, up to before its closing one
  (or the window's end); both marks stay outside. A straight quote opens and closes by turns. A line
  break closes everything.
- A line is a heading or list item if it begins so after a line break, or at the window's start.
- The passage so far is the window up to and including the unit. A genre or language holds if at
  least a number of units so far and a share of them count for it (`NEEDED`). The past and the
  present tense need two verbs each, and more than the other has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .names import wordings
from .words import Ints, Units, normal

NEEDED = {
    "genre:code": (4, 0.2),
    "genre:names": (4, 0.3),
    "genre:first-person": (2, 0.08),
    "genre:second-person": (2, 0.08),
}
"""Units so far that a genre or language needs, and their share; 3 and 0.2 for all others."""

_LANGUAGES = {
    "french": "le la les des du un une et est dans pour que qui sur avec au aux"
    " ce cette il elle ne pas",
    "spanish": "el la los las de del un una y es en por que con para se su como al lo más pero",
    "german": "der die das den dem ein eine und ist nicht mit von zu auf für im auch sich es wie",
    "italian": "il lo la gli le di del della un una e è che per con non si nel alla da sono",
    "latin": "et est non ad cum ut sed qui quae quod ex ab aut esse sunt enim atque nec",
}
_LANGUAGE_WORDS = {name: frozenset(text.split()) for name, text in _LANGUAGES.items()}
_GENRES = {
    "genre:code": {"mark-kind:code"},
    "genre:non-latin": {"script:non-latin"},
    "genre:numbers": {"kind:number"},
    "genre:names": {"case:any-capital"},
    "genre:first-person": {"list:first-person"},
    "genre:second-person": {"list:second-person"},
    "genre:past": {"list:past-auxiliary", "pos:past-verb"},
    "genre:present": {"list:present-auxiliary", "pos:s-verb"},
}
"""Properties by which a unit counts for a genre."""
_RIVALS = {"genre:past": "genre:present", "genre:present": "genre:past"}
_BRACKETS = {"(": "parentheses", "[": "square-brackets", "{": "braces"}
_NAMELIKE = frozenset({"pos:proper-noun", "pos:noun", "pos:adjective"})
_CLOSERS = {")": "parentheses", "]": "square-brackets", "}": "braces"}


Found = list[set[str]]  # names that hold, by unit of one window


@dataclass(frozen=True, slots=True, kw_only=True)
class _Type:
    """What the scan needs to know about a distinct unit."""

    kind: str
    text: str
    word: bool  # whether it is a word or number
    small: bool  # whether it begins with a small letter
    content: bool  # whether it is a content word
    name: bool  # whether it has a capital and is a noun, adjective or unknown word
    abbreviation: bool  # whether a full stop after it ends no sentence
    genres: tuple[str, ...]  # genres and languages that it counts for


def _type(kind: str, text: str, names: Set[str]) -> _Type:
    genres = [genre for genre, signs in _GENRES.items() if names & signs]
    word = normal(text)
    genres += [f"language:{name}" for name, words in _LANGUAGE_WORDS.items() if word in words]
    return _Type(
        kind=kind,
        text=text,
        word=kind in ("word", "number"),
        small=kind == "word" and text[0].islower(),
        content=kind == "word" and "pos:function-word" not in names,
        name=kind == "word" and text[0].isupper() and bool(names & _NAMELIKE),
        abbreviation="list:abbreviation" in names or (len(text) == 1 and text.isupper()),
        genres=tuple(genres),
    )


def _ends(units: Sequence[_Type]) -> list[bool]:
    ends = []
    for n, unit in enumerate(units):
        stop = unit.kind == "mark" and unit.text[0] in ".!?\u2026"
        if stop and unit.text == "." and n and units[n - 1].abbreviation:
            stop = False
        following = next((o for o in units[n + 1 :] if o.word or o.kind == "newline"), None)
        if stop and following is not None and following.small:
            stop = False
        ends.append(stop or unit.kind == "newline")
    return ends


def _sentences(units: Sequence[_Type], found: Found) -> list[int]:
    """Adds what depends on sentences, as the scans below do; returns each unit's sentence."""
    sentence, place, commas = 0, -1, 0
    numbers = []
    for n, (unit, end) in enumerate(zip(units, _ends(units), strict=True)):
        numbers.append(sentence)
        found[n].add("place:later-sentence" if sentence else "place:first-sentence")
        if unit.word:
            place += place >= 0
            if 1 <= place <= 3:
                found[n].add(f"place:sentence-{('start', 'second', 'third')[place - 1]}")
                found[n].add("place:sentence-first-three")
        if place >= 13:
            found[n].add("place:sentence-late")
        if commas > 1:
            found[n].add("place:after-two-commas")
        commas += unit.text == ","
        if end:
            if unit.kind == "mark":
                found[n].add("place:sentence-end")
            sentence, place, commas = sentence + 1, 0, 0
    return numbers


def _enclosed(units: Sequence[_Type], found: Found) -> None:
    depth = dict.fromkeys(_BRACKETS.values(), 0)
    quoted = tag = False
    for n, unit in enumerate(units):
        if unit.kind == "newline":
            depth = dict.fromkeys(depth, 0)
            quoted = tag = False
            continue
        first = unit.text[0] if unit.kind == "mark" else ""
        if first in _CLOSERS:
            depth[_CLOSERS[first]] = max(0, depth[_CLOSERS[first]] - len(unit.text))
        was_quoted = quoted
        if first and first in '"\u201c\u201d':
            quoted = first == "\u201c" or (first == '"' and not quoted and len(unit.text) == 1)
        tag = tag and first != ">"
        held = [f"inside:{name}" for name, level in depth.items() if level]
        found[n].update(held, ["inside:brackets"] * bool(held))
        if quoted and was_quoted:
            found[n].add("inside:quotation")
        if tag:
            found[n].add("inside:tag")
        following = units[n + 1] if n + 1 < len(units) else None
        if unit.text == "<" and following and (following.kind == "word" or following.text == "/"):
            tag = True
        if first in _BRACKETS:
            depth[_BRACKETS[first]] += len(unit.text)


def _lines(units: Sequence[_Type], found: Found) -> None:
    below, start, kind = False, True, ""
    for n, unit in enumerate(units):
        if unit.kind == "newline":
            below, start, kind = True, True, ""
            continue
        following = units[n + 1] if n + 1 < len(units) else None
        if start:
            if below:
                found[n].add("place:line-start")
            if unit.text[0] == "#":
                kind = "line:heading"
            elif unit.text in ("-", "*", "\u2022") or (
                unit.kind == "number" and following is not None and following.text in (".", ")")
            ):
                kind = "line:list-item"
            start = False
        if below:
            found[n].add("place:after-line-break")
        if kind:
            found[n].add(kind)


def _repeats(units: Sequence[_Type], found: Found) -> None:
    seen: set[str] = set()
    pairs: set[tuple[str, str]] = set()
    before, repeated = "", False
    for n, unit in enumerate(units):
        word = normal(unit.text)
        if repeated:
            found[n].add("repeat:after-repeated")
        repeated = unit.content and word in seen
        if unit.kind == "word":
            if word in seen:
                found[n].add("repeat:word")
                found[n].update(["repeat:name"] * unit.name)
            if unit.content:
                found[n].add("repeat:content-word" if repeated else "repeat:first")
            seen.add(word)
        if (before, word) in pairs:
            found[n].add("repeat:pair")
        if before:
            pairs.add((before, word))
        before = word


def _names(units: Sequence[_Type], found: Found) -> None:
    for n, (before, unit) in enumerate(pairwise(units), 1):
        if before.name and unit.name:
            found[n].add("name:later")


def _passage(units: Sequence[_Type], found: Found) -> None:
    counts: Counter[str] = Counter()
    for n, unit in enumerate(units):
        counts.update(unit.genres)
        for name, count in counts.items():
            needed, share = NEEDED.get(name, (3, 0.2))
            if name in _RIVALS:
                holds = count >= 2 and count > counts[_RIVALS[name]]
            else:
                holds = count >= needed and count >= share * (n + 1)
            if holds:
                found[n].add(name)


def unit_places(units: Units, names: Sequence[Set[str]]) -> tuple[Mapping[str, Ints], Ints]:
    """Units for which every place on units holds, ascending; and a number of every unit's sentence.

    `names` are the properties of every distinct unit. Sentences, (n_units,), are equal for the
    units of one sentence of one window.
    """
    types = [_type(*each, names[n]) for n, each in enumerate(units.types)]
    bounds = np.searchsorted(units.window_of, np.arange(units.n_windows + 1))
    held: dict[str, list[int]] = {name: [] for name in wordings("unit")}
    sentences: list[int] = []
    for window in range(units.n_windows):
        start, end = int(bounds[window]), int(bounds[window + 1])
        row = [types[n] for n in units.type_of[start:end].tolist()]
        found: Found = [set() for _ in row]
        # far more than a window can hold
        sentences += [window * 4096 + number for number in _sentences(row, found)]
        for scan in (_enclosed, _lines, _repeats, _names, _passage):
            scan(row, found)
        for n, each in enumerate(found):
            for name in each:
                held[name].append(start + n)
    return {n: np.array(h, dtype=np.int64) for n, h in held.items()}, np.array(sentences, np.int64)
