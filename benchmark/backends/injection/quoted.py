"""Where the token that a query names stands in its own prompt, by characters.

A mark is put behind that token while a prompt is rendered, so that its place survives any chat
template and tokenizer; it is taken out again before anything is tokenised. The token's characters
are counted in the target's tokenisation of the text; a string is searched for only where it occurs
once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import UsageError
from .spec import names_token

_MARK = re.compile("⟦quoted:(\\d+)⟧")


def mark_quoted(question: str, fields: Mapping[str, Any], target_tokenizer: Any) -> str:
    """Put a mark behind the last character of the token that a query names, if it names one."""
    if not names_token(fields):
        return question
    text = fields["text"]
    if question.count(text) != 1:
        raise UsageError("the question does not quote its text exactly once; use another injection")
    end, behind = _last_character(fields, target_tokenizer)
    place = question.index(text) + end
    return f"{question[:place]}⟦quoted:{behind}⟧{question[place:]}"


def unmark(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Take marks out; for each the character before it and how many tokens behind share it."""
    plain, places = "", []
    start = 0
    for found in _MARK.finditer(text):
        plain += text[start : found.start()]
        places.append((len(plain) - 1, int(found[1])))
        start = found.end()
    return plain + text[start:], places


def token_at(offsets: Sequence[tuple[int, int]], character: int, behind: int = 0) -> int:
    """Index of the token that covers a character; of its pieces the one with `behind` after it."""
    found = [index for index, (low, high) in enumerate(offsets) if low <= character < high]
    if not found:
        raise UsageError("the explainer's tokenizer drops the quoted token; use another injection")
    return found[max(0, len(found) - 1 - behind)]


def offsets_of(tokenizer: Any, text: str, *, special: bool) -> list[tuple[int, int]]:
    """First character and end of each token of a text, with or without special tokens."""
    if not tokenizer.is_fast:
        raise UsageError("this tokenizer tells no character offsets; use another injection")
    encoded = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
    return [(int(low), int(high)) for low, high in encoded["offset_mapping"]]


def _last_character(fields: Mapping[str, Any], target_tokenizer: Any) -> tuple[int, int]:
    """End of the named token in the text, and how many tokens behind it share its end."""
    text, token, position = fields["text"], fields["token"], fields["position"]
    offsets = offsets_of(target_tokenizer, text, special=True)
    if len(offsets) == fields["n_tokens"]:
        low, high = offsets[position]
        if text[low:high].strip() == token.strip() and high > low:
            behind = sum(a < high <= b for a, b in offsets[position + 1 :])
            return high, behind
    if text.count(token) != 1:
        raise UsageError(
            f"token {position + 1} of {fields['n_tokens']} cannot be told apart in a query's text "
            "with this tokenizer; use another injection"
        )
    return text.index(token) + len(token), 0
