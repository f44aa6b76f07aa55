"""What a published file must not hold: keys, places on a machine, and fields that nobody needs.

Owns the allow-list of fields of a run file's rows and the patterns of secrets; the fields of its
header are `benchmark/runs/header.py`'s. A reader of run files takes more in a row
than this allows; what is submitted is held to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .text_rules import text_problem

MAX_RAW_BYTES = 4_096
"""Longest raw reply that is submitted, in bytes of UTF-8."""

PARTS = ("package", "task", "target", "explainer", "env")
"""Objects of a header whose texts are short."""
ROW = frozenset(
    {
        "kind",
        "qid",
        "i",
        "prompt_sha",
        "key",
        "raw",
        "parsed",
        "status",
        "reason",
        "n_in",
        "n_out",
        "ms",
        "confidence",
        "logprob_verdict",
        "logprob_reply",
    }
)
"""Fields of a prediction row; `ms` may be left out by who cannot publish it, and the last three are
there if they are known."""
JUDGEMENT = frozenset(
    {"kind", "qid", "judge", "text", "predicted", "mapped", "raw", "value", "status"}
)
"""Fields of a judgement."""
FOOTER = frozenset({"kind", "complete", "counts", "cost", "claimed", "body_sha256"})
"""Fields of a footer."""

_FORMS = {
    "run_id": re.compile("[0-9a-f]{32}"),
    "created": re.compile(r"20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\dZ"),
}
_SECRETS = {
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "an API key": r"\bsk-(?:[A-Za-z]+-)*[A-Za-z0-9_-]{20,}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})",
    "an AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a Google API key": r"\bAIza[0-9A-Za-z_-]{30,}",
    "a Slack token": r"\bxox[abprs]-[0-9A-Za-z-]{10,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a password in an address": r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"]{1,80}:[^\s/@\"]{1,80}@",
    "a bearer token": r"\bBearer [A-Za-z0-9._~+/-]{24,}",
}
_SECRET = re.compile(
    "|".join(f"(?P<s{n}>{pattern})" for n, pattern in enumerate(_SECRETS.values()))
)
_PLACE = re.compile(
    r"(?<![\w.:/])(?:/(?:home|Users|root|mnt|media|data|scratch|tmp|var|opt|srv|workspace)/[^\s\"]+"
    r"|~/[^\s\"]+|[A-Za-z]:\\\\?[^\s\"]+|file://\S+|https?://(?:localhost|[0-9.]+)[:/]\S*)"
)


def secret(text: str) -> str | None:
    """Return what kind of secret a text holds, or None; the secret itself is not repeated."""
    match = _SECRET.search(text)
    if match is None or match.lastgroup is None:
        return None
    return list(_SECRETS)[int(match.lastgroup[1:])]


def place(text: str) -> bool:
    """Whether a text names a place on somebody's machine: a path, or a server of their own."""
    return _PLACE.search(text) is not None


def header_problems(header: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a run file's header says that it should not, each a sentence."""
    for name, value in header.items():
        if problem := _form_problem(name, value):
            yield problem
        text = json.dumps(value, ensure_ascii=False)
        if kind := secret(text):
            yield f"field {name} seems to hold {kind}"
        elif place(text):
            yield f"field {name} names a place on somebody's machine"


def _form_problem(name: str, value: Any) -> str | None:
    """Say which value in a field is of another form than a run writes."""
    if name in _FORMS and not (isinstance(value, str) and _FORMS[name].fullmatch(value)):
        return f"field {name} is not of the form that a run writes"
    for key, one in value.items() if name in PARTS else ():
        if isinstance(one, str) and one and (wrong := text_problem(one, max_chars=300)):
            return f"field {name}.{key[:80]} {wrong}"
    return None


def row_problem(row: Mapping[str, Any], known: frozenset[str]) -> str | None:
    """Say what a row of a run file holds that it should not.

    Args:
        row: a prediction, a judgement or a footer.
        known: its fields.
    """
    if unknown := sorted(row.keys() - known):
        return f"field {unknown[0][:80]} is not one that a run writes"
    raw = row.get("raw")
    if isinstance(raw, str):
        size = len(raw.encode("utf-8", "surrogatepass"))
        if size > MAX_RAW_BYTES:
            return f"the raw reply has {size} bytes, at most {MAX_RAW_BYTES} are submitted"
        if kind := secret(raw):
            return f"the raw reply seems to hold {kind}"
    return None
