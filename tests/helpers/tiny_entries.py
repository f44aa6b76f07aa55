"""Entries of the toy suites: made once by `submit`, copied and spoilt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.files import compact_json, sha256_bytes
from introspect_bench.benchmark.suite.select import find_suite
from introspect_bench.leaderboard.submissions.entries import body_digest
from introspect_bench.leaderboard.submissions.submit import Statement, submit
from introspect_bench.tasks.verdicts import format_either

ORG, TITLE = "acme", "Model-1"
CONTACT = "https://github.com/acme/model"

TOY_WEIGHTS = {"toy.safetensors": "cd" * 32}  # as in the manifests of the toy suites

Rows = list[dict[str, Any]]


def describe(**changes: Any) -> Statement:
    """What is said of the tiny entry."""
    said: dict[str, Any] = {
        "name": f"{ORG}/{TITLE}",
        "kind": None,
        "authors": ["Ann Ångström"],
        "contact": CONTACT,
        "declared": True,
        "bibtex": "@misc{a, title={An {A}}}",
    }
    return Statement(**said | changes)


def make_entry(runs: list[Path], output: Path, suite: Path, **changes: Any) -> Path:
    """Submit runs and return the entry's folder."""
    made = submit(runs, describe(**changes), output=output, suite=str(suite))
    return made.folder


def rows_of(path: Path) -> Rows:
    """The lines of a run file, as objects."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def write_rows(path: Path, rows: Rows) -> None:
    """Write a run file whose footer fits its lines, as somebody who forges one would."""
    lines = [compact_json(row).encode() + b"\n" for row in rows]
    for place, row in enumerate(rows):
        if row.get("kind") == "footer":
            row["body_sha256"] = sha256_bytes(b"".join(lines[:place]))
            lines[place] = compact_json(row).encode() + b"\n"
    path.write_bytes(b"".join(lines))


def unfinished(run: Path, edit: Callable[[Rows], object], name: str = "edited.jsonl") -> Path:
    """Write a run file again, edited and without its footer."""
    rows = rows_of(run)[:-1]
    edit(rows)
    write_rows(path := Path(name), rows)
    return path


def renamed(folder: Path) -> Path:
    """Give a folder the name that its replies stand for."""
    bodies = {
        path.stem: next(row for row in rows_of(path) if row["kind"] == "footer")["body_sha256"]
        for path in sorted(folder.glob("*.jsonl"))
    }
    new = folder.with_name(f"{folder.name[:-8]}{body_digest(bodies)}")
    return folder if new == folder else Path(shutil.move(folder, new))


def forge(folder: Path, edit: Callable[[Rows], object], *, name: str | None = None) -> Path:
    """Edit the lines of a run file so that every hash fits again; return the renamed folder."""
    path = folder / name if name else sorted(folder.glob("*.jsonl"))[0]
    rows = rows_of(path)
    edit(rows)
    write_rows(path, rows)
    return renamed(folder)


def as_control(folder: Path, task: str = "activation-patching") -> Path:
    """Make an entry one of such a model that was run without vectors."""

    def blind(rows: Rows) -> None:
        rows[0]["explainer"]["no_vector"] = True

    return forge(as_model(folder), blind, name=f"{task}.jsonl")


def as_model(folder: Path, **fields: object) -> Path:
    """Make an entry one of a model that was trained from the toy target, all runs alike.

    With the base `toy-target` it loaded the toy target's weights beside its own.
    """
    said = {"kind": "trained", "trained_on": ["toy queries"], "base": "toy-target", **fields}
    own = {"adapter.safetensors": sha256_bytes(folder.name.encode())}
    weights = own | (TOY_WEIGHTS if said["base"] == "toy-target" else {})

    def model(rows: Rows) -> None:
        rows[0]["explainer"] |= {"name": "a-model", "kind": "local", "settings": {}}
        rows[0]["explainer"]["weights_sha256"] = rows[0]["explainer"]["weights_sha256"] or weights
        rows[0]["access"] = "words"

    for name, value in said.items():
        set_field(folder, name, value)
    for path in sorted(folder.glob("*.jsonl")):
        folder = forge(folder, model, name=path.name)
    return folder


def as_others(entry: Path, org: str, place: Path | None = None) -> Path:
    """Copy an entry beside it, or into a folder, under another organisation's name."""
    folder = (place or entry.parent) / f"{org}__{entry.name.partition('__')[2]}"
    return set_field(Path(shutil.copytree(entry, folder)), "org", org)


def set_field(folder: Path, name: str, value: object) -> Path:
    """Change a field of `entry.json`."""
    path = folder / "entry.json"
    fields = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(fields | {name: value}, indent=2))
    return folder


def truth_instead(rows: Rows) -> None:
    """Write the truth of the toy suite's ablations where replies stood."""
    truth = find_suite("toy", "input-ablations").truth("test")
    for row in rows[1:-1]:
        row["raw"] = format_either(truth[row["qid"]].answer)
