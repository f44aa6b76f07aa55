"""What is wrong with a submission: file, line, what was expected and how to put it right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ...benchmark.errors import (
    CheckFailedError,
    IncompleteRunError,
    IntegrityError,
    IntrospectBenchError,
    UsageError,
)

Level = Literal["error", "warning"]  # an error refuses a submission; a warning is shown beside it

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>[1-9][0-9]{0,8}): (?P<said>.*)", re.DOTALL)
_ADVICE: Mapping[type[IntrospectBenchError], tuple[str, str]] = {
    IntegrityError: (
        "a file exactly as the benchmark wrote it",
        "restore the file that was written, or make it again",
    ),
    UsageError: ("a file that can be read, of a suite that is known", "check path and suite"),
    CheckFailedError: ("a complete run on a frozen suite", "run it again as the sentence says"),
    IncompleteRunError: ("a row for every query", "run the same command again to complete it"),
}
"""What is expected and what to do by kind of error, the worst first: a corrupt file outweighs one
that is merely not finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    file: str  # path as the user gave it
    line: int | None = None  # line from 1, if it is about one
    found: str  # what is wrong, a sentence
    expected: str  # what should be there
    fix: str  # what to do
    level: Level = "error"  # whether it refuses the submission
    exit_code: int = IntegrityError.exit_code  # the exit code it leads to

    @property
    def sentence(self) -> str:
        """The finding as one sentence that starts with its place."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.found}; expected {self.expected}; {self.fix}"

    def as_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return asdict(self)


def finding(path: Path, found: str, expected: str, fix: str) -> Finding:
    """Return a finding about a whole file or folder."""
    return Finding(file=str(path), found=found, expected=expected, fix=fix)


def failed_check(
    path: Path, line: int | None, found: str, expected: str, fix: str, *, level: Level = "error"
) -> Finding:
    """Return a finding that leads to exit code 1."""
    said = finding(path, found, expected, fix)
    return replace(said, line=line, level=level, exit_code=CheckFailedError.exit_code)


def from_error(error: IntrospectBenchError, file: str) -> Finding:
    """Turn an error about a file into a finding; a line in its message becomes the finding's."""
    said, line = str(error), None
    match = _PLACE.fullmatch(said)
    if match is not None and match["file"] == file:
        said, line = match["said"], int(match["line"])
    kind = next((kind for kind in _ADVICE if isinstance(error, kind)), IntegrityError)
    found = finding(Path(file), said.removeprefix(f"{file}: "), *_ADVICE[kind])
    return replace(found, file=file, line=line, exit_code=error.exit_code)


def worst_exit_code(findings: Iterable[Finding]) -> int:
    """Return the exit code of the worst error, 0 if there is none."""
    codes = {finding.exit_code for finding in findings if finding.level == "error"}
    ordered = [kind.exit_code for kind in _ADVICE]
    return min(codes, key=lambda code: ordered.index(code) if code in ordered else -1, default=0)


def raise_worst(findings: Iterable[Finding]) -> None:
    """Raise the worst error among the findings, with how many more there are."""
    errors = [finding for finding in findings if finding.level == "error"]
    code = worst_exit_code(errors)
    if not errors:
        return
    kind = next((kind for kind in _ADVICE if kind.exit_code == code), IntegrityError)
    first = next(finding for finding in errors if finding.exit_code == code)
    more = f" (and {len(errors) - 1} more findings)" if len(errors) > 1 else ""
    raise kind(f"{first.sentence}{more}")
