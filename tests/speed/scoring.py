"""Processor time of scoring everything from nothing: each entry, the board, 100,000 rows; peak MB.

    python tests/speed/scoring.py [SUBMISSIONS] [--rows 100000]

The rows are replies to the train splits of the shipped suites, others in every file. Aims are of an
idle machine with one thread of BLAS; ends with exit code 1 if one is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from program import measured
from tiny_entries import rows_of, write_rows

import introspect_bench as ib
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.select import shipped_suite

ROOT = Path(__file__).parents[2]
SUITE = "smollm2-135m"
TASKS = ("activation-patching", "input-ablations")
PER_ENTRY, ALL_ROWS, PEAK = 0.55, 5.0, 500.0


def make_runs(folder: Path, n: int) -> Iterator[Path]:
    """Write whole runs of the train split until they have `n` rows: right replies, and others'."""
    number = 0
    while n > 0:
        task = get_task(TASKS[number % len(TASKS)])
        truth = shipped_suite(SUITE, task.name).answers("train")
        replies = [task.format_answer(answer) for answer in truth.values()]
        source = folder / f"{task.name}.jsonl"
        if not source.exists():
            out = folder / "runs"
            ib.run("baseline/constant", suite=SUITE, tasks=[task.name], split="train", output=out)
            next(out.glob(f"*{task.name}*.jsonl")).rename(source)
        rng, rows = np.random.default_rng(number), rows_of(source)
        at = {query: place for place, query in enumerate(truth)}
        for row in rows[: 1 + n]:
            if row["kind"] == "pred":
                place = at[row["qid"]]
                row["raw"] = replies[place if rng.random() < 0.5 else rng.integers(len(replies))]
        n -= len(truth)
        number += 1
        rows[0]["run_id"] = f"{number:032x}"
        write_rows(folder / f"{number}.jsonl", rows)
        yield folder / f"{number}.jsonl"


def main() -> int:
    """Measure and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("submissions", type=Path, nargs="?", default=ROOT / "submissions")
    parser.add_argument("--rows", type=int, default=100_000)
    given = parser.parse_args()
    runs = sorted(given.submissions.resolve().glob("*/*/*.jsonl"))
    n = len({run.parent for run in runs})
    with tempfile.TemporaryDirectory() as place:
        os.environ["INTROSPECT_BENCH_CACHE"] = place
        made = list(make_runs(Path(place), given.rows))
        build = ("board", "build", given.submissions.resolve(), "--no-cache", "-o")
        lines: tuple[tuple[str, list[str | Path], int, float], ...] = (
            ("score, an entry", ["score", "--json", *runs], n, PER_ENTRY),
            ("board build, an entry", [*build, Path(place) / "site"], n, PER_ENTRY),
            (f"score {given.rows:,} rows", ["score", "--json", *made], 1, ALL_ROWS),
        )
        missed = 0
        for name, words, parts, aim in lines:
            used = measured(*map(str, words), cwd=ROOT)
            if used.code:
                raise SystemExit(f"{words[:2]} failed: {used.said}")
            seconds, peak = used.seconds / parts, used.megabytes
            missed += seconds > aim or peak > PEAK
            said = f"{seconds:6.2f} s, aim {aim:.2f}; {peak:4.0f} MB, aim {PEAK:.0f}"
            sys.stdout.write(f"{name:24} {said}\n")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
