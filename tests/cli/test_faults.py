"""A small part of `tests/speed/faults.py`; and the script finds verbs that lose what they wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fault_kinds import KINDS, Trial
from fault_verbs import VERBS, Verb, make_materials

QUICK = [verb for verb in VERBS if verb.name in ("ledger add", "judge", "export")]


@pytest.fixture(scope="module")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_materials(tmp_path_factory.mktemp("materials"), model=False)


def trial_of(verb: Verb, materials: Path, folder: Path, seed: int = 0) -> Trial:
    rng = np.random.default_rng(seed)
    trial = Trial(verb=verb, materials=materials, folder=folder / "work", rng=rng)
    trial.undisturbed()
    return trial


@pytest.mark.parametrize("verb", QUICK, ids=lambda verb: verb.name)
def test_whatever_happens_the_same_command_ends_as_an_undisturbed_one(
    verb: Verb, materials: Path, tmp_path: Path
) -> None:
    trial = trial_of(verb, materials, tmp_path)
    assert trial.n_writes > 0
    assert {name: happen(trial) for name, happen in KINDS.items()} == dict.fromkeys(KINDS, "")


def believes() -> int:
    """Writes in two steps, and believes what is there."""
    path = Path("out.txt")
    if path.exists():
        return 0
    path.write_text("half")
    with path.open("a") as stream:
        stream.write(" and half")
    return 0


def raises() -> int:
    """Ends in a traceback once a file of its own is there."""
    if Path("begun").exists():
        raise RuntimeError("begun already")
    Path("begun").touch()
    Path("out.txt").write_text("whole")
    Path("begun").unlink()
    return 0


@pytest.mark.parametrize(
    ("act", "kind", "said"),
    [(believes, "kill", "lost"), (believes, "corruption", "lost"), (raises, "kill", "stuck")],
)
def test_a_verb_that_loses_something_or_is_stuck_is_found(
    act: Callable[[], int], kind: str, said: str, materials: Path, tmp_path: Path
) -> None:
    verb = Verb("bad", act, ["out.txt"], [])
    trial = trial_of(verb, materials, tmp_path)
    found = {KINDS[kind](trial).partition(":")[0] for _ in range(8)}
    assert said in found
