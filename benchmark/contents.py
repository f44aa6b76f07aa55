"""The content of an answer in the form that is compared. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

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


def normalise_content(text: str) -> str:
    """Return the form of an answer's content that is compared.

    Unicode NFC, white space collapsed, one trailing full stop and one pair of matching quotes
    around the whole removed, in either order. Case is kept: the published protocol
    (arXiv:2511.08579) lower-cases and strips every full stop at both ends, so that `US` equals
    `us`. Nothing here makes a text empty that holds anything but white space.
    """
    text = " ".join(unicodedata.normalize("NFC", text).split())
    without = _drop_full_stop(text)
    unquoted = _drop_quotes(without)
    # A full stop inside the quotes, unless one outside them is gone already.
    return _drop_full_stop(unquoted) if without == text else unquoted


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
