"""Rows that judges append to a complete run: what they hold, read strictly.

Owns the form of a judgement. Judges of descriptions run models and scoring runs
none, so what a judge found is kept in the run file, where anyone can spot-check it. Every row
repeats the text that was judged, so that it can be compared with the raw reply. Bytes are kept as
base64.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from ..errors import IntegrityError
from ..judging.rubric import rated

KIND = "judgement"
"""Value of `kind` in these rows."""
MAX_JUDGEMENTS = 60_000
"""Most judgements in a run file."""

Key = tuple[str, str]
"""Judge and query id."""

RATED = "judge/"
"""How the names of language models that rate begin; they hold `raw` and `value`."""

PREDICTED = "predicted"
"""Field of predicted activations."""
MAPPED = ("grammar", "nearest", "none")
"""Values of `mapped`: whether a judge that maps descriptions to known ones read it by its grammar,
took the nearest one, or found none."""

_JUDGE = re.compile(r"[a-z]+(?:-[a-z]+)*/[\w.-]{1,80}@[0-9a-f]{12}")


def add_judgement(
    row: Mapping[str, Any],
    found: dict[Key, Mapping[str, Any]],
    rows: Mapping[str, Any],
    where: str,
) -> None:
    """Check a judgement and add it to those found so far.

    Args:
        row: the line, as an object.
        found: judgements by judge and query id.
        rows: prediction rows by query id.
        where: what to call the line in an error, such as `file:line`.

    Raises:
        IntegrityError: a field is missing or of another form, the query has no prediction, the
            judgement repeats, or there are too many.
    """
    qid, judge = row.get("qid"), row.get("judge")
    if not isinstance(judge, str) or not _JUDGE.fullmatch(judge):
        raise IntegrityError(f"{where}: field judge is not KIND/NAME@ and 12 hexadecimal digits")
    if not isinstance(qid, str) or qid not in rows:
        raise IntegrityError(f"{where}: a judgement of a query that the run does not answer")
    if (judge, qid) in found:
        raise IntegrityError(f"{where}: {judge} judges query {qid} twice")
    if not isinstance(row.get("text"), str):
        raise IntegrityError(f"{where}: field text is missing or not text")
    if judge.startswith(RATED):
        _check_rating(row, where)
    else:
        stored_bytes(row.get(PREDICTED), f"{where}: field {PREDICTED}")
        if row.get("mapped", MAPPED[0]) not in MAPPED:
            raise IntegrityError(f"{where}: field mapped is not one of {', '.join(MAPPED)}")
    if len(found) >= MAX_JUDGEMENTS:
        raise IntegrityError(f"{where}: more than {MAX_JUDGEMENTS} judgements")
    found[judge, qid] = row


def _check_rating(row: Mapping[str, Any], where: str) -> None:
    """Refuse a rating that its reply does not say."""
    raw = row.get("raw")
    if raw is not None and not isinstance(raw, str):
        raise IntegrityError(f"{where}: field raw is not text")
    if row.get("value") != rated(raw):
        raise IntegrityError(f"{where}: value is {row.get('value')!r}, the reply says {rated(raw)}")


def stored_bytes(text: object, where: str) -> bytes:
    """Read bytes as they are stored.

    Args:
        text: base64 with padding.
        where: what to call them in an error.

    Raises:
        IntegrityError: it is not base64.
    """
    if not isinstance(text, str):
        raise IntegrityError(f"{where} is not text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise IntegrityError(f"{where} is not base64: {error}") from error
