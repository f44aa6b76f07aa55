"""From run files to a folder that a pull request adds: copied, described, checked.

Nothing that exists is changed, and nothing leaves the machine unless a pull request is asked for.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...benchmark import files
from ...benchmark.errors import CheckFailedError, MissingPartError, UsageError
from ...benchmark.runs.run import Named, Run, read_run, run_files
from ...benchmark.scoring.score import validate
from .checks import submitted_access
from .entries import ENTRY, MAX_NOTES_BYTES, NOTES, body_digest
from .findings import Finding, raise_worst
from .schema import DECLARED, ENTRY_ID, OPTIONAL, OWN_KINDS, REQUIRED, SCHEMA, EntryFields, slug
from .validate import check_entry

_TOOL_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a submitter says of an entry; `entry_fields` says what each may hold."""

    name: str  # ORG/NAME; ORG may hold no `/`
    # trained, untrained, baseline or oracle; a run of a baseline or oracle says so itself.
    kind: str | None = None
    # How user code comes by its answers, one of `records.ACCESS`; what the run files say if
    # None, and nothing else for runs that are not of user code.
    access: str | None = None
    authors: Sequence[str] = ()  # names of people
    contact: str = ""  # e-mail address or https:// address
    display: str | None = None  # name on the board; NAME if None
    links: Mapping[str, str] = field(default_factory=dict)  # `paper`, `code`, `model`
    licence: str = "CC-BY-4.0"  # SPDX id of the licence of the explainer
    trained_on: Sequence[str] = ()  # sentences
    attempts: int = 1  # how many runs on these queries there were, also those not submitted
    parameters: int | None = None  # parameters of the explainer, if it has any
    date: str | None = None
    bibtex: str = ""  # bibTeX record
    vector_use: str | None = None  # id of the entry of the same explainer without vectors
    base: str | None = None  # name of the target model it was made from, if it is one
    n_train: int | None = None  # training queries it learnt from
    declared: bool = False  # whether the submitter states what `DECLARED` says


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A folder that is ready for a pull request."""

    folder: Path  # the new folder
    id: str
    commands: tuple[str, ...]  # what to type next
    pull_request: str | None  # address of the pull request, if one was opened
    warnings: tuple[Finding, ...]  # what reviewers will see

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        warnings = [finding.as_json() for finding in self.warnings]
        return asdict(self) | {"folder": str(self.folder), "warnings": warnings}


def submit(
    runs: Named,
    description: Statement,
    *,
    notes: Path | str | None = None,
    output: Path | str = "submissions",
    suite: str | None = None,
    open_pr: bool = False,
) -> Submission:
    """Check runs strictly and write them as one new folder."""
    if not description.declared:
        raise CheckFailedError(
            "a submission states that " + "; ".join(DECLARED.values()) + "; add --declare if so"
        )
    by_task = _read(runs)
    fields = _fields(description, list(by_task.values()))
    bodies = {task: str(run.body_sha256) for task, run in by_task.items()}
    org, _, name = description.name.partition("/")
    identifier = f"{slug(org)}__{slug(name)}__{body_digest(bodies)}"
    if description.name.count("/") != 1 or not ENTRY_ID.fullmatch(identifier):
        raise UsageError(f"--name {description.name!r} makes no folder name; give ORG/NAME")
    of_suite = slug(next(iter(by_task.values())).header.task.suite)
    folder = Path(output) / of_suite / identifier
    if folder.exists():
        raise UsageError(f"{folder} exists: these replies were submitted under this name already")
    with tempfile.TemporaryDirectory(prefix="introspect-bench-") as work:
        draft = Path(work) / of_suite / identifier
        _write(draft, by_task, fields, None if notes is None else Path(notes))
        _stand_beside(draft, folder.parent, fields.vector_use)
        report = check_entry(draft, suite=suite)
        # the path that the user knows
        findings = [
            replace(finding, file=finding.file.replace(str(draft), str(folder)))
            for finding in report.findings
        ]
        raise_worst(findings)
        _move(draft, folder)
    return Submission(
        folder=folder,
        id=identifier,
        commands=(
            f"git switch -c submit/{identifier}",
            f"git add -- {shlex.quote(str(folder))}",
            f'git commit -m "Submit {identifier}"',
            "git push -u origin HEAD",
        ),
        pull_request=_open_pull_request(folder, identifier) if open_pr else None,
        warnings=tuple(findings),
    )


def _stand_beside(draft: Path, entries: Path, control: str | None) -> None:
    """Put others beside a draft: names, which its own may resemble, and its control whole."""
    for entry in entries.iterdir() if entries.is_dir() else ():
        if ENTRY_ID.fullmatch(entry.name):
            (draft.parent / entry.name).mkdir(exist_ok=True)
            if entry.name == control:
                shutil.copytree(entry, draft.parent / entry.name, dirs_exist_ok=True)


def read_text(path: Path) -> str:
    """Read a small text file that goes into `entry.json`."""
    with files.open_regular(path) as stream:
        data = stream.read(MAX_NOTES_BYTES + 1)
    if len(data) > MAX_NOTES_BYTES:
        raise UsageError(f"{path}: more than {MAX_NOTES_BYTES} bytes; give a shorter one")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error


def _read(paths: Named) -> dict[str, Run]:
    if not (named := run_files(paths)):
        raise UsageError("give at least one run file")
    runs: dict[str, Run] = {}
    for path in named:
        validate(path, strict=True)
        run = read_run(path)
        task = run.header.task.id
        if task in runs:
            raise UsageError(f"{runs[task].path} and {path} answer the same task")
        runs[task] = run
    for run in runs.values():
        if (split := run.header.task.split) != "test":
            raise CheckFailedError(
                f"{run.path}: answers {split}, submissions answer test; run `introspect-bench run "
                f"--model {run.header.explainer.name} --split test` first, without --limit"
            )
    suites = sorted({run.header.task.suite for run in runs.values()})
    if len(suites) > 1:
        raise UsageError(f"runs of the suites {' and '.join(suites)}; submit them one by one")
    return dict(sorted(runs.items()))


def _fields(said: Statement, runs: Sequence[Run]) -> EntryFields:
    org, _, name = said.name.partition("/")
    kind = said.kind
    if kind is None:
        own = runs[0].header.explainer.kind
        kind = own if own in OWN_KINDS else "trained" if said.trained_on else None
    if kind is None:
        raise UsageError("say --kind untrained, or --kind trained with --trained-on SENTENCE")
    as_is = ("contact", "licence", "attempts", "parameters", "bibtex")
    return EntryFields(
        **{name: getattr(said, name) for name in (*as_is, *OPTIONAL)},
        schema=SCHEMA,
        name=said.display or name,
        org=org,
        kind=kind,
        access=submitted_access(said.access, [run.header for run in runs]),
        authors=list(said.authors) or [org],
        links=dict(said.links),
        trained_on=list(said.trained_on),
        date=said.date or max(run.header.created[:10] for run in runs),
        declared=dict.fromkeys(DECLARED, True),
    )


def _write(folder: Path, runs: Mapping[str, Run], said: EntryFields, notes: Path | None) -> None:
    values = asdict(said).items()
    kept = {name: value for name, value in values if name in REQUIRED or value is not None}
    text = json.dumps(kept, indent=2, ensure_ascii=False, allow_nan=False)
    files.write_bytes_atomic(folder / ENTRY, text.encode("utf-8", "surrogatepass") + b"\n")
    for task, run in runs.items():
        name = f"{slug(task)}.jsonl"
        with files.open_regular(run.path) as stream:
            files.write_bytes_atomic(folder / name, stream.read(run.valid_bytes))
    if notes is not None:
        with files.open_regular(notes) as stream:
            files.write_bytes_atomic(folder / NOTES, stream.read(MAX_NOTES_BYTES + 1))


def _move(draft: Path, folder: Path) -> None:
    """Copy the checked folder into place under a temporary name, then rename it."""
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(draft, partial, copy_function=shutil.copyfile)
        partial.replace(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise files.write_error(folder, error) from error


def _open_pull_request(folder: Path, identifier: str) -> str:
    title = f"Submit {identifier}"
    body = "Made by `introspect-bench submit`; all scores are computed again from the replies."
    _tool("gh", "--version")
    _tool("git", "switch", "-c", f"submit/{identifier}")
    _tool("git", "add", "--", str(folder))
    _tool("git", "commit", "-m", title, "--", str(folder))
    _tool("git", "push", "-u", "origin", "HEAD")
    return _tool("gh", "pr", "create", "--title", title, "--body", body).strip()


def _tool(*words: str) -> str:
    try:
        done = subprocess.run(
            words, check=True, capture_output=True, text=True, timeout=_TOOL_SECONDS
        )
    except FileNotFoundError as error:
        raise MissingPartError(
            f"{words[0]} is not installed; type the git commands by hand"
        ) from error
    except subprocess.CalledProcessError as error:
        said = " ".join((error.stderr or error.stdout).split())[:300]
        raise MissingPartError(f"`{' '.join(words[:3])}` failed: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise MissingPartError(f"`{' '.join(words[:3])}` did not end; try it by hand") from error
    return done.stdout
