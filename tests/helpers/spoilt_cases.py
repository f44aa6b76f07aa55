"""Every reader of a user's files, each with a sound file that it reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from spoilt import Case
from spoilt_models import model_cases
from tiny_boards import make_board, make_sheet
from tiny_descriptions import judged, scored, truth_of
from tiny_entries import make_entry, rows_of, write_rows
from tiny_features import make_feature_suite
from tiny_suites import make_suite_folder

import introspect_bench as ib
from introspect_bench.__main__ import main
from introspect_bench.benchmark.backends.training.projection_plan import _lines
from introspect_bench.benchmark.cache import Journal
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.export.tables import BEGIN, END, write_results
from introspect_bench.benchmark.files import sha256_file, write_json_atomic
from introspect_bench.benchmark.judging.rubric import JudgeCache, judge_messages
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.runs.run import read_run
from introspect_bench.benchmark.suite.manifest import data_hash
from introspect_bench.benchmark.suite.suite import open_suite
from introspect_bench.leaderboard.site.folder import board_check, board_diff, write_site
from introspect_bench.leaderboard.submissions.comment import read_report, render_comment
from introspect_bench.leaderboard.submissions.submit import read_text
from introspect_bench.leaderboard.submissions.validate import check_entry
from introspect_bench.leaderboard.verification.record import rescore
from introspect_bench.tasks.build.verify import verify_suite
from introspect_bench.tasks.feature_descriptions.judge.phrase_index import _read
from introspect_bench.tasks.feature_descriptions.windows import Windows, load_windows, save_windows


def resealed(root: Path) -> Callable[[], None]:
    """Make a suite's manifest fit its files again, as somebody who forges one would."""
    sound = (root / "manifest.json").read_bytes()

    def seal() -> None:
        manifest = json.loads(sound)
        for name, entry in manifest["files"].items():
            data = root / name
            entry.update(sha256=sha256_file(data), bytes=data.stat().st_size)
        manifest["data_sha256"] = data_hash(manifest["files"])
        write_json_atomic(root / "manifest.json", manifest)

    return seal


def suite_cases(root: Path) -> list[Case]:
    """Manifests and files of suites whose truth is outcomes, and run files about them."""
    folder = make_suite_folder(root / "toy")
    suite, name = str(folder), "activation-patching"
    own = folder / name / get_task(name).version
    assert main(["run", "-m", "baseline/constant", "--no-score", "--suite", suite]) == 0
    (run,) = Path("runs").glob(f"*{name}.test.jsonl")
    entry = make_entry([run], root / "submissions", folder)

    def verify() -> None:
        verify_suite(get_task(name), open_suite(own))
        ib.plan("baseline/constant", suite=suite, tasks=[name])

    def use() -> None:
        read_run(run)
        ib.score(run, suite=suite)
        ib.show(str(run), suite=suite)

    def go_on() -> None:
        shutil.copy(run, root / "again.jsonl")
        words: dict[str, Any] = {"suite": suite, "tasks": [name], "output": "runs"}
        ib.run("baseline/constant", **words)

    def seal_run() -> None:
        with suppress(ValueError, AttributeError, RecursionError):
            write_rows(run, rows_of(run))

    split = own / "test"
    parts = ("queries.jsonl", "truth.jsonl", "oracle.jsonl", "vectors.safetensors")
    return [
        Case("manifest", own / "manifest.json", verify),
        *(Case(part, split / part, verify, resealed(own)) for part in parts),
        Case("run", run, use),
        Case("forged run", run, use, seal_run),
        Case("run that goes on", run, go_on),
        *(Case(p.name, p, partial(check_entry, entry, suite=suite)) for p in entry.iterdir()),
    ]


def feature_cases(root: Path) -> list[Case]:
    """A suite whose truth is descriptions, and a judged run about it."""
    suite = make_feature_suite(root / "features")
    run = judged(suite, root / "judged.jsonl", truth_of(suite))
    task = get_task(suite.task)

    def verify() -> None:
        verify_suite(task, open_suite(suite.root))

    parts = (
        "truth.jsonl",
        *(f"{n}.safetensors" for n in ("windows", "activations", "definitions")),
    )
    return [
        Case("judged run", run, lambda: scored(suite, run)),
        Case("features", suite.root / "manifest.json", verify),
        *(
            Case(f"features' {part}", suite.root / "test" / part, verify, resealed(suite.root))
            for part in parts
        ),
    ]


