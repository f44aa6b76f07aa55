"""What sound files can still say that a submission must not: texts, a run, runs together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ...benchmark.registry import tasks
from ...benchmark.runs.run import Run
from .entries import Entry, body_digest
from .findings import Finding, failed_check
from .folders import ENTRY, NOTES, WRITE_FOLDER, members
from .privacy import FOOTER, JUDGEMENT, ROW, header_problems, row_problem, secret
from .schema import OWN_KINDS, org_of
from .text_rules import skeleton

SPLIT = "test"
"""The split that is submitted."""
WRITTEN = "what `introspect-bench run` writes"
"""What is expected of a run file."""
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
    place, beside = entry.folder / ENTRY, members(entry.folder.absolute().parent)
    siblings = {member.name for member in beside if isinstance(member, Path)}
    control = entry.fields.get("vector_use")
    if control is not None and control not in siblings - {entry.id}:
        said = f"field vector_use names {control}, which is not here"
        expected = "the id of another entry of the same suite"
        yield failed_check(place, None, said, expected, "submit the control first")
    own = org_of(entry.id)
    for org in sorted(set(filter(None, map(org_of, siblings)))):
        if own and org != own and skeleton(org) == skeleton(own):
            said = f"the organisation {own} is easily taken for {org}"
            expected = "a name that no other organisation's resembles"
            yield failed_check(place, None, said, expected, "choose another name")


def run_findings(run: Run, entry: Entry) -> Iterator[Finding]:
    """Yield what is wrong with a sound run file as a part of a submission."""
    path, about = run.path, run.header.task
    wanted = {"id": path.stem, "suite": entry.suite, "split": SPLIT}
    for name, value in wanted.items():
        if (found := getattr(about, name)) != value:
            said = f"field task.{name} is {found[:80]!r}"
            yield failed_check(path, 1, said, repr(value), "submit it where it belongs")
    kind, declared = run.header.explainer.kind, entry.fields["kind"]
    if (kind in OWN_KINDS or declared in OWN_KINDS) and kind != declared:
        said = f"the run says {kind[:80]!r}, entry.json says {declared!r}"
        yield failed_check(path, 1, said, "the same kind", "submit it as what it is")
    yield from content_findings(run)


def content_findings(run: Run) -> Iterator[Finding]:
    """Yield what a sound run file holds that nobody should submit, whoever submits it."""
    path = run.path
    for problem in header_problems(run.header.to_json()):
        yield failed_check(path, 1, problem, WRITTEN, AGAIN)
    if failed := [name for name, value in run.header.selftest.items() if value != "pass"]:
        said = f"the self-test {failed[0][:80]} did not pass"
        yield failed_check(path, 1, said, "all pass", "see `introspect-bench doctor`")
    if run.header.package.dirty:
        said = "made with a changed copy of the package"
        yield failed_check(path, 1, said, "a released version", "run it again", level="warning")
    parts = [(row, ROW) for row in run.rows.values()]
    parts += [(row, JUDGEMENT) for row in run.judgements.values()]
    parts += [(run.footer, FOOTER)] if run.footer else []
    for row, known in parts:
        if wrong := row_problem(row, known):
            said = f"query {row.get('qid', 'of the footer')}: {wrong}"
            yield failed_check(path, None, said, WRITTEN, AGAIN)
            return


def together(entry: Entry, runs: Mapping[str, Run]) -> Iterator[Finding]:
    """Yield what shows that the run files are not one explainer's, or not the ones submitted."""
    bodies = {task: str(run.body_sha256) for task, run in runs.items()}
    whole = all(run.complete for run in runs.values())
    if whole and not entry.id.endswith(f"__{body_digest(bodies)}"):
        said = "the replies are not those that the folder's name stands for"
        expected = f"a name that ends in __{body_digest(bodies)}"
        yield failed_check(entry.folder, None, said, expected, WRITE_FOLDER)
    shown = {task: run for task, run in runs.items() if _has_vectors(task)}
    parts = (("name", runs), ("kind", runs), ("no_vector", shown), ("shuffled_vectors", shown))
    for name, about in parts:
        values = {str(getattr(run.header.explainer, name)) for run in about.values()}
        if len(values) > 1:
            said = f"runs of several explainers: explainer.{name} is {' and '.join(sorted(values))}"
            fix = "submit them one by one"
            yield failed_check(entry.folder, None, said, "one explainer's runs", fix)


def _has_vectors(task: str) -> bool:
    """Whether queries of a task have vectors, which a control can leave out or exchange."""
    return all(known.uses_vector for known in tasks() if known.name == task)
