"""The property of `tests/cli/test_accepted.py` on many entries; a page is built once per 100.

python tests/speed/accepted.py [N]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from hypothesis import HealthCheck, Phase, given, settings
from mutations import Change, accepted, changed, changes, use_all, use_entry
from tiny_entries import make_entry
from tiny_suites import make_suite_folder

from introspect_bench.__main__ import main

PER_PAGE = 100


def run(n: int, work: Path) -> None:
    """Change an entry `n` times; raise at the first that is accepted and of no use."""
    suite = make_suite_folder(work / "toy")
    words = ("-m", "baseline/constant", "--no-score", "--suite", str(suite))
    assert main(["run", *words, "-o", str(work / "runs")]) == 0
    sound = make_entry(sorted((work / "runs").glob("*.test.jsonl")), work / "sound", suite)
    root, counts = work / "submissions", {"tried": 0, "accepted": 0}

    @settings(
        max_examples=n,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(wanted=changes())
    def one(wanted: list[Change]) -> None:
        counts["tried"] += 1
        name = sound.name.replace("model-1", f"m{counts['tried']}")
        folder = changed(Path(shutil.copytree(sound, root / "toy" / name)), wanted)
        if accepted(folder, str(suite)):
            counts["accepted"] += 1
            use_entry(folder, str(suite))
        else:
            shutil.rmtree(folder)
        if counts["tried"] % PER_PAGE == 0 and any(root.glob("toy/*")):
            use_all(root, str(suite))
            shutil.rmtree(root)

    one()
    sys.stdout.write(f"{counts['tried']} entries, {counts['accepted']} accepted, all of use\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        run(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000, Path(place))
