"""What stands around an answer in a reply and is no part of it: thinking, code fences, list marks.

Every task's parser reads a reply through `clean_reply`, so that all of them forgive the same. Pure;
the time taken grows with the length of the reply and no faster.
"""

from __future__ import annotations

import re

THINK = "<think>"  # Begins a block of thinking; `</think>` ends it

_THINK = re.compile(re.escape(THINK), re.IGNORECASE)
_THOUGHT = re.compile("</think>", re.IGNORECASE)
_BLOCK = re.compile("[\\s\ufeff]*(?:<think>.*?</think>[\\s\ufeff]*)?", re.IGNORECASE | re.DOTALL)
_FENCE = re.compile(r"(?:`{3,}|~{3,})\s*[\w+.-]*")
_MARK = re.compile(r"[-*+\u2022]\s+|>\s*|#{1,6}\s+|\d{1,2}[.)]\s+")
_LABEL = re.compile(r"[*_`]*(?:final\s+)?answer[*_`]*\s*:[*_`]*\s*", re.IGNORECASE)
_LABEL_LINE = re.compile(r"[*_`]*(?:final\s+)?answer[*_`]*\s*:?[*_`]*", re.IGNORECASE)
_LATEX = re.compile(
    r"\$?\$?\s*\\(?:boxed|text|textbf|mathrm)\{(?P<inside>.+)\}\s*\$?\$?\.?", re.DOTALL
)


def clean_reply(raw: str) -> str | None:
    """Return a reply without what stands around its answer, or None if its thinking has no end.

    A leading byte order mark, one leading closed `<think>` block, the lines of a code fence, and
    the marks of lists, quotations and headings at the beginning of a line are dropped. A reply
    that holds another `</think>`, or begins another block, has no answer either.
    """
    text = without_thinking(raw)
    if text is None:
        return None
    lines = (drop_marks(line.strip()) for line in text.splitlines())
    return "\n".join(line for line in lines if not _FENCE.fullmatch(line)).strip()


def without_thinking(raw: str) -> str | None:
    """Return a reply behind its one leading block of thinking, or None if that is still open."""
    text = _drop(_BLOCK, raw)
    return None if _THINK.match(text) or _THOUGHT.search(text) else text


def drop_marks(line: str) -> str:
    """Return a line without the marks of lists, quotations and headings that it begins with."""
    place = 0
    while found := _MARK.match(line, place):
        place = found.end()
    return line[place:]


def drop_label(text: str) -> str:
    """Return a text without an `Answer:` or `Final answer:` in front."""
    return _drop(_LABEL, text)


def is_label(line: str) -> bool:
    """Whether a line says nothing but that the answer follows."""
    return _LABEL_LINE.fullmatch(line) is not None


def unbox(text: str) -> str:
    """Return what one LaTeX box around a whole text holds, or the text."""
    found = _LATEX.fullmatch(text)
    return found["inside"].strip() if found else text


def has_ended(text: str) -> bool:
    """Whether a reply that is still being written has ended a line that can be an answer."""
    said = without_thinking(text)
    if not said:
        return False
    *ended, _ = said.split("\n")
    return any(map(_can_answer, ended))


def until_ended(text: str) -> str:
    """Return a reply up to the line with which `has_ended` is true, where decoding stops.

    Decoding keeps its last token whole, so it may hold more white space there.
    """
    said = _drop(_BLOCK, text)
    place = len(text) - len(said)
    lines = [] if _THINK.match(said) else said.split("\n")[:-1]
    for line in lines:
        place += len(line) + 1
        if _THOUGHT.search(line):
            break
        if _can_answer(line):
            return text[:place]
    return text


def _can_answer(line: str) -> bool:
    line = drop_marks(line.strip())
    return bool(line) and not _FENCE.fullmatch(line) and not is_label(line)


def _drop(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text)
    return text[found.end() :] if found else text
