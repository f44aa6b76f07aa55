"""Every writing verb on tiny suites: what it starts from, the command, and what it leaves."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tiny_builds
from program import ABLATIONS, PATCHING
from tiny_entries import make_entry
from tiny_features import NAME as DESCRIPTIONS
from tiny_features import make_feature_suite, open_judges
from tiny_suites import make_suite_folder
from tiny_training import make_base

from introspect_bench.__main__ import main
from introspect_bench.benchmark.cache import silent
from introspect_bench.benchmark.errors import IntrospectBenchError
from introspect_bench.benchmark.files import sha256_bytes
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.select import find_suite
from introspect_bench.leaderboard.verification.ledger import Line, append_line
from introspect_bench.tasks import judge_again
from introspect_bench.tasks.build.make import make_suite
from introspect_bench.tasks.feature_descriptions.judge import judges as judges_module

TIMES = ("runtime", "samples_per_second", "steps_per_second")
VOLATILE = {"created", "run_id", "cost", "date", "seconds", "tokens_per_second", "previous", "ms"}
VOLATILE |= {"commit", "dirty"}  # of the checkout, which may go on meanwhile
"""Fields that differ between two undisturbed runs: times, ids of runs, hashes over them."""
VOLATILE |= {"sha256", "body_sha256", "entry_sha256"}
VOLATILE |= {f"{part}_{what}" for part in ("train", "eval") for what in TIMES}
LEDGER = Path("submissions/ledger.jsonl")
FIRST_LINES = 3
"""Lines that the ledger has before; none may be lost."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A command in a folder of its own."""

    name: str
    act: Callable[[], int]  # in the folder; returns the exit code
    outputs: Sequence[str]  # what it writes and a user would delete to start anew
    needs: Sequence[str]  # what is copied into the folder before, of `make_materials`
    check: Callable[[], int] | None = None  # fails if a finished output has bad bytes
    adds: bool = False  # appends each time it is called, so that twice is as good as once


def make_materials(folder: Path, *, model: bool = True) -> Path:
    """Make once what the verbs start from: suites, runs, an entry, a ledger, perhaps a model."""
    toy = make_suite_folder(folder / "toy")
    make_feature_suite(folder / "words" / DESCRIPTIONS / "v2")
    words = ("run", "--no-score", "-o", str(folder / "runs"))
    assert main([*words, "-m", "baseline/constant", "--suite", str(toy)]) == 0
    runs = sorted((folder / "runs").glob("*.test.jsonl"))
    make_entry(runs, folder / "submissions", toy)
    for number in range(FIRST_LINES):
        said: dict[str, Any] = {
            "entry": "acme__a__01234567",
            "entry_sha256": "ab" * 32,
            "by": "Ann",
        }
        line = Line(event="accept", reason=f"line {number}", date="2026-01-02", **said)
        append_line(folder / LEDGER, line)
    described = ("run", "--no-judge", "--no-score", "-o", str(folder / "described"))
    assert (
        main([*described, "-m", "baseline/nearest-neighbour", "--suite", str(folder / "words")])
        == 0
    )
    if model:
        make_base(folder / "base")
    return folder


def _judge() -> int:
    judges_module.open_judges = open_judges  # type: ignore[assignment]  # in a process that ends
    return main(["judge", "described", "--suite", "words"])


def _judge_again() -> int:
    """What `recheck --judgements` does: no judgement row has a hash, so the judges judge again."""
    judges_module.open_judges = open_judges  # type: ignore[assignment]
    (path,) = Path("described").glob("*.jsonl")
    task, suite = get_task(DESCRIPTIONS), find_suite("words", DESCRIPTIONS)
    qids = [query.id for query in suite.queries("test")]
    same = judge_again(path, task, suite, qids=qids, device="cpu", progress=silent)
    return 0 if all(same.values()) else 1


def _entry() -> str:
    (entry,) = Path("submissions/toy").glob("acme__*")
    return str(entry)


def _ledger() -> int:
    words = ("--event", "flag", "--reason", "looked at", "--by", "Bob", "--suite", "toy")
    return main(["ledger", "add", _entry(), *words])


def _recheck() -> int:
    return main(["recheck", _entry(), "--suite", "toy", "--nonce", "x", "--k", "3"])


