"""The one answer grammar of the causal tasks: what counts as a verdict and its content.

Owns `parse_answer` and its inverse `format_answer`. Reads text only; whether an answer is right is
scored elsewhere.

A completion is read on its first non-empty line, which must be one of

    unchanged: X                                         the output is X and stays X
    changed: Y                                           the output becomes Y
    ... output would remain unchanged from <<<X>>>.      the two sentences of arXiv:2511.08579
    ... output would change to <<<Y>>>.

Letter case, Markdown emphasis, surrounding quotes, an `Answer:` in front and one full stop at the
end do not matter. A line with two verdicts, a negated verdict or no content has no answer.
"""

from __future__ import annotations

import re

from introspect_bench.benchmark.records import Answer

OPENINGS = ("unchanged:", "changed:")
"""How the short form of an answer begins."""

MAX_LINE = 1000
"""Longest line that is read, in characters; a longer one has no answer."""

_VERDICT = re.compile(r"(?<![^\W_])(?:un)?changed[*_`]*\s*:", re.IGNORECASE)
_SHORT = re.compile(r"[*_`]*(?P<un>un)?changed[*_`]*\s*:[*_`]*(?P<content>.*)", re.IGNORECASE)
_SENTENCE = re.compile(
    r"(?P<lead>[^<>:]*)\boutput would "
    r"(?:(?P<un>remain unchanged from)|change to)\s*<<<(?P<content>[^<>]*)>>>",
    re.IGNORECASE,
)
_SENTENCE_VERDICT = re.compile(r"\b(?:remain unchanged from|change to)\s*<<<", re.IGNORECASE)
_VERDICT_WORD = re.compile(
    r"(?<![^\W_])(?P<a>(?:un)?changed)(?=[*_`.]*\s*(?::|$))"
    r"|\b(?P<b>remain unchanged(?= from\s*<<<)|change(?= to\s*<<<))",
    re.IGNORECASE | re.MULTILINE,
)
_NEGATION = re.compile(
    r"\b(?:not|never|no|neither|nor|hardly|cannot)\b|n['\u2019]t\b", re.IGNORECASE
)
_ANSWER = re.compile(r"[*_`]*answer[*_`]*\s*:[*_`]*\s*", re.IGNORECASE)
_EMPHASIS = re.compile(r"(?P<mark>\*{1,3}|_{1,3}|`{1,3})(?P<inside>.+)(?P=mark)")
_QUOTED = re.compile(r"\"(?P<a>.+)\"|'(?P<b>.+)'|\u201c(?P<c>.+)\u201d|\u2018(?P<d>.+)\u2019")


def _unwrap(text: str) -> str:
    """Remove one pair of emphasis marks, then one pair of quotes, around the whole text."""
    text = text.strip()
    if found := _EMPHASIS.fullmatch(text):
        text = found["inside"].strip()
    if found := _QUOTED.fullmatch(text):
        text = next(part for part in found.groups() if part is not None).strip()
    return text


def _content(text: str) -> str:
    return _unwrap(text.strip().removesuffix("."))


def parse_answer(raw: str) -> Answer | None:
    """Answer in a completion, or None if it has none; see the grammar above.

    The sentence forms are those of `CausalExactMatchEvaluator.evaluate_item` in the paper's public
    code (commit f702be5), except that a negation or a second verdict makes the line unreadable
    here.
    """
    line = next((line for line in raw.splitlines() if line.strip()), "").strip()
    if len(line) > MAX_LINE:
        return None
    if len(_VERDICT.findall(line)) + len(_SENTENCE_VERDICT.findall(line)) != 1:
        return None
    line = _unwrap(line)
    line = _unwrap(_ANSWER.sub("", line, count=1) if _ANSWER.match(line) else line)
    if short := _SHORT.fullmatch(line):
        content = _content(short["content"])
    elif short := _SENTENCE.fullmatch(line.removesuffix(".")):
        if _NEGATION.search(short["lead"]):
            return None
        content = _unwrap(_ANSWER.sub("", short["content"].strip(), count=1))
    else:
        return None
    if not any(character.isalnum() for character in content):
        return None
    return Answer(changed=short["un"] is None, content=content)


def verdict_end(raw: str) -> int | None:
    """Characters of a completion up to the end of the word that is its verdict, or None.

    For completions that `parse_answer` reads: they have one verdict.
    """
    found = _VERDICT_WORD.search(raw)
    return None if found is None else found.end("a" if found["a"] else "b")


def format_replayed(answer: Answer) -> str:
    """The line with which a perfect explainer goes on from the text itself: output, then verdict.

    `parse_answer` reads it back. The output is said before it is judged; where it holds a negation,
    which may not stand there, the answer stands alone.
    """
    verdict = "change to" if answer.changed else "remain unchanged from"
    line = f"{answer.content}, so the output would {verdict} <<<{answer.content}>>>"
    return line if parse_answer(line) == answer else format_answer(answer)


def format_answer(answer: Answer) -> str:
    """The line a perfect explainer writes; `parse_answer` reads it back.

    Content that looks wrapped or ends in a full stop is put in quotes, so that reading removes only
    those.
    """
    verdict = "changed" if answer.changed else "unchanged"
    plain = f"{verdict}: {answer.content}"
    return plain if parse_answer(plain) == answer else f'{verdict}: "{answer.content}"'
