"""The reply to a query of kind `which`: the letter of one part. Owns its grammar. Pure.

Read is the first line that is neither empty nor dropped (`benchmark.reply_text`), `part: B`. Letter
case, Markdown emphasis, an `Answer:` in front, brackets around the letter and one full stop at the
end do not matter.
"""

from __future__ import annotations

import re

from introspect_bench.benchmark.records import Answer, Choice
from introspect_bench.benchmark.reply_text import clean_reply, drop_label, is_label, unbox
from introspect_bench.tasks.answers import format_answer, parse_answer

OPENING = "part:"
"""How a choice begins."""

_CHOICE = re.compile(
    r"[*_`\"']*part[*_`]*\s*:\s*[*_`\"'(\[]*(?P<part>[A-D])[*_`\"')\]]*\.?[*_`\"']*",
    re.IGNORECASE,
)
_MENTION = re.compile(r"\bpart[*_`]*\s*:", re.IGNORECASE)


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
