"""Whether an answer is right: its content in the form that is compared, verdict, or part. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..records import Answer, Choice, GroundTruth, Replied, Scored

_QUOTES: Mapping[str, str] = {
    '"': '"',
    "'": "'",
    "`": "`",
    "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}",
    "\N{LEFT SINGLE QUOTATION MARK}": "\N{RIGHT SINGLE QUOTATION MARK}",
    "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}": (
        "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"
    ),
}
_FULL_STOPS = (".", "\N{IDEOGRAPHIC FULL STOP}")
_LETTER = re.compile(r"[A-Z]")
_OPTION = re.compile(r"(?:\((?P<inside>[A-Z])\)|(?P<marked>[A-Z])[).:])(?:\s.*)?")


@lru_cache(maxsize=1 << 13)
def normalise_content(text: str) -> str:
    """Return the form of an answer's content that is compared.

    Unicode NFC, white space collapsed, one trailing full stop and one pair of matching quotes
    around the whole removed, in either order. Case is kept: the published protocol
    (arXiv:2511.08579) lower-cases and strips every full stop at both ends, so that `US` equals
    `us`.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())
    without = _drop_full_stop(text)
    unquoted = _drop_quotes(without)
    # A full stop inside the quotes, unless one outside them is gone already.
    return _drop_full_stop(unquoted) if without == text else unquoted


def same_content(said: str, truth: str) -> bool:
    """Whether a content is the true one; a letter may be marked: `A)`, `(A)`, `A. Paris`."""
    said, truth = normalise_content(said), normalise_content(truth)
    if said == truth:
        return said != ""
    return _LETTER.fullmatch(truth) is not None and letter_form(said) == truth


def letter_form(content: str) -> str:
    """Return the letter of a normalised content that names an option, or the content."""
    found = _OPTION.fullmatch(content)
    return content if found is None else found["inside"] or found["marked"]


def _drop_full_stop(text: str) -> str:
    if len(text) > 1 and text.endswith(_FULL_STOPS):
        return text[:-1].rstrip()
    return text


def _drop_quotes(text: str) -> str:
    if len(text) < 3 or _QUOTES.get(text[0]) != text[-1]:
        return text
    inside = text[1:-1]
    # Two quoted words side by side are not one quoted text.
    if text[0] in inside or text[-1] in inside or not inside.strip():
        return text
    return inside.strip()


def group_numbers(replies: Sequence[Replied]) -> npt.NDArray[np.int64]:
    """Number the contrast groups of queries, (n_queries,), in the order of their names."""
    groups = [one.query.group for one in replies]
    numbers = {name: number for number, name in enumerate(sorted(set(groups)))}
    return np.array([numbers[group] for group in groups], dtype=np.int64)


def of_kind(reply: Replied, truth: GroundTruth) -> Answer | Choice | None:
    """Return the answer if it is of the kind that the query asks for."""
    match reply.answer, truth.part:
        case (Choice() as choice, str()):
            return choice
        case (Answer() as answer, None):
            return answer
    return None


def is_right(scored: Scored) -> tuple[bool, bool]:
    """Return whether verdict and content are right, the same where a part is asked for."""
    match scored.answer:
        case None:
            return False, False
        case Choice(part=part):
            return (part == scored.truth.part,) * 2
        case Answer(changed=changed, content=content):
            return changed == scored.truth.changed, same_content(content, scored.truth.outcome)
