"""Spoils the files of every reader: each is read, or refused by an error of ours.

python tests/speed/spoilt_files.py [N] [SEED] [--write]

`--write` records the figures where `doctor` reads them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from fault_record import record
from spoilt import try_all
from spoilt_cases import all_cases


def run(n: int, seed: int, work: Path, *, write: bool) -> int:
    """Try, say what came of it, and return how many errors were not ours."""
    kinds, shown = Counter[str](), set[str]()

    def tell(name: str, data: bytes, error: BaseException) -> None:
        *_, last = traceback.extract_tb(error.__traceback__)
        where = f"{name}: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
        kinds[where] += 1
        if where not in shown:
            shown.add(where)
            err.write(f"{where}: {str(error)[:200]}\n  {data[:300]!r}\n")
            if os.environ.get("INTROSPECT_BENCH_DEBUG"):
                traceback.print_exception(error, limit=-8, file=err)

    err = sys.stderr
    with Path(os.devnull).open("w") as none, redirect_stdout(none), redirect_stderr(none):
        counts = try_all(all_cases(work), n, seed, tell)
    for where, times in kinds.most_common():
        sys.stdout.write(f"{times:6} {where}\n")
    found = {name: counts[name] for name in ("tried", "read", "refused", "untyped")}
    said = ", ".join(f"{n} {name}" for name, n in found.items())
    sys.stdout.write(f"{said}; seed {seed}\n")
    if write:
        record("spoilt_files", found, seed)
    return counts["untyped"]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ["TQDM_DISABLE"] = "1"
    words = [int(word) for word in sys.argv[1:] if word != "--write"]
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        n, seed = words + [10_000, 0][len(words) :]
        sys.exit(run(n, seed, Path(place), write="--write" in sys.argv) > 0)
