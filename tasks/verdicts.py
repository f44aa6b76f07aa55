"""The one answer grammar of the causal tasks: what counts as a verdict and its content.

Owns `parse_answer` and its inverse `format_answer`. Reads text only; whether an answer is right is
scored elsewhere.

A reply is read on its first line that is neither empty, nor a mark (`benchmark/runs/reply_text.py`
says what is dropped before), nor only `Answer:`. It must be one of

    unchanged: X                                         the output is X and stays X
    changed: Y                                           the output becomes Y
    unchanged                                            the verdict alone
    changed
    ... output would remain unchanged from <<<X>>>.      the two sentences of arXiv:2511.08579
    ... output would change to <<<Y>>>.

Letter case, Markdown emphasis, surrounding quotes, a LaTeX box, an `Answer:` or `Final answer:` in
front and one full stop at the end do not matter. A line with two verdicts, a negated verdict or
content without a letter or digit has no answer, and neither has a reply of which a later line holds
a verdict and does not say the same.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..benchmark.records import Answer, Choice
from ..benchmark.runs.reply_text import clean_reply, drop_label, is_label, unbox, without_thinking
from ..benchmark.scoring.correct import letter_form, normalise_content

OPENINGS = ("unchanged:", "changed:")  # how the short form of an answer begins

FORM = "one line, `unchanged: X` or `changed: Y`"  # what a reply has to look like, in words

MAX_LINE = 1000  # longest line that is read, in characters; a longer one has no answer

_VERDICT = re.compile(r"(?<![^\W_])(?:un)?changed[*_`]*\s*:", re.IGNORECASE)
_SHORT = re.compile(r"[*_`]*(?P<un>un)?changed[*_`]*\s*:[*_`]*(?P<content>.*)", re.IGNORECASE)
_BARE = re.compile(r"[*_`]*(?P<un>un)?changed[*_`]*\s*:?[*_`]*\.?", re.IGNORECASE)
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
_EMPHASIS = re.compile(r"(?P<mark>\*{1,3}|_{1,3}|`{1,3})(?P<inside>.+)(?P=mark)")
_QUOTED = re.compile(r"\"(?P<a>.+)\"|'(?P<b>.+)'|\u201c(?P<c>.+)\u201d|\u2018(?P<d>.+)\u2019")


def _unwrap(text: str) -> str:
    """Remove one box, then one pair of emphasis marks, then one of quotes, around the whole."""
    text = unbox(text.strip())
    if found := _EMPHASIS.fullmatch(text):
        text = found["inside"].strip()
    if found := _QUOTED.fullmatch(text):
        text = next(part for part in found.groups() if part is not None).strip()
    return text


def _bare(line: str) -> str:
    """Remove all that is around a verdict and its content."""
    while (shorter := _unwrap(drop_label(line))) != line:
        line = shorter
    return line


def _verdicts(line: str) -> int:
    return len(_VERDICT.findall(line)) + len(_SENTENCE_VERDICT.findall(line))


def _read(line: str) -> Answer | None:
    """Answer in a line, or None.

    The sentence forms are those of `CausalExactMatchEvaluator.evaluate_item` in the paper's public
    code (commit f702be5), except that a negation or a second verdict makes the line unreadable
    here.
    """
    if len(line) > MAX_LINE:
        return None
    verdicts = _verdicts(line)
    line = _bare(line)
    if found := _BARE.fullmatch(line):
        return Answer(changed=found["un"] is None, content="")
    if verdicts != 1:
        return None
    if found := _SHORT.fullmatch(line):
        content = _unwrap(found["content"].strip().removesuffix("."))
    elif found := _SENTENCE.fullmatch(line.removesuffix(".")):
        if _NEGATION.search(found["lead"]):
            return None
        content = _unwrap(drop_label(found["content"].strip()))
    else:
        return None
    if not any(character.isalnum() for character in content):
        return None
    return Answer(changed=found["un"] is None, content=content)


@lru_cache(maxsize=1 << 13)
def parse_answer(raw: str) -> Answer | None:
    """Answer in a reply, or None if it has none or two; see the grammar above."""
    text = clean_reply(raw)
    lines = [line for line in (text or "").splitlines() if line and not is_label(line)]
    answer = _read(lines[0]) if lines else None
    for line in lines[1:]:
        if answer is None:
            return None
        if not _verdicts(line) and not (len(line) <= MAX_LINE and _BARE.fullmatch(_bare(line))):
            continue
        other = _read(line)
        if other is None or not _agree(answer, other):
            return None
        answer = answer if answer.content else other
    return answer


def _agree(one: Answer, other: Answer) -> bool:
    """Whether two answers can be one, said twice."""
    if one.changed != other.changed or not one.content or not other.content:
        return one.changed == other.changed
    a, b = normalise_content(one.content), normalise_content(other.content)
    return a == b or letter_form(a) == b or a == letter_form(b)


def expressible(answer: Answer) -> bool:
    """Whether some reply says an answer with its content: not if it has no letter or digit."""
    return answer.content != "" and parse_answer(format_answer(answer)) == answer


def verdict_end(raw: str) -> int | None:
    """Characters of a completion up to the end of the word that is its verdict, or None.

    For completions that `parse_answer` reads: they have one verdict, behind any thinking.
    """
    said = without_thinking(raw)
    if said is None:
        return None
    found = _VERDICT_WORD.search(raw, len(raw) - len(said))
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
    """The line a perfect explainer writes; `parse_answer` reads it back if it is `expressible`.

    Content that looks wrapped or ends in a full stop is put in quotes, so that reading removes only
    those.
    """
    verdict = "changed" if answer.changed else "unchanged"
    if not answer.content:
        return verdict
    plain = f"{verdict}: {answer.content}"
    return plain if parse_answer(plain) == answer else f'{verdict}: "{answer.content}"'


OPENING = "part:"  # how a choice begins

_CHOICE = re.compile(
    r"[*_`\"']*part[*_`]*\s*:\s*[*_`\"'(\[]*(?P<part>[A-D])[*_`\"')\]]*\.?[*_`\"']*",
    re.IGNORECASE,
)
_MENTION = re.compile(r"\bpart[*_`]*\s*:", re.IGNORECASE)


@lru_cache(maxsize=1 << 13)
def parse_choice(raw: str) -> Choice | None:
    """Choice in a reply, or None if its first line is none or a later one names another part."""
    lines = [line for line in (clean_reply(raw) or "").splitlines() if line and not is_label(line)]
    found = [_CHOICE.fullmatch(unbox(drop_label(line))) for line in lines]
    if not found or found[0] is None:
        return None
    part = found[0]["part"].upper()
    for line, other in zip(lines, found, strict=True):
        if _MENTION.search(line) and (other is None or other["part"].upper() != part):
            return None
    return Choice(part=part)


def format_choice(choice: Choice) -> str:
    """The line that `parse_choice` reads back."""
    return f"{OPENING} {choice.part}"


def parse_either(raw: str) -> Answer | Choice | None:
    """Choice in a reply, else the answer in it, else None."""
    return parse_choice(raw) or parse_answer(raw)


def format_either(answer: Answer | Choice) -> str:
    """The line that `parse_either` reads back."""
    return format_choice(answer) if isinstance(answer, Choice) else format_answer(answer)
