"""Every hostile submission in a process of its own, through `validate` and `score`.

Run by hand: `python tests/speed/attacks_in_processes.py`; prints the worst times and
memory and fails if one is over a limit, an exit code is wrong, a traceback shows, or a file
appears.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks import ATTACKS
from hostile import RUN
from tiny_entries import make_entry
from tiny_suites import make_suite_folder

from introspect_bench.__main__ import main as program

SECONDS, MEGABYTES = 2.0, 500.0


def limited(words: list[str], where: Path) -> tuple[int, float, float, str]:
    """Run the program in a child; return exit code, processor seconds, peak megabytes, stderr."""
    errors = where / "stderr"
    child = os.fork()
    if child == 0:
        os.chdir(where)
        with errors.open("wb") as stream, Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        os.execv(sys.executable, [sys.executable, "-m", "introspect_bench", *words])
    _, status, usage = os.wait4(child, 0)
    seconds = usage.ru_utime + usage.ru_stime
    said = errors.read_text(errors="replace")
    errors.unlink()
    return os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss / 1024, said


def main() -> int:
    """Run all attacks; returns how many broke a rule."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
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
                found, seconds, size, said = limited([*command, "--suite", str(suites)], top)
                calls, slowest, largest = calls + 1, max(slowest, seconds), max(largest, size)
                clean = sorted(str(path) for path in top.rglob("*")) == before
                if found != code or "Traceback" in said or not clean or seconds > SECONDS:
                    bad += 1
                    sys.stdout.write(f"{attack.name}: {command[0]}: {found}, {seconds:.2f} s\n")
    sys.stdout.write(
        f"{len(ATTACKS)} attacks, {calls} processes: at most {slowest:.2f} processor seconds and "
        f"{largest:.0f} MB, {bad} wrong\n"
    )
    return int(bad > 0 or largest > MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
