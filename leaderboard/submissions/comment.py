"""A report of CI, read as a stranger's file, as one Markdown comment on a pull request.

The report comes from a job that ran beside the pull request's own files, which can change that job:
nothing in it is believed to be harmless, and no number in it reaches the board. Imports only the
standard library and modules that do the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...benchmark import files
from ...benchmark.errors import IntegrityError
from .text_rules import is_hidden

SCHEMA = "introspect-bench/pull-request/1"
MARK = "<!-- introspect-bench: submission report -->"
"""First line of the comment, by which it is found and replaced."""
MAX_REPORT_BYTES = 256 << 10
MAX_COMMENT = 20_000  # longest comment, in characters
MAX_ROWS = 60  # most findings, scores or labels that are shown
MANUAL = (
    "This pull request does more than add one new folder below `submissions/`, so it is reviewed "
    "by hand. If it is meant as a submission, let `introspect-bench submit` write the folder and "
    "change nothing else."
)
"""What is said if more than an entry is changed."""

_OURS = re.compile(r"submissions/[a-z0-9][a-z0-9._-]{0,80}/([a-z0-9][a-z0-9._-]{0,80})/[^/]+")
_NEVER_IN_CODE = str.maketrans({"`": "'", "|": "\N{BROKEN BAR}"})
"""What would end a code span or a cell of a table, and what is shown in its place."""


def read_report(path: Path) -> dict[str, Any]:
    """Read a report and check the form of every field that is shown."""
    report = files.read_json(path, max_bytes=MAX_REPORT_BYTES)
    if report.get("schema") != SCHEMA:
        raise IntegrityError(f"{path}: field schema is not {SCHEMA!r}")
    if report.get("lane") not in ("automatic", "manual") or type(report.get("ok")) is not bool:
        raise IntegrityError(f"{path}: field lane or ok is not of the form")
    for name in ("findings", "labels"):
        _objects(report.get(name), f"{path}: field {name}")
    entry = report.get("entry")
    if entry is not None:
        if not isinstance(entry, dict) or not isinstance(entry.get("entry"), str):
            raise IntegrityError(f"{path}: field entry is not of the form")
        _objects(entry.get("findings"), f"{path}: field entry.findings")
        for score in _objects(entry.get("scores"), f"{path}: field entry.scores"):
            if not isinstance(score.get("metrics"), dict):
                raise IntegrityError(f"{path}: field entry.scores.metrics is not an object")
    return report


def adds_one_entry(paths: Sequence[str]) -> bool:
    """Whether the files that a pull request changes, as the server says, lie in one entry."""
    folders = {path.rsplit("/", 1)[0] for path in paths}
    return all(map(_OURS.fullmatch, paths)) and len(folders) == 1


def render_comment(report: Mapping[str, Any], *, one_entry: bool) -> str:
    """Return the comment: Markdown in which no text of the report formats or links anything.

    One that is too long loses whole lines at its end: half a code span would be none.
    """
    if not one_entry or report["lane"] == "manual":
        return "\n\n".join([MARK, "**Reviewed by hand.**", MANUAL])
    entry = report.get("entry") or {"findings": [], "scores": [], "entry": "the entry"}
    findings = [*report["findings"], *entry["findings"]]
    verdict = "can be merged" if report["ok"] else "cannot be merged yet"
    parts = [MARK, f"**{escape(entry['entry'])}: this submission {verdict}.**"]
    if findings:
        parts.append("\n".join(_findings(findings)))
    if entry["scores"]:
        parts.append("\n".join(_scores(entry["scores"])))
    if report["labels"]:
        labels = report["labels"][:MAX_ROWS]
        parts.append("\n".join(f"- {escape(str(one.get('text')))}" for one in labels))
    parts.append(
        "Computed in CI from the raw replies, without a model. The board is computed again after "
        "the merge, by the code of the main branch; numbers above are only for orientation."
    )
    text = "\n\n".join(parts)
    return text if len(text) <= MAX_COMMENT else text[:MAX_COMMENT].rpartition("\n")[0]


def escape(text: str, *, limit: int = 300) -> str:
    """Return a stranger's text on one line as a code span: there nothing is a link or a mention.

    Entities do not do: GitHub looks for mentions and bare addresses after it has read them.
    """
    shown = "".join(
        "\N{REPLACEMENT CHARACTER}" if is_hidden(character) else character
        for character in " ".join(text.split())
    )
    cut = shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
    return f"`{cut.translate(_NEVER_IN_CODE)}`" if cut else "none"


def _findings(findings: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield "| | where | what is wrong | expected | what to do |"
    yield "|---|---|---|---|---|"
    for finding in list(findings)[:MAX_ROWS]:
        line = finding.get("line")
        place = str(finding.get("file")) + (f":{line}" if type(line) is int else "")
        level = "warning" if finding.get("level") == "warning" else "error"
        cells = [place, *(str(finding.get(name)) for name in ("found", "expected", "fix"))]
        yield f"| {level} | {' | '.join(map(escape, cells))} |"


def _scores(scores: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield "| task | metric | score | 95 % interval |"
    yield "|---|---|---|---|"
    rows = [(score, *pair) for score in scores for pair in score["metrics"].items()]
    for score, name, metric in rows[:MAX_ROWS]:
        known = metric if isinstance(metric, Mapping) else {}
        ends = known.get("interval_95")
        interval = "none"
        if isinstance(ends, list) and len(ends) == 2:
            interval = " to ".join(map(_number, ends))
        cells = [escape(str(score.get("task"))), escape(str(name)), _number(known.get("value"))]
        yield f"| {' | '.join(cells)} | {interval} |"


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "none"
    return f"{value:.4f}" if abs(value) < 1e6 else "none"


def _objects(value: object, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise IntegrityError(f"{where} is not a list of objects")
    return value
