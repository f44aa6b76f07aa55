"""Every hostile submission in a process of its own, through `validate` and `score`.

Run by hand: `python tests/speed/attacks_in_processes.py`; prints the worst times and
memory and fails if one is over a limit, an exit code is wrong, a traceback shows, or a file
appears.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from attacks import ATTACKS
from hostile import RUN
from program import measured
from tiny_entries import make_entry
from tiny_suites import make_suite_folder

from introspect_bench.__main__ import main as program

SECONDS, MEGABYTES = 2.0, 500.0


def main() -> int:
    """Run all attacks; returns how many broke a rule."""
    bad, slowest, largest, calls = 0, 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as work:
        place = Path(work)
        suites = make_suite_folder(place / "toy")
        words = ["-m", "baseline/constant", "-t", "input-ablations", "--no-score"]
        program(["run", *words, "--suite", str(suites), "-o", str(place / "runs")])
        (run,) = (place / "runs").glob("*.jsonl")
        sound = make_entry([run], place / "sound", suites)
        for attack in ATTACKS:
            top = place / "one"
            shutil.rmtree(top, ignore_errors=True)
            folder = attack.make(
                Path(shutil.copytree(sound, top / "submissions" / "toy" / sound.name))
            )
            before = sorted(str(path) for path in top.rglob("*"))
            wanted = [(["validate", "--strict", str(folder)], attack.code)]
            if attack.score is not None:
                wanted.append((["score", str(folder / RUN)], attack.score))
            for command, code in wanted:
                used = measured(*command, "--suite", str(suites), cwd=top)
                calls, slowest = calls + 1, max(slowest, used.seconds)
                largest = max(largest, used.megabytes)
                clean = sorted(str(path) for path in top.rglob("*")) == before
                failed = used.code != code or "Traceback" in used.said or not clean
                if failed or used.seconds > SECONDS:
                    bad += 1
                    said = f"{used.code}, {used.seconds:.2f} s"
                    sys.stdout.write(f"{attack.name}: {command[0]}: {said}\n")
    sys.stdout.write(
        f"{len(ATTACKS)} attacks, {calls} processes: at most {slowest:.2f} processor seconds and "
        f"{largest:.0f} MB, {bad} wrong\n"
    )
    return int(bad > 0 or largest > MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
