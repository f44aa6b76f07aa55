"""What is true of a unit by its text alone: the names of all predicates that hold for it.

This is the one definition of the truth of word-level predicates; names carry all parameters. A word
is compared in lower case except where casing is what is asked.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from .lexicon import Analysis, Lexicon, analyse
from .names import mark_name
from .words import normal

AFFIX_LENGTHS = range(2, 6)  # letters of a prefix or suffix
STEM = 3  # letters that a word must have beyond its prefix, or beyond its suffix

_MARK_KINDS = {
    "sentence-end": ".!?\u2026",
    "pause": ",;:",
    "opening-bracket": "([{",
    "closing-bracket": ")]}",
    "bracket": "()[]{}",
    "angle": "<>",
    "quote": "'\"`\u2018\u2019\u201c\u201d",
    "double-quotes": '"\u201c\u201d',
    "dash": "-\u2013\u2014",
    "long-dash": "\u2013\u2014",
    "currency": "$\u00a3\u20ac\u00a5",
    "math": "+=<>\u00d7\u00f7\u00b1^\u2212\u2264\u2265",
    "code": "{}[]<>=_;/\\|#*&@$^~`",
}
"""First characters of kinds of marks."""

_SCRIPTS = {
    "accented": "LATIN",
    "greek": "GREEK",
    "cyrillic": "CYRILLIC",
    "hebrew": "HEBREW",
    "arabic": "ARABIC",
    "devanagari": "DEVANAGARI",
    "thai": "THAI",
    "han": "CJK",
    "kana": "HIRAGANA KATAKANA",
    "hangul": "HANGUL",
}
"""First words of Unicode names of the letters of scripts."""


def _casing(text: str) -> Iterator[str]:
    """`case:`; all-caps needs two letters."""
    if text.lower() == text.upper():
        return
    if text.islower():
        yield "case:lower"
        return
    yield "case:any-capital"
    if len(text) == 1:
        yield "case:single-capital"
    elif text.isupper():
        yield "case:all-caps"
    elif text[0].isupper() and text[1:].islower():
        yield "case:capitalised"
    else:
        yield "case:mixed"


def _spelling(word: str) -> Iterator[str]:
    """`prefix:` and `suffix:` of 2 to 5 letters."""
    if word.isascii() and word.isalpha():
        for n in AFFIX_LENGTHS:
            if len(word) >= n + STEM:
                yield f"prefix:{word[:n]}"
                yield f"suffix:{word[-n:]}"


def _script(text: str) -> Iterator[str]:
    """`script:` by the Unicode names of the letters that are not ASCII."""
    if text.isascii():
        return
    names = {unicodedata.name(c, "").split(" ")[0] for c in text if not c.isascii()}
    found = [name for name, entry in _SCRIPTS.items() if names & set(entry.split())]
    yield from (f"script:{name}" for name in found)
    if any(name != "accented" for name in found):
        yield "script:non-latin"


def _parts_of_speech(text: str, analysis: Analysis, lexicon: Lexicon) -> Iterator[str]:
    """`pos:` of a word by its dominant part of speech in the lexicon.

    A proper noun has a capital, and is unknown, or known with a capital, or in a list of names.
    """
    if normal(text) in lexicon.closed:
        yield "pos:function-word"
        return
    dominant = analysis.dominant
    listed = any(lexicon.lists[name].capital for name in lexicon.lists_of.get(normal(text), ()))
    proper = text[0].isupper() and (dominant is None or analysis.key == text or listed)
    if proper:
        yield "pos:proper-noun"
    if dominant is None:
        yield "pos:unknown"
        return
    yield "pos:content-word"
    yield {"n": "pos:noun", "v": "pos:verb", "a": "pos:adjective", "r": "pos:adverb"}[dominant]
    form = analysis.forms[dominant]
    if dominant == "n" and not proper:
        yield "pos:plural-noun" if form == "s" else "pos:singular-noun"
    if dominant == "v":
        yield f"pos:{form}-verb"
    if dominant == "a" and form in ("er", "est"):
        yield "pos:comparative" if form == "er" else "pos:superlative"
    if analysis.can_be("n") and analysis.can_be("v"):
        yield "pos:noun-or-verb"


def _meanings(word: str, analysis: Analysis, lexicon: Lexicon) -> Iterator[str]:
    """`lemma:`, `noun-file:` and `verb-file:` of WordNet, and `about:`, the lists of empath.

    A word is in a class of nouns (verbs) if it can be a noun (verb) and its base form is in it. A
    list of empath holds the word or one of its base forms.
    """
    lemmas = {part: base for part, base in analysis.lemmas.items() if analysis.can_be(part)}
    bases = set(lemmas.values())
    yield from (f"lemma:{base.lower()}" for base in bases)
    classes = {"n": "noun-file", "v": "verb-file"}
    held = [(classes[part], base) for part, base in lemmas.items() if part in classes]
    if word not in lexicon.closed:
        held += [("about", base) for base in {word, *bases}]
    for family, base in held:
        yield from (f"{family}:{name}" for name in lexicon.members[family].get(base, ()))


def _word(text: str, lexicon: Lexicon) -> Iterator[str]:
    word = normal(text)
    yield f"word:{word}"
    yield from _casing(text)
    yield from _spelling(word)
    yield from _script(text)
    for name in lexicon.lists_of.get(word, ()):
        if not (lexicon.lists[name].capital and text == word):
            yield f"list:{name}"
    analysis = analyse(text.replace("\u2019", "'"), lexicon)
    yield from _parts_of_speech(text, analysis, lexicon)
    yield from _meanings(word, analysis, lexicon)


def _number(text: str) -> Iterator[str]:
    """`numeral:` the number itself, `number:` its kinds."""
    yield f"numeral:{text.lower()}"
    if text[-1].isalpha():
        yield "number:ordinal"
        return
    if text.isdigit():
        yield f"number:{len(text)}-digit" if len(text) < 5 else "number:5-or-more-digits"
        yield "number:even" if int(text[-1]) % 2 == 0 else "number:odd"
        if len(text) > 1 and text[-1] == "0":
            yield "number:round"
        if len(text) == 4 and 1000 <= int(text) < 2100:
            yield "number:year"
            yield f"number:year-{text[:2]}xx"
            yield f"number:year-{text[:3]}x"
        if len(text) <= 2 and 1 <= int(text) <= 31:
            yield "number:day-of-month"
        if len(text) > 1 and text[0] == "0":
            yield "number:leading-zero"
    else:
        parts = text.split(",")
        grouped = len(parts) > 1 and all(len(part.split(".")[0]) == 3 for part in parts[1:])
        yield "number:grouped" if grouped else "number:with-points"
        if text.count(".") == 1 and "," not in text:
            yield "number:decimal"


def _mark(text: str) -> Iterator[str]:
    """`mark:` the mark itself, `mark-kind:` its kinds by its first character."""
    yield f"mark:{mark_name(text)}"
    for name, entry in _MARK_KINDS.items():
        if text[0] in entry:
            yield f"mark-kind:{name}"
    if len(text) > 1:
        yield "mark-kind:run"
    if not text.isascii():
        category = unicodedata.category(text[0])
        if category == "So":
            yield "mark-kind:pictogram"
        elif category.startswith(("L", "M", "N")):
            yield "mark-kind:rare-letter"


def properties(kind: str, text: str, lexicon: Lexicon) -> Iterator[str]:
    """Names of the predicates that hold for a unit by its kind and text; a name may come twice."""
    yield f"kind:{kind}"
    if kind == "word":
        yield from _word(text, lexicon)
    elif kind == "number":
        yield from _number(text)
    elif kind == "clitic":
        yield f"clitic:{normal(text)[1:]}"
    elif kind == "mark":
        yield from _mark(text)
    elif kind == "newline":
        yield "break:line" if len(text) == 1 else "break:paragraph"
