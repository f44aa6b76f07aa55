"""Where the token that a query names stands in its own prompt, by characters.

Owns the mark that is put behind that token while a prompt is rendered, so that its place survives
any chat template and any tokenizer; the mark is taken out again before anything is tokenised. The
token's characters are counted in the target's tokenisation of the text. A string is searched for
only where it occurs once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import UsageError
from .spec import names_token

_MARK = re.compile("⟦quoted:(\\d+)⟧")


def mark_quoted(question: str, fields: Mapping[str, Any], target_tokenizer: Any) -> str:
    """Put a mark behind the last character of the token that a query names.

    Args:
        question: rendered question, which quotes `fields["text"]` once.
        fields: the query's, with `text`, `position`, `n_tokens` and `token`.
        target_tokenizer: the tokenizer by which positions are counted.

    Returns:
        The question with the mark, or as it was if the query names no token.

    Raises:
        UsageError: the text or the token cannot be told apart, or the tokenizer tells no offsets.
    """
    if not names_token(fields):
        return question
    text = fields["text"]
    if question.count(text) != 1:
        raise UsageError("the question does not quote its text exactly once; use another injection")
    end, behind = _last_character(fields, target_tokenizer)
    place = question.index(text) + end
    return f"{question[:place]}⟦quoted:{behind}⟧{question[place:]}"


def unmark(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Take marks out of a text.

    Returns:
        The text, and for each mark the index of the character before it with the number of target
        tokens that cover this character too, behind the named one.
    """
    plain, places = "", []
    start = 0
    for found in _MARK.finditer(text):
        plain += text[start : found.start()]
        places.append((len(plain) - 1, int(found[1])))
        start = found.end()
    return plain + text[start:], places


def token_at(offsets: Sequence[tuple[int, int]], character: int, behind: int = 0) -> int:
    """Index of the token that covers a character.

    Args:
        offsets: first character and end of every token.
        character: index of the character.
        behind: where several tokens are pieces of the character, how many of them come after the
            token that is meant; the first piece if there are fewer.

    Raises:
        UsageError: no token covers it.
    """
    found = [index for index, (low, high) in enumerate(offsets) if low <= character < high]
    if not found:
        raise UsageError("the explainer's tokenizer drops the quoted token; use another injection")
    return found[max(0, len(found) - 1 - behind)]


def offsets_of(tokenizer: Any, text: str, *, special: bool) -> list[tuple[int, int]]:
    """Characters of each token of a text, with or without the tokenizer's own special tokens.

    Raises:
        UsageError: the tokenizer cannot tell.
    """
    if not tokenizer.is_fast:
        raise UsageError("this tokenizer tells no character offsets; use another injection")
    encoded = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
    return [(int(low), int(high)) for low, high in encoded["offset_mapping"]]


def _last_character(fields: Mapping[str, Any], target_tokenizer: Any) -> tuple[int, int]:
    """End of the named token in the text, and how many tokens behind it share its last character.

    Falls back to the only occurrence of the token's text, for a tokenizer that is not the target's.
    """
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
