"""Takes a description apart into a thing and its contexts, by a small grammar of English phrases.

Connectives ("right after", "in a sentence that has already had", ...) and what is dropped around
them stand here. What the phrases between them mean is `exact.py`'s concern. Pure text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

RELATIONS: tuple[tuple[str, str], ...] = (
    ("second-previous", r"(?:comes? )?(?:two|2) (?:words?|places|tokens|positions) after"),
    ("lately", r"(?:comes? )?(?:shortly|soon|a few (?:words|tokens)) after"),
    ("lately", r"(?:comes? )?(?:at most|up to|within) three (?:words|tokens) (?:after|of)"),
    ("sentence", r"in (?:a|the|any) sentence (?:that|which) (?:has|have) (?:already )?had"),
    ("sentence", r"in (?:a|the|any) sentence (?:containing|with|that contains|after)"),
    ("sentence", r"(?:comes? )?later in (?:the same|a|the) sentence (?:than|after)"),
    ("earlier", r"in (?:a|the|any) (?:passage|text) (?:that|which) (?:has|have) (?:already )?had"),
    ("earlier", r"(?:comes? )?(?:later|somewhere later) in the (?:passage|text) than"),
    ("earlier", r"in (?:a|the) (?:passage|text) (?:that|which) (?:has already )?mentions?(?:ed)?"),
    ("topic", r"in (?:a )?(?:text|passages?|texts|paragraphs?|contexts?) (?:about|on|concerning)"),
    ("topic", r"(?:stands? )?where the topic is"),
    ("topic", r"when (?:the text|the passage|it) is about"),
    (
        "previous",
        r"(?:comes? |stands? |that is |which is )?(?:right|immediately|directly|just) after",
    ),
    ("previous", r"(?:right|immediately|directly|just) behind"),
    ("previous", r"(?:immediately |directly )?(?:preceded by|following|follows)"),
    ("previous", r"after"),
)
"""Slot of a relation, and how it can be said before the thing that it is a relation to."""
WITH: tuple[tuple[str, str], ...] = (
    ("previous", r"(?:just|right|immediately|directly) (?:before|in front of) it"),
    ("second-previous", r"(?:two|2) (?:words|tokens|places) before it"),
    ("lately", r"among the three (?:words|tokens) before it"),
    ("lately", r"(?:shortly|a few words) before it"),
    ("sentence", r"earlier in (?:the same|the|its) sentence"),
    ("earlier", r"(?:somewhere )?earlier in the (?:passage|text)"),
)
"""The same after the thing: "with X just before it"."""
_OPENING = re.compile(
    r"^(?:(?:this|the) (?:feature|neuron|latent|direction) |it )?"
    r"(?:(?:activates|fires|responds|is active|activating|active|triggers?) ?"
    r"(?:mostly |mainly |strongly )?(?:on|at|to|for|in|when)? )?"
    r"(?:the occurrences? of |tokens? for )?",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r",? ?(?:but (?:not|only not|never)(?: where it is| when it is)?|except(?: for)?(?: when)?|"
    r"unless(?: it is)?|other than|that is not|which is not|not)\b ?",
    re.IGNORECASE,
)
_EDGE = re.compile(
    r"^(?:[\s,;.]|and\b|or\b|but\b|that\b|which\b|when\b|if\b|it\b|is\b|stands\b|comes\b|also\b)+|"
    r"(?:[\s,;.]|\band|\bthat|\bwhich|\bwhen|\bif|\bit|\bis|\bstands|\bcomes|\bwith)+$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One context of a description."""

    slot: str | None  # relation that it states; None for a place, such as "inside a quotation"
    phrase: str  # what stands there, or the place


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDescription:
    """A description taken apart."""

    thing: str  # what the token is; may be empty
    contexts: tuple[Context, ...]  # its contexts in the order of the text
    denied: bool  # whether the contexts (or the thing, if there are none) must not hold


def read(description: str, places: Sequence[str]) -> ParsedDescription:
    """Take a description apart; `places` are phrases, lower case, that are contexts alone."""
    text = " ".join(description.split()).strip(" .")
    text = text[_OPENING.match(text).end() :]  # type: ignore[union-attr]
    denial = _DENIAL.search(text)
    if denial and text[: denial.start()].strip(" ,").lower() not in _EVERYTHING:
        thing, contexts = _split(text[: denial.start()], places)
        _, denied = _split(" " + text[denial.end() :], places)
        if not contexts and denied:
            return ParsedDescription(thing=thing, contexts=denied, denied=True)
    elif denial:
        thing, contexts = _split(text[denial.end() :], places)
        return ParsedDescription(thing=thing, contexts=contexts, denied=True)
    thing, contexts = _split(text, places)
    return ParsedDescription(thing=thing, contexts=contexts, denied=False)


_EVERYTHING = frozenset(
    ("anything", "everything", "all", "all tokens", "any token", "all words", "every token")
)


def grammar() -> list[object]:
    """Return all patterns of the grammar, as what its readings depend on."""
    edges = [one.pattern for one in (_OPENING, _DENIAL, _EDGE)]
    return [list(map(list, RELATIONS)), list(map(list, WITH)), edges, sorted(_EVERYTHING)]


def _split(text: str, places: Sequence[str]) -> tuple[str, tuple[Context, ...]]:
    found: list[tuple[int, int, str | None, str]] = []  # start, end, slot, phrase if known
    rest = text
    for phrase in sorted(places, key=len, reverse=True):
        place = rest.lower().find(phrase)
        if place >= 0 and _bounded(rest, place, place + len(phrase)):
            found.append((place, place + len(phrase), None, phrase))
            rest = rest[:place] + "\0" * len(phrase) + rest[place + len(phrase) :]
    for slot, pattern in WITH:
        for match in re.finditer(rf"\b(?:with|and) ([^\0]+?) {pattern}", rest, re.IGNORECASE):
            start, inner = match.start(), match[1]
            before, with_, last = inner.rpartition(" with ")
            if with_:
                start, inner = match.start(1) + len(before) + 1, last
            found.append((start, match.end(), slot, inner))
            rest = rest[:start] + "\0" * (match.end() - start) + rest[match.end() :]
    starts: list[tuple[int, int, str]] = []
    for slot, pattern in RELATIONS:
        for match in re.finditer(rf"\b{pattern} ", rest, re.IGNORECASE):
            starts.append((match.start(), match.end(), slot))
            rest = rest[: match.start()] + "\0" * len(match[0]) + rest[match.end() :]
    edges = sorted([start for start, *_ in starts] + [start for start, *_ in found] + [len(text)])
    for start, end, slot in starts:
        until = next(edge for edge in edges if edge > start)
        found.append((start, until, slot, _EDGE.sub("", text[end:until])))
    found.sort()
    head = text[: edges[0]]
    contexts = tuple(Context(slot=slot, phrase=phrase) for _, _, slot, phrase in found if phrase)
    return _EDGE.sub("", head), contexts


def _bounded(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (before.isalnum() or after.isalnum())