def _make() -> int:
    order = tiny_builds.order(
        ABLATIONS,
        Path.cwd(),
        sizes={"test": {"context": 4}},
        public=Path("toy") / ABLATIONS / "v2",
    )
    order.out.parent.mkdir(exist_ok=True)
    with tiny_builds.small_world():
        try:
            make_suite(order, tiny_builds.load, tiny_builds.load_rounded, tiny_builds.quiet)
        except IntrospectBenchError as error:  # as the command line does
            sys.stderr.write(f"introspect-bench: error: {error}\n")
            return error.exit_code
    return 0


def _words(*words: str) -> Callable[[], int]:
    return partial(main, words)


_TRAIN = (
    *("train", "--base", "base", "--suite", "toy", "-t", PATCHING, "--epochs", "2", "--rank", "2"),
    *("--batch-size", "4", "--evaluations", "2", "--precision", "float32", "-o", "trained"),
)
_SUBMIT = ("--name", "acme/other", "--contact", "https://github.com/acme/other", "--declare")
_RUN = ("run", "-m", "baseline/nearest-neighbour", "--suite", "toy", "-o", "out")
_CSV = (f"runs/baseline-constant.toy.{PATCHING}.test.jsonl", "--to", "csv", "--suite", "toy")
_REPORT = ("board", "report", "--suite", "toy", "-o", "RESULTS.md")
VERBS: tuple[Verb, ...] = (
    Verb("run", _words(*_RUN), ["out"], ["toy"]),
    Verb("judge", _judge, ["described"], ["words", "described"], check=_judge_again),
    Verb(
        "submit",
        _words("submit", "runs", "--suite", "toy", *_SUBMIT),
        ["submissions/toy"],
        ["toy", "runs"],
    ),
    Verb(
        "board build",
        _words("board", "build", "--suite", "toy"),
        ["site", "cache"],
        ["toy", "submissions"],
    ),
    # also fills the cache of scores
    Verb("board report", _words(*_REPORT), ["RESULTS.md", "cache"], ["toy", "submissions"]),
    Verb("ledger add", _ledger, ["submissions"], ["toy", "submissions"], adds=True),
    Verb("data make", _make, [ABLATIONS], ["toy"]),  # and a journal, which stays
    Verb("train", _words(*_TRAIN), ["trained"], ["toy", "base"]),
    Verb("export", _words("export", *_CSV), ["*.csv"], ["toy", "runs"]),
    Verb("recheck", _recheck, ["submissions"], ["toy", "submissions"], adds=True),
)


def prepared(verb: Verb, materials: Path, folder: Path) -> Path:
    """Copy what a verb needs into a new folder."""
    folder.mkdir(parents=True)
    for name in verb.needs:
        shutil.copytree(materials / name, folder / name)
    for name in ("tmp", ABLATIONS):  # the second gets what `data make` makes
        (folder / name).mkdir()
    return folder


def state(folder: Path, *, adds: bool = False) -> dict[str, Any]:
    """What a user finds: every file but locks, caches and half-written ones, without `VOLATILE`.

    Of a verb that `adds`, equal lines of a ledger count once.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts) or name.suffix == ".lock"
        hidden = hidden or name.parts[0] in ("tmp", "cache", "work") or name.name == "sealed.json"
        if path.is_file() and not hidden:
            found[str(name)] = _content(path)
    if adds:
        found[str(LEDGER)] = sorted({json.dumps(row) for row in found[str(LEDGER)]})
    return found


def _content(path: Path) -> Any:
    data = path.read_bytes()
    try:
        if path.suffix in (".json", ".jsonl"):
            lines = [data] if path.suffix == ".json" else data.splitlines()
            return [_still(json.loads(line)) for line in lines]
    except ValueError:
        pass
    return sha256_bytes(data)


def _still(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _still(one) for key, one in value.items() if key not in VOLATILE}
    return [_still(one) for one in value] if isinstance(value, list) else value


def difference(old: Any, new: Any, where: str = "") -> str:
    """Where two states differ first, and what stands there."""
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = [(key, old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys())]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(str(place), *pair) for place, pair in enumerate(zip(old, new, strict=True))]
    else:
        return f"{where}: {str(old)[:80]} became {str(new)[:80]}"
    return next((difference(a, b, f"{where}/{key}") for key, a, b in pairs if a != b), "")
