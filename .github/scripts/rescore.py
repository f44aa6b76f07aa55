"""Workflow C: score all entries again, and fail on a change that the ledger does not explain."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.errors import IntrospectBenchError
from introspect_bench.benchmark.files import read_json, write_bytes_atomic, write_json_atomic
from introspect_bench.benchmark.runs.run import read_run
from introspect_bench.leaderboard.verification.ledger import read_ledger, standing
from introspect_bench.leaderboard.verification.record import rescore
from introspect_bench.tasks.feature_descriptions.task import NAME as DESCRIPTIONS


def new_judged(root: Path, report: dict[str, Any], before: Path | None) -> list[Path]:
    """Return the folders of entries that the last board lacks and whose descriptions are judged.

    Not those that were withdrawn, and none without a judgement: all its descriptions are empty.
    """
    lines = read_ledger(root / "ledger.jsonl")
    known = {entry["entry"] for entry in read_json(before)["entries"]} if before else set()
    folders = [
        root / entry["suite"] / entry["entry"]
        for entry in report["entries"]
        if entry["entry"] not in known
        and entry["suite"]
        and not standing(lines, entry["entry"], entry["sha256"]).withdrawn
    ]
    paths = {folder: folder / f"{DESCRIPTIONS}.jsonl" for folder in folders}
    return [folder for folder, path in paths.items() if path.is_file() and is_judged(path)]


def is_judged(path: Path) -> bool:
    """Whether a run file, which may be unsound, can be read and holds judgements."""
    try:
        return bool(read_run(path).judgements)
    except IntrospectBenchError:
        return False


def main(words: list[str] | None = None) -> int:
    """Score, compare and report; exit code 1 on an unexplained change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=Path, default=Path("submissions"))
    parser.add_argument("--before", type=Path, help="report of the last board, if there is one")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--new", type=Path, help="write folders of new entries with judgements")
    parser.add_argument("--suite", help="folder of suites that are not in the package")
    given = parser.parse_args(words)
    before = given.before if given.before and given.before.is_file() else None
    try:
        report, findings = rescore(
            given.submissions,
            ledger=given.submissions / "ledger.jsonl",
            before=before,
            suite=given.suite,
        )
    except IntrospectBenchError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    write_json_atomic(given.report, report)
    if given.new is not None:
        folders = new_judged(given.submissions, report, before)
        write_bytes_atomic(given.new, "".join(f"{folder}\n" for folder in folders).encode())
    inner = [row["found"] for entry in report["entries"] for row in entry["findings"]]
    for said in [*(finding.sentence for finding in findings), *inner]:
        sys.stdout.write(f" {said!a}\n")
    if not report["ok"]:
        return int(report["exit_code"])
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
