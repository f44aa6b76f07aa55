"""Kills and other accidents while something is written, for every verb that writes.

python tests/speed/faults.py [--kills N] [--others N] [--seed N] [--verb NAME] [--kind NAME]

Prints how many were tried, and after how many something was lost or stuck; exit code 1 if any was.
`--write` records the figures where `doctor` reads them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import numpy as np
from fault_kinds import KINDS, Trial
from fault_record import RECORD, record
from fault_verbs import VERBS, make_materials


def main() -> int:
    """Try all; returns 1 if anything was lost or stuck."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="over all verbs")
    parser.add_argument("--others", type=int, default=4, help="of each other kind, for each verb")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verb", action="append", help="only this one")
    parser.add_argument("--kind", action="append", help="only this one")
    parser.add_argument("--write", action="store_true", help=f"into {RECORD.name}")
    given = parser.parse_args()
    verbs = [verb for verb in VERBS if given.verb is None or verb.name in given.verb]
    kinds = {kind: KINDS[kind] for kind in given.kind or KINDS}
    total = {"tried": 0, "lost": 0, "stuck": 0}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        materials = make_materials(Path(place) / "materials")
        for number, verb in enumerate(verbs):
            rng = np.random.default_rng([given.seed, VERBS.index(verb)])
            trial = Trial(verb=verb, materials=materials, folder=Path(place) / "work", rng=rng)
            trial.undisturbed()
            for kind, happen in kinds.items():
                n = given.others
                if kind == "kill":
                    n = len(range(number, given.kills, len(verbs)))
                problems = [problem for problem in (happen(trial) for _ in range(n)) if problem]
                lost = sum(problem.startswith("lost") for problem in problems)
                counts = {"tried": n, "lost": lost, "stuck": len(problems) - lost}
                total = {name: total[name] + counts[name] for name in total}
                sys.stdout.write(f"{verb.name:14}{kind:12}{counts}\n")
                sys.stdout.writelines(f"    {problem}\n" for problem in problems)
                sys.stdout.flush()
    sys.stdout.write(f"{total['tried']} tried, {total['lost']} lost, {total['stuck']} stuck\n")
    if given.write:
        record("kills", total, given.seed)
    return int(total["lost"] + total["stuck"] > 0)


if __name__ == "__main__":
    sys.exit(main())
