"""Hostile submissions are refused with the right exit code, quickly, and leave nothing behind."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from attacks import ATTACKS
from hostile import RUN, Attack
from program import Call, measured, the_sentence

SECONDS = 2.0
"""Longest time of a processor that one may take; other jobs of the machine do not count."""
BYTES = 500 << 20
"""Most memory that one may take."""
QUICK = (
    "link to a device",
    "a run file is a pipe",
    "sparse file of a gigabyte",
    "zip bomb",
    "20,001 rows",
    "deep row",
    "integer of 5,000 digits",
    "claimed score",
)
"""Attacks tried in a process of their own by default; `pytest -m slow` tries the others."""


def snapshot(root: Path) -> set[str]:
    """Everything below a folder, links not followed."""
    found = set()
    for folder, folders, names in os.walk(root):
        found |= {os.path.join(folder, name) for name in (*folders, *names)}  # noqa: PTH118
    return found


def test_the_table_is_long_and_its_names_differ() -> None:
    assert len(ATTACKS) >= 100
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_the_sound_entry_is_sound(call: Call, entry: Path) -> None:
    code, out, err = call("validate", "--strict", str(entry), "--suite", "toy")
    assert (code, err) == (0, "")
    assert "input-ablations" in out
    assert call("validate", "submissions", "--suite", "toy")[0] == 0
    assert call("score", "--check", str(entry / RUN), "--suite", "toy")[0] == 0


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused(call: Call, entry: Path, here: Path, attack: Attack) -> None:
    folder = attack.make(entry)
    before = snapshot(here)
    start = time.process_time()
    code, out, err = call("validate", "--strict", str(folder), "--suite", "toy")
    assert time.process_time() - start < SECONDS
    assert code == attack.code, err
    assert attack.part in out
    sentence = the_sentence(err)
    assert all(sign.isprintable() for sign in sentence)
    assert all(sign.isprintable() or sign == "\n" for sign in out)
    if attack.score is not None:
        start = time.process_time()
        code, _, err = call("score", str(folder / RUN), "--suite", "toy")
        assert time.process_time() - start < SECONDS
        assert code == attack.score, err
    assert snapshot(here) == before


@pytest.mark.parametrize("attack", ATTACKS[::8], ids=lambda attack: attack.name)
def test_a_board_with_an_attack_on_it_is_refused_as_a_whole(
    call: Call, entry: Path, attack: Attack
) -> None:
    attack.make(entry)
    code, out, _ = call("validate", "submissions", "--suite", "toy")
    assert code >= attack.code
    assert attack.part in out


def in_own_process(attack: Attack) -> Any:
    marks = () if attack.name in QUICK else pytest.mark.slow
    return pytest.param(attack, marks=marks, id=attack.name)


@pytest.mark.parametrize("attack", [in_own_process(one) for one in ATTACKS])
def test_an_attack_is_refused_within_limits(entry: Path, here: Path, attack: Attack) -> None:
    """The address space may be a gigabyte larger than memory: libraries map more than they use."""
    folder = attack.make(entry)
    asked: list[tuple[tuple[str, ...], int]]
    asked = [(("validate", "--strict", str(folder)), attack.code)]
    if attack.score is not None:
        asked.append((("score", str(folder / RUN)), attack.score))
    for words, code in asked:
        used = measured(*words, "--suite", "toy", cwd=here, space=BYTES + (1 << 30))
        assert used.code == code, used.said
        assert "Traceback" not in used.said
        assert used.megabytes < BYTES >> 20
        assert used.seconds < SECONDS
