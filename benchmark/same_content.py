"""Whether two contents of answers are the same. Pure."""

from __future__ import annotations

import re

from introspect_bench.benchmark.metrics import normalise_content

_LETTER = re.compile(r"[A-Z]")
_OPTION = re.compile(r"(?:\((?P<inside>[A-Z])\)|(?P<marked>[A-Z])[).:])(?:\s.*)?")


def same_content(said: str, truth: str) -> bool:
    """Whether an answer's content is the true one; what is empty never is.

    Where the truth is a letter, the letter may be marked as an option is, with or without the
    option's text behind it: `A)`, `(A)`, `A. Paris`.
    """
    said, truth = normalise_content(said), normalise_content(truth)
    if said == truth:
        return said != ""
    return _LETTER.fullmatch(truth) is not None and letter_form(said) == truth


def letter_form(content: str) -> str:
    """Return the letter of a normalised content that names an option, or the content."""
    found = _OPTION.fullmatch(content)
    return content if found is None else found["inside"] or found["marked"]