def board_cases(root: Path) -> list[Case]:
    """A page, a ledger, and reports of scores."""
    site, board = root / "site", make_board(4)
    write_site(board, [make_sheet(board.suites[0], n=6)], site)
    other = Path(shutil.copy(site / "board.json", root / "other.json"))
    folder = root / "submissions"
    ledger, before, report = root / "ledger.jsonl", root / "scores.json", root / "report.json"
    (entry,) = folder.glob("*/*")
    for event in ("accept", "flag", "rescore"):
        said = {"event": event, "by": "Ann", "reason": "so", "suite": str(root / "toy")}
        ib.ledger_add(entry, ledger=ledger, **said)
    scores = rescore(folder, ledger=ledger, suite=str(root / "toy"))[0]
    write_json_atomic(before, scores)
    own = check_entry(entry, suite=str(root / "toy")).as_json()
    head: dict[str, Any] = {"schema": "introspect-bench/pull-request/1", "lane": "automatic"}
    head |= {"ok": True, "labels": [{"text": "a"}], "findings": [], "entry": own}
    write_json_atomic(report, head)

    def again() -> None:
        rescore(folder, ledger=ledger, before=before, suite=str(root / "toy"))

    return [
        Case("board.json", other, lambda: board_diff(other, site)),
        Case("page", site / "board.json", lambda: board_check(site)),
        Case("checksums", site / "checksums.sha256", lambda: board_check(site)),
        Case("ledger", ledger, lambda: ib.ledger_show(ledger)),
        Case("scores.json", before, again),
        Case("report", report, lambda: render_comment(read_report(report), one_entry=True)),
    ]


class _Judge:
    name, settings = "a", {"b": 1}


def other_cases(root: Path) -> list[Case]:
    """Caches, journals, and small texts of the user's."""
    cache = JudgeCache(root / "judge", _Judge())  # type: ignore[arg-type]
    messages = judge_messages("a", ["b"])
    key = cache.key(messages)
    cache.put(key, messages, '{"rating": 2}')
    (reply,) = (root / "judge").rglob("*.json")
    journal = root / "journal"
    for n in range(3):
        Journal(journal).run(n, lambda n=n: [{"n": n}])  # type: ignore[misc]
    phrases, windows = root / "phrases.safetensors", root / "windows.safetensors"
    save_file({"vectors": torch.ones(3, 4)}, phrases)
    ids = np.arange(64, dtype=np.int32).reshape(2, 32)
    save_windows(windows, Windows(ids=ids, document=np.zeros(2, dtype=np.int32)))
    config, texts, readme = root / "run.yaml", root / "texts.txt", root / "README.md"
    config.write_text(
        'model: "baseline/constant"\nsuite: toy\nlimit: 3\ntask: [input-ablations]\noutput: out\n'
    )
    texts.write_text("A text.\nAnother é.\n")
    readme.write_text(f"A\n{BEGIN}\n\n{END}\n")

    def options() -> None:
        if code := main(["run", "--config", str(config), "--dry-run"]):
            raise UsageError(f"exit {code}")

    return [
        Case("judge's reply", reply, lambda: cache.get(key)),
        Case("journal", journal, lambda: Journal(journal)),
        Case("phrases", phrases, lambda: _read(phrases, 3)),
        Case("windows", windows, lambda: load_windows(windows)),
        Case("options", config, options),
        Case("texts", texts, lambda: _lines(texts)),
        Case("bibtex", readme, lambda: read_text(readme)),
        Case("README", readme, lambda: write_results(readme, "b")),
    ]


def all_cases(root: Path) -> list[Case]:
    """All of them, in a folder that is the current one."""
    return [
        *model_cases(root),
        *suite_cases(root),
        *feature_cases(root),
        *board_cases(root),
        *other_cases(root),
    ]
