"""Tables in LaTeX, for `booktabs`; a name can neither run a command nor end a comment."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MINUS = re.compile(r"(?<!\w)-(?=[0-9])")
_TWO_HYPHENS = re.compile("-(?=-)")  # they would be a dash
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "[": "{[}",  # after a line break it would be an argument
    "]": "{]}",
    "\N{EN DASH}": r"\textendash{}",
    "\N{MIDDLE DOT}": r"\textperiodcentered{}",
    "\N{DAGGER}": r"\dag{}",
    "\N{DOUBLE DAGGER}": r"\ddag{}",
    "\N{HORIZONTAL ELLIPSIS}": r"\dots{}",
}


def escape(text: str) -> str:
    """Return text that LaTeX shows as it is, on one line; other scripts need a fitting font."""
    text = "".join(_SPECIAL.get(c, c) for c in " ".join(text.split()))
    return _TWO_HYPHENS.sub("-{}", text)


def comment(text: str) -> str:
    """Return text for a comment: one line, printable characters only."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def table(
    cells: Sequence[Sequence[str]], *, caption: str, comments: Sequence[str], names: int = 1
) -> str:
    """Return a `table` of plain text, the head first; `names` columns are aligned left."""
    head, *rows = [
        " & ".join([*map(escape, row[:names]), *map(_numbers, row[names:])]) + r" \\"
        for row in cells
    ]
    columns = "l" * names + "r" * (len(cells[0]) - names)
    lines = [f"% {comment(line)}" for line in comments]
    lines += [r"% needs \usepackage{booktabs,textcomp}", r"\begin{table}", r"\centering"]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows]
    lines += [r"\bottomrule", r"\end{tabular}", rf"\caption{{{escape(caption)}}}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _numbers(text: str) -> str:
    """Escape numbers and intervals, with signs that are as long as a minus."""
    return _MINUS.sub("$-$", escape(text))
