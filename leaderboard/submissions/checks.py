"""What sound files can still say that a submission must not: the checks behind `checking`.

Owns one function for each thing that is looked at: texts, a run file, run files together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ...benchmark.errors import CheckFailedError
from ...benchmark.registry import tasks
from ...benchmark.runs.run import Run
from .entries import Entry, body_digest
from .findings import Finding, Level
from .folders import ENTRY, NOTES, members
from .privacy import FOOTER, JUDGEMENT, ROW, header_problems, row_problem, secret
from .schema import ENTRY_ID
from .text_rules import skeleton

SPLIT = "test"
"""The split that is submitted."""
OWN_KINDS = ("baseline", "oracle")
"""Kinds that a run file and `entry.json` must agree about."""
AGAIN = "run it again, or restore the file that the run wrote"
"""Advice about a run file that was edited."""


def text_findings(entry: Entry) -> Iterator[Finding]:
    """Yield secrets in what people wrote, and names that could be taken for another's."""
    texts = {ENTRY: (entry.folder / ENTRY).read_text("utf-8"), NOTES: entry.notes or ""}
    for name, text in texts.items():
        if kind := secret(text):
            yield failed_check(
                entry.folder / name, None, f"seems to hold {kind}", "no secrets", "revoke it now"
            )
    own = ENTRY_ID.fullmatch(entry.id)
    siblings = {
        one.name for one in members(entry.folder.absolute().parent) if isinstance(one, Path)
    }
    control = entry.fields.get("vector_use")
    if control is not None and control not in siblings - {entry.id}:
        yield failed_check(
            entry.folder / ENTRY,
            None,
            f"field vector_use names {control}, which is not here",
            "the id of another entry of the same suite",
            "submit the control first",
        )
    orgs = {match["org"] for name in siblings if (match := ENTRY_ID.fullmatch(name))}
    for org in sorted(orgs):
        if own and org != own["org"] and skeleton(org) == skeleton(own["org"]):
            yield failed_check(
                entry.folder / ENTRY,
                None,
                f"the organisation {own['org']} is easily taken for {org}",
                "a name that no other organisation's resembles",
                "choose another name",
            )


def run_findings(run: Run, entry: Entry) -> Iterator[Finding]:
    """Yield what is wrong with a sound run file as a part of a submission."""
    path, about = run.path, run.header["task"]
    wanted = {"id": path.stem, "suite": entry.suite, "split": SPLIT}
    for name, value in wanted.items():
        if about[name] != value:
            said = f"field task.{name} is {about[name][:80]!r}"
            yield failed_check(path, 1, said, repr(value), "submit it where it belongs")
    kind, declared = run.header["explainer"]["kind"], entry.fields["kind"]
    if (kind in OWN_KINDS or declared in OWN_KINDS) and kind != declared:
        said = f"the run says {kind[:80]!r}, entry.json says {declared!r}"
        yield failed_check(path, 1, said, "the same kind", "submit it as what it is")
    yield from content_findings(run)


def content_findings(run: Run) -> Iterator[Finding]:
    """Yield what a sound run file holds that nobody should submit, whoever submits it."""
    path = run.path
    for problem in header_problems(run.header):
        yield failed_check(path, 1, problem, "what `introspect-bench run` writes", AGAIN)
    tests = run.header.get("selftest")
    if not isinstance(tests, Mapping):
        said = "field selftest is missing or not an object"
        yield failed_check(path, 1, said, "what `introspect-bench run` writes", AGAIN)
    elif failed := [name for name, value in tests.items() if value != "pass"]:
        said = f"the self-test {failed[0][:80]} did not pass"
        yield failed_check(path, 1, said, "all pass", "see `introspect-bench doctor`")
    if run.header["package"].get("dirty"):
        said = "made with a changed copy of the package"
        yield failed_check(path, 1, said, "a released version", "run it again", level="warning")
    parts = [(row, ROW) for row in run.rows.values()]
    parts += [(row, JUDGEMENT) for row in run.judgements.values()]
    parts += [(run.footer, FOOTER)] if run.footer else []
    for row, known in parts:
        if wrong := row_problem(row, known):
            said = f"query {row.get('qid', 'of the footer')}: {wrong}"
            yield failed_check(path, None, said, "what `introspect-bench run` writes", AGAIN)
            return


def together(entry: Entry, runs: Mapping[str, Run]) -> Iterator[Finding]:
    """Yield what shows that the run files are not one explainer's, or not the ones submitted."""
    bodies = {task: str((run.footer or {}).get("body_sha256")) for task, run in runs.items()}
    whole = all(run.complete for run in runs.values())
    if whole and not entry.id.endswith(f"__{body_digest(bodies)}"):
        yield failed_check(
            entry.folder,
            None,
            "the replies are not those that the folder's name stands for",
            f"a name that ends in __{body_digest(bodies)}",
            "let `introspect-bench submit` write the folder",
        )
    shown = {task: run for task, run in runs.items() if _has_vectors(task)}
    parts = (("name", runs), ("kind", runs), ("no_vector", shown), ("shuffled_vectors", shown))
    for name, about in parts:
        values = {str(run.header["explainer"].get(name, False)) for run in about.values()}
        if len(values) > 1:
            yield failed_check(
                entry.folder,
                None,
                f"runs of several explainers: explainer.{name} is {' and '.join(sorted(values))}",
                "one explainer's runs",
                "submit them one by one",
            )


def _has_vectors(task: str) -> bool:
    """Whether queries of a task have vectors, which a control can leave out or exchange."""
    return all(known.uses_vector for known in tasks() if known.name == task)


def failed_check(
    path: Path, line: int | None, found: str, expected: str, fix: str, *, level: Level = "error"
) -> Finding:
    """Return a finding that leads to exit code 1."""
    return Finding(
        file=str(path),
        line=line,
        found=found,
        expected=expected,
        fix=fix,
        level=level,
        exit_code=CheckFailedError.exit_code,
    )
