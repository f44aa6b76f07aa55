"""How long the page takes to build from 200 entries, with and without scores in the cache.

    python tests/speed/page.py FOLDER RUN... [--entries 200]

RUN are whole run files of one explainer on the test split. Each invented entry holds them with some
replies taken out, other ones each time, so that no two are alike. FOLDER gets the submissions, the
page and a cache of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from tiny_entries import renamed, rows_of, write_rows

from introspect_bench.leaderboard.site.build import make_board
from introspect_bench.leaderboard.site.folder import write_site
from introspect_bench.leaderboard.submissions.submit import Statement, submit


def silenced(rows: list[dict[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Rows of a run file with a share of the replies, drawn too, taken out."""
    asked = [row["qid"] for row in rows if row["kind"] == "pred"]
    gone = set(rng.choice(asked, size=int(rng.uniform(0, 0.9) * len(asked)), replace=False))
    found = []
    for row in rows:
        if row.get("qid") in gone:
            if row["kind"] != "pred":
                continue
            row = row | {"raw": ""}
        found.append(row)
    return found


def make_entries(folder: Path, runs: Sequence[Path], n: int) -> None:
    """Write the entries."""
    said = Statement(
        name="speed/model",
        contact="https://github.com/acme/model",
        declared=True,
    )
    first = submit(runs, said, output=folder).folder
    rows = {path.name: rows_of(path) for path in sorted(first.glob("*.jsonl"))}
    for number in range(1, n):
        rng = np.random.default_rng(number)
        copy = Path(shutil.copytree(first, first.with_name(f"speed__model-{number}__{'0' * 8}")))
        for name, own in rows.items():
            write_rows(copy / name, silenced(own, rng))
        renamed(copy)


def timed(submissions: Path, out: Path, *, use_cache: bool) -> None:
    """Build once and print how long the parts took."""
    start = time.perf_counter()
    board, sheets = make_board(submissions, use_cache=use_cache)
    scored = time.perf_counter()
    write_site(board, sheets, out)
    end = time.perf_counter()
    size = (out / "index.html").stat().st_size
    whole = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(  # noqa: T201
        f"{len(board.suites[0].rows)} entries: scores {scored - start:.1f} s, "
        f"page {end - scored:.1f} s; index.html {size / 1e6:.2f} MB, all {whole / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--entries", type=int, default=200)
    given = parser.parse_args()
    os.environ["INTROSPECT_BENCH_CACHE"] = str(given.folder / "cache")
    if not (given.folder / "submissions").exists():
        make_entries(given.folder / "submissions", given.runs, given.entries)
    for _ in ("cold", "warm"):
        timed(given.folder / "submissions", given.folder / "site", use_cache=True)
