"""What sound files can still say that a submission must not, and what access class they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...benchmark.errors import UsageError
from ...benchmark.evaluation.explainers import harness_access
from ...benchmark.records import ORACLE, RANKED, RUNS_TARGET, UNDECLARED, WORDS
from ...benchmark.registry import tasks
from ...benchmark.runs.header import Header, widest
from ...benchmark.runs.run import RATED, Run, read_run
from ...benchmark.scoring.compare import recipe
from ...benchmark.scoring.grade import about
from ..verification.ledger import LedgerState
from .entries import ENTRY, NOTES, RUN_FILE, WRITE_FOLDER, Entry, body_digest, members
from .findings import Finding, failed_check
from .schema import OWN_KINDS, EntryFields, org_of
from .text_rules import FOOTER, JUDGEMENT, ROW, header_problems, row_problem, secret, skeleton

SPLIT = "test"  # the split that is submitted
WRITTEN = "what `introspect-bench run` writes"
AGAIN = "run it again, or restore the file that the run wrote"


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
    control = entry.fields.vector_use
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


class Headed(Protocol):
    """A run with its header."""

    @property
    def header(self) -> Header:
        """The run file's first line."""


def control_problem(
    ids: tuple[str, str], own: Mapping[str, Headed], control: Mapping[str, Headed]
) -> str | None:
    """Say why the second of two entries is not the first one's control, from their runs by task."""
    orgs = [org_of(one) for one in ids]
    if orgs[0] != orgs[1]:
        return f"is of {orgs[1]}, not of {orgs[0]}"
    shown = [task for task in tasks() if task.uses_vector and task.name in own.keys() & control]
    if not shown:
        return "answers no task with vectors that the entry answers"
    for task in shown:
        ours, theirs = own[task.name].header, control[task.name].header
        if not theirs.explainer.no_vector:
            return f"was run with vectors (no_vector is false in {task.name})"
        weights = [dict(one.explainer.weights_sha256) for one in (ours, theirs)]
        recipes = [recipe(one, task, vectors=False) for one in (ours, theirs)]
        if recipes[0] != recipes[1] and (weights[0] != weights[1] or not weights[0]):
            return f"has other weights and another recipe in {task.name}"
    return None


def control_findings(entry: Entry, runs: Mapping[str, Run]) -> Iterator[Finding]:
    """Yield why the entry that is named as the control is none."""
    control = entry.fields.vector_use
    folder = entry.folder.absolute().parent / str(control)
    if control is None or not folder.is_dir():
        return
    found = {
        path.stem: read_run(path)
        for path in members(folder)
        if isinstance(path, Path) and path.stem in runs and RUN_FILE.fullmatch(path.name)
    }
    if problem := control_problem((entry.id, control), runs, found):
        said = f"field vector_use names {control}, which {problem}"
        expected = "your own run of the same weights or recipe with --no-vector"
        yield failed_check(entry.folder / ENTRY, None, said, expected, "name that, or leave it out")


def run_findings(run: Run, entry: Entry) -> Iterator[Finding]:
    """Yield what is wrong with a sound run file as a part of a submission."""
    path, asked = run.path, run.header.task
    wanted = {"id": path.stem, "suite": entry.suite, "split": SPLIT}
    for name, value in wanted.items():
        if (found := getattr(asked, name)) != value:
            said = f"field task.{name} is {found[:80]!r}"
            yield failed_check(path, 1, said, repr(value), "submit it where it belongs")
    kind, declared = run.header.explainer.kind, entry.fields.kind
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
        said = f"the suite's self-test {failed[0][:80]} did not pass"
        yield failed_check(path, 1, said, "all pass", "see `introspect-bench doctor`")
    if run.header.generation.protocol is not None:
        said = "the queries were not asked in the benchmark's words (generation.protocol)"
        yield failed_check(path, 1, said, "its own prompts", "run it without --protocol")
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
    # without vectors there is nothing that a control can leave out or exchange
    bare = {known.name for known in tasks() if not known.uses_vector}
    shown = {task: run for task, run in runs.items() if task not in bare}
    parts = (("name", runs), ("kind", runs), ("no_vector", shown), ("shuffled_vectors", shown))
    hashes = [frozenset(run.header.explainer.weights_sha256.items()) for run in runs.values()]
    loaded = [one for one in hashes if one]  # some tasks of a baseline need no model
    several = []
    if loaded and not frozenset.intersection(*loaded):
        said = "the runs were made with different weights: explainer.weights_sha256 has none common"
        several.append(said)
    for name, own in parts:
        values = {str(getattr(run.header.explainer, name)) for run in own.values()}
        if len(values) > 1:
            said = f"runs of several explainers: explainer.{name} is {' and '.join(sorted(values))}"
            several.append(said)
    expected, fix = "one explainer's runs", "submit them one by one"
    yield from (failed_check(entry.folder, None, said, expected, fix) for said in several)


