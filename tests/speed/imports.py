"""How long the program takes to start: medians of five in seconds, and aims for an idle machine.

    python tests/speed/imports.py [--times 5]

Ends with exit code 1 if a median is above its aim.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

AIMS = {
    "import introspect_bench": 0.15,
    "--help": 0.4,
    "ls suites": 0.8,
    "--version": 0.8,
    "score --help": 0.8,
}
"""Seconds; the first is less what Python itself takes to start."""
SOURCE = str(Path(__file__).parents[2] / "src")


def seconds(words: list[str]) -> float:
    """How long a process takes from start to end."""
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def main() -> int:
    """Measure and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    empty = statistics.median(seconds(["-c", "pass"]) for _ in range(times))
    missed = 0
    for what, aim in AIMS.items():
        bare = what.startswith("import")
        words = ["-c", what] if bare else ["-m", "introspect_bench", *what.split()]
        seconds(words)  # files into memory
        found = statistics.median(seconds(words) for _ in range(times)) - (empty if bare else 0)
        missed += found > aim
        sys.stdout.write(f"{what:24} {found:6.2f} s, aim {aim:.2f} s\n")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
