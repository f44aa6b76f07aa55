"""User code asked again in a process that holds no weights of its suite's target."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ...benchmark import errors
from ...benchmark.cache import CACHE_VARIABLE, cache_dir
from ...benchmark.errors import CheckFailedError, UsageError
from ...benchmark.files import read_json, write_json_atomic
from ...benchmark.models.fetch import prepared_dir
from ...benchmark.models.targets import named_targets, target_record
from ...benchmark.models.withheld import Withheld
from ...benchmark.runs.run import Run
from ...benchmark.scoring.grade import about
from ...benchmark.suite.suite import Suite
from .rerun import Recheck

PROCESS = f"{__package__}.withheld_process"  # the module that runs there
ORDER, ANSWER = "order.json", "answer.json"  # files through which the two processes speak
SAID = ("UsageError", "MissingPartError", "IntegrityError", "CheckFailedError")
"""Errors that say nothing about the explainer and are raised again here."""


def ask_without_target(entry: Path, check: Recheck, run: Run) -> dict[str, Any]:
    """Check an entry in a process of its own; return what `recheck` does, or why it could not."""
    if run.header.explainer.kind != "custom":
        raise UsageError(
            f"{entry}: --without-target is for user code; the access of all else is set"
        )
    target = _target(about(run, check.suite)[1])
    with tempfile.TemporaryDirectory(prefix="introspect-bench-") as work:
        folder = Path(work)
        options = asdict(replace(check, without_target=False, k=check.most))
        write_json_atomic(folder / ORDER, {"entry": str(entry.absolute()), "check": options})
        done = subprocess.run(
            [sys.executable, "-m", PROCESS, work],
            env={**os.environ, **target.as_environment(), **_places(folder, target)},
            check=False,
        )
        if not (folder / ANSWER).is_file():
            raise CheckFailedError(
                f"{entry}: the process without {target.name} ended with exit code "
                f"{done.returncode} and no answer; see what it wrote above"
            )
        answer = read_json(folder / ANSWER)
    if answer.get("error") in SAID:
        raise getattr(errors, answer["error"])(answer["said"])
    return answer


def _target(suite: Suite) -> Withheld:
    """Return what is withheld of a suite's target: names, hashes and places on this machine."""
    said = suite.manifest["target"]
    name, hashes = str(said.get("name")), {str(one) for one in said["weights_sha256"].values()}
    folders = [Path(said["location"])] if said.get("source") == "local" else []
    spec = next((one for one in named_targets() if one.name == name), None)
    if spec is not None and prepared_dir(spec).is_dir():
        folders.append(prepared_dir(spec))
        stamps = target_record(prepared_dir(spec))["files"]
        hashes |= {stamp["sha256"] for file, stamp in stamps.items() if "safetensors" in file}
    if said.get("source") == "hub":
        from huggingface_hub.constants import HF_HUB_CACHE

        folders.append(Path(HF_HUB_CACHE) / f"models--{said['location'].replace('/', '--')}")
    places = [str(folder.absolute()) for folder in folders]
    return Withheld(name=name, weights_sha256=sorted(hashes), folders=places)


def _places(work: Path, target: Withheld) -> dict[str, str]:
    """Return variables that lead to an empty home, and to a cache without the target."""
    (work / "home").mkdir()
    cache = work / "cache"
    for member in _members(cache_dir()):
        inside = _members(member) if member.name == "targets" else [member]
        for one in inside if member.name != "downloads" else ():
            if str(one.absolute()) not in target.folders:
                link = cache / one.relative_to(cache_dir())
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(one.absolute())
    home = Path.home()
    return {
        "HOME": str(work / "home"),
        CACHE_VARIABLE: str(cache),
        "HF_HOME": os.environ.get("HF_HOME", str(home / ".cache" / "huggingface")),
        "PYTHONUSERBASE": site.getuserbase(),
    }


def _members(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.iterdir()) if folder.is_dir() else ())