CUSTOM_KIND = "custom"  # kind of a user's own code, which the harness knows nothing of
REFUTED = (
    "user code that declares words, but did not give its answers in a process that holds no "
    "weights of the target"
)
UNRANKED = {
    WORDS: (
        "user code that declares words: it is ranked after a re-run in a process that holds no "
        "weights of the target; `introspect-bench recheck --without-target`"
    ),
    UNDECLARED: (
        "user code that does not say how it comes by its answers; `introspect-bench submit "
        "--access`"
    ),
    RUNS_TARGET: (
        "user code that declares runs-target: no check tells it from code that replays the "
        "intervention; declare replays to be ranked"
    ),
    ORACLE: "is told what no contestant has",
}
"""Why a class that user code declares does not rank it; the harness confirms those it sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryAccess:
    """How an entry comes by its answers, and what that is worth."""

    access: str  # the widest class of its runs
    by_task: Mapping[str, str]  # the class of each run
    basis: str  # `set by the benchmark`, `declared`, or `declared and confirmed`
    unranked: str  # why its class does not rank it; empty if it does


def entry_access(
    fields: EntryFields, runs: Mapping[str, Headed], state: LedgerState | None = None
) -> EntryAccess:
    """Return how an entry comes by its answers, from `entry.json`, runs by task and ledger."""
    if not _is_custom(run.header for run in runs.values()):
        by_task = {task: run.header.access for task, run in runs.items()}
        access, basis = widest(by_task.values()), "set by the benchmark"
        reason = "" if access in RANKED else UNRANKED[access]
    else:
        access, basis = fields.access, "declared"
        by_task = dict.fromkeys(runs, access)
        reason = UNRANKED.get(access, "")
        alone = state.without_target if state is not None and access == WORDS else None
        if alone is not None:
            reason = "" if alone else REFUTED
            basis += " and confirmed" if alone else ""
    return EntryAccess(access=access, by_task=by_task, basis=basis, unranked=reason)


def submitted_access(declared: str | None, headers: Sequence[Header]) -> str:
    """Return the class an entry is submitted with: the widest of its runs, or what is declared."""
    if declared is None:
        return widest(header.access for header in headers)
    if not _is_custom(headers):
        raise UsageError(
            "--access is for user code, py:module:Class; of all else the run files say it"
        )
    return declared


def _is_custom(headers: Iterable[Header]) -> bool:
    return any(header.explainer.kind == CUSTOM_KIND for header in headers)


def access_findings(entry: Entry, runs: Mapping[str, Run], suite: str | None) -> Iterator[Finding]:
    """Yield where runs or entry say another class than the harness gives, and why none ranks it."""
    for run in runs.values():
        where = about(run, suite)[1]
        if dict(run.header.selftest) != where.manifest["doctor"]:
            said = "field selftest does not name the self-tests of the suite"
            yield failed_check(run.path, 1, said, WRITTEN, AGAIN)
        judges = where.manifest.get("judges", {})
        others = {judge for judge, _ in run.judgements if not judge.startswith(RATED)}
        if unknown := sorted(others - {str(one) for one in judges.values()}):
            expected = "judgements of the suite's own judges, and ratings by language models"
            said = f"holds judgements of {unknown[0]}, a judge that the suite does not name"
            yield failed_check(run.path, None, said, expected, "remove them")
        queries = where.queries(run.header.task.split)
        said = run.header.access
        try:
            right = harness_access(run.header.explainer, queries)
        except UsageError as error:
            yield failed_check(run.path, 1, str(error), "a baseline of this package", AGAIN)
            continue
        if said != right:
            problem = f"field access is {said!r}, which is {right!r} by the explainer's settings"
            yield failed_check(run.path, 1, problem, repr(right), AGAIN)
    place = entry.folder / ENTRY
    own = entry_access(entry.fields, runs)
    if entry.fields.access != own.access:
        problem = f"field access is {entry.fields.access!r}"
        expected = f"{own.access!r}, the widest class of its runs"
        yield failed_check(place, None, problem, expected, "let `submit` write it")
    elif own.unranked and own.access != ORACLE:
        problem = f"access is {own.access} ({own.basis}), so it is not ranked: {own.unranked}"
        fix = "it is shown without a rank until then"
        yield failed_check(place, None, problem, "a class that ranks", fix, level="warning")
