"""What a word form can be: base forms and parts of speech, from the lexicon and regular endings.

Every analysis has a weight: tags of the base form in WordNet's concordances plus one half, times
what share of a base form's uses the ending has, roughly. The dominant part of speech is the one of
the largest summed weight; a part counts as possible from a quarter of the total.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from .lexicon import Lexicon

_ENDINGS = {
    "n": (
        ("s", ""),
        ("ses", "s"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    "v": (
        ("s", ""),
        ("ies", "y"),
        ("es", "e"),
        ("es", ""),
        ("ed", "e"),
        ("ed", ""),
        ("ing", "e"),
        ("ing", ""),
    ),
    "a": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
}
"""Regular endings and what they replace. Source: morphy(7WN) of WordNet 3.0."""

_WEIGHTS = {"base": 1.0, "s": 0.25, "ing": 0.15, "past": 0.3, "er": 0.1, "est": 0.1}
"""Rough share of a base form's uses that an inflected form has; not fitted to anything."""

POSSIBLE = 0.25
"""Share of the weight from which a part of speech counts as possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What a word form can be."""

    key: str | None
    """Entry of the lexicon of the form itself, None if there is none."""
    parts: dict[str, float]
    """Share of each part of speech (n, v, a, r), empty if unknown or a closed-class word."""
    lemmas: dict[str, str]
    """Base form by part of speech, of the heaviest analysis."""
    forms: dict[str, str]
    """How that base form is inflected, by part of speech: base, s, ing, past, er, est."""

    @property
    def dominant(self) -> str | None:
        """Part of speech of the largest share, None if unknown."""
        return max(self.parts, key=lambda part: self.parts[part]) if self.parts else None

    def can_be(self, part: str) -> bool:
        """Whether the word is a given part of speech often enough."""
        return self.parts.get(part, 0.0) >= POSSIBLE


def key_of(text: str, lexicon: Lexicon) -> str | None:
    """Entry of a word form: as it is written, else in lower case, else with a capital only."""
    spellings = [text, text.lower()]
    if text.isupper() and len(text) > 1:
        spellings.append(text.capitalize())
    return next((spelling for spelling in spellings if spelling in lexicon.counts), None)


def _form(part: str, ending: str) -> str:
    """Name of the inflection that an irregular form or an ending is."""
    if part == "n":
        return "s"
    if part == "v":
        named = {"ing": "ing", "s": "s"}
        return next((form for tail, form in named.items() if ending.endswith(tail)), "past")
    return "est" if ending.endswith("st") else "er"


def _bases(form: str, lexicon: Lexicon) -> list[tuple[str, str, str]]:
    """(part of speech, base form, inflection) of an inflected form in lower case."""
    found = []
    for part, irregular in lexicon.exceptions.items():
        if form in irregular:
            found.append((part, irregular[form], _form(part, form)))
    for part, endings in _ENDINGS.items():
        for ending, replaced in endings:
            base = form[: -len(ending)] + replaced
            if form.endswith(ending) and len(base) > 2 and not form.endswith("ss"):
                found.append((part, base, _form(part, ending)))
    return [each for each in found if each[0] in lexicon.counts.get(each[1], {})]


def analyse(text: str, lexicon: Lexicon) -> Analysis:
    """What a word form can be; closed-class words are nothing here."""
    lower = text.lower()
    if lower in lexicon.closed:
        return Analysis(key=None, parts={}, lemmas={}, forms={})
    key = key_of(text, lexicon)
    found = [(part, key, "base") for part in lexicon.counts.get(key, {})] if key else []
    if key is None or key == lower:
        found += _bases(lower, lexicon)
    weights: dict[str, float] = defaultdict(float)
    best: dict[str, tuple[float, str, str]] = {}
    for part, base, form in found:
        weight = _WEIGHTS[form] * (lexicon.counts[base][part] + 0.5)
        weights[part] += weight
        best[part] = max(best.get(part, (0.0, "", "")), (weight, form, base))
    total = sum(weights.values())
    return Analysis(
        key=key,
        parts={part: weight / total for part, weight in weights.items()},
        lemmas={part: base for part, (_, _, base) in best.items()},
        forms={part: form for part, (_, form, _) in best.items()},
    )
