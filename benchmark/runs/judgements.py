"""Rows that judges append to a complete run, read strictly; bytes are kept as base64."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from ..errors import IntegrityError
from ..judging.rubric import rated

KIND = "judgement"
MAX_JUDGEMENTS = 60_000

Key = tuple[str, str]

RATED = "judge/"  # Prefix of language models that rate; their rows hold `raw` and `value`

PREDICTED = "predicted"
# How a judge that maps descriptions to known ones read one: by its grammar, as the nearest, not at
# all
MAPPED = ("grammar", "nearest", "none")

_JUDGE = re.compile(r"[a-z]+(?:-[a-z]+)*/[\w.-]{1,80}@[0-9a-f]{12}")


def add_judgement(
    row: Mapping[str, Any], found: dict[Key, Mapping[str, Any]], rows: Mapping[str, Any], where: str
) -> None:
    """Check a judgement and add it to those of `found`; `rows` are predictions by query id."""
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
    """Read bytes that are stored as base64 with padding."""
    if not isinstance(text, str):
        raise IntegrityError(f"{where} is not text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise IntegrityError(f"{where} is not base64: {error}") from error
