"""What a run says to each query: raw text read again, without thinking, fences and marks."""

from __future__ import annotations

import re

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.records import Replied
from introspect_bench.benchmark.runs.run import Run
from introspect_bench.benchmark.suite.select import (
    check_about,
    check_task,
    ids_sha256,
    select_queries,
)
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.benchmark.task import Task


def read_replies(run: Run, task: Task, suite: Suite) -> tuple[Replied, ...]:
    """Put every query the run is about beside its raw reply and answer, in the suite's order."""
    check_task(task, suite)
    about = run.header["task"]
    check_about(run.header, suite, run.path)
    try:
        everything = suite.queries(about["split"])
        queries = select_queries(everything, limit=about["limit"], ids=about["query_ids"])
    except UsageError as error:
        # What would be a slip on the command line is a contradiction in a file.
        raise IntegrityError(f"{run.path}: the header is about no queries here: {error}") from error
    if about["query_ids_sha256"] != ids_sha256(queries) or about["n"] != len(queries):
        raise IntegrityError(
            f"{run.path}: task.query_ids_sha256 and task.n are not those of the queries it names"
        )
    if run.header["partial"] is not (len(queries) < len(everything)):
        raise IntegrityError(f"{run.path}: field partial is {run.header['partial']}, it is not so")
    if unknown := sorted(run.rows.keys() - {query.id for query in queries}):
        raise IntegrityError(f"{run.path}: query id {unknown[0]} is not among the run's queries")
    found = []
    for query in queries:
        raw = run.rows[query.id]["raw"] if query.id in run.rows else None
        answer = None if raw is None else task.parse(raw)
        found.append(Replied(query=query, raw=raw, answer=answer))
    return tuple(found)


THINK = "<think>"

_THINK = re.compile(re.escape(THINK), re.IGNORECASE)
_THOUGHT = re.compile("</think>", re.IGNORECASE)
_BEFORE = re.compile("[\\s\ufeff]*")
_FENCE = re.compile(r"(?:`{3,}|~{3,})\s*[\w+.-]*")
_MARK = re.compile(r"[-*+\u2022]\s+|>\s*|#{1,6}\s+|\d{1,2}[.)]\s+")
_LABEL = re.compile(r"[*_`]*(?:final\s+)?answer[*_`]*\s*:[*_`]*\s*", re.IGNORECASE)
_LABEL_LINE = re.compile(r"[*_`]*(?:final\s+)?answer[*_`]*\s*:?[*_`]*", re.IGNORECASE)
_LATEX = re.compile(
    r"\$?\$?\s*\\(?:boxed|text|textbf|mathrm)\{(?P<inside>.+)\}\s*\$?\$?\.?", re.DOTALL
)


def clean_reply(raw: str) -> str | None:
    """Return a reply without what stands around its answer, or None if its thinking has no end.

    A leading byte order mark, one leading closed `<think>` block, the lines of a code fence, and
    the marks of lists, quotations and headings at the beginning of a line are dropped. A reply that
    holds another `</think>`, or begins another block, has no answer either.
    """
    text = without_thinking(raw)
    if text is None:
        return None
    lines = (drop_marks(line.strip()) for line in text.splitlines())
    return "\n".join(line for line in lines if not _FENCE.fullmatch(line)).strip()


def without_thinking(raw: str) -> str | None:
    """Return a reply behind its one leading block of thinking, or None if that is still open."""
    text = _drop(_BEFORE, raw)
    if _THINK.match(text):
        end = _THOUGHT.search(text)
        if end is None:
            return None
        text = _drop(_BEFORE, text[end.end() :])
    return None if _THINK.match(text) or _THOUGHT.search(text) else text


def drop_marks(line: str) -> str:
    """Return a line without the marks of lists, quotations and headings that it begins with."""
    place = 0
    while found := _MARK.match(line, place):
        place = found.end()
    return line[place:]


def drop_label(text: str) -> str:
    """Return a text without an `Answer:` or `Final answer:` in front."""
    return _drop(_LABEL, text)


def is_label(line: str) -> bool:
    """Whether a line says nothing but that the answer follows."""
    return _LABEL_LINE.fullmatch(line) is not None


def unbox(text: str) -> str:
    """Return what one LaTeX box around a whole text holds, or the text."""
    found = _LATEX.fullmatch(text)
    return found["inside"].strip() if found else text


def has_ended(text: str) -> bool:
    """Whether a reply that is still being written has ended a line that can be an answer."""
    said = without_thinking(text)
    if not said:
        return False
    *ended, _ = (drop_marks(line.strip()) for line in said.split("\n"))
    return any(line and not _FENCE.fullmatch(line) and not is_label(line) for line in ended)


def _drop(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text)
    return text[found.end() :] if found else text
