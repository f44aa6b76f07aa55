"""Whatever `validate` and the check of a pull request accept, everything else can use.

`python tests/speed/accepted.py` does the same with more entries.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from mutations import Change, accepted, changed, changes, use_all, use_entry
from tiny_entries import Rows, forge, rows_of

SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def tried(submitted: Path, here: Path, wanted: list[Change]) -> bool:
    """Change one entry of a board; whether it is accepted, after all that can be done with it."""
    root = here / "submissions"
    shutil.rmtree(root, ignore_errors=True)
    (root / "toy").mkdir(parents=True)
    for source in sorted((submitted / "toy").iterdir())[:2]:
        shutil.copytree(source, root / "toy" / source.name)
    folder = changed(sorted((root / "toy").iterdir())[0], wanted)
    if any(place == ("name",) for _, place, _ in wanted):
        folder = folder.rename(folder.with_name(folder.name.replace("constant", "seeing")))
    if not accepted(folder, "toy"):
        return False
    use_entry(folder, "toy")
    use_all(root, "toy")
    return True


def of(name: str, *place: str, value: Any) -> list[Change]:
    return [(name, place, value)]


def model(name: str, value: Any) -> list[Change]:
    """A model's run with a field of the explainer changed, and the base that makes it compared."""
    said = {"name": "a-model", "kind": "local", "settings": {}} | {name: value}
    entry = {"kind": "trained", "trained_on": ["toy"], "base": "toy-target", "name": "seeing"}
    own: list[Change] = [("header", ("explainer", key), one) for key, one in said.items()]
    return [*own, *(("entry", (key,), one) for key, one in entry.items())]


def created(text: str) -> list[Change]:
    return of("header", "created", value=text)


NO_OBJECTS: tuple[Any, ...] = ([], "abc", None, 5)
REFUSED: dict[str, list[Change]] = {
    **{f"weights {one!r}": model("weights_sha256", one) for one in NO_OBJECTS},
    **{f"settings {one!r}": model("settings", one) for one in NO_OBJECTS},
    "weights that are no hashes": model("weights_sha256", {"a": "x"}),
    "tokens that overflow": [("footer", ("cost", n), 1e308) for n in ("tokens_in", "tokens_out")],
    "cost that is text": of("footer", "cost", "seconds", value="x"),
    "month 19": created("2026-19-01T00:00:00Z"),
    "second 61": created("2026-01-01T00:00:61Z"),
    "surrogate as a key": of("entry", "\ud800", value=1),
    "surrogate in a key of links": of("entry", "links", value={"\ud800": "x"}),
    "surrogate as a key in a run": of("header", "explainer", "settings", value={"\ud800": 1}),
    "surrogate in settings": of("header", "explainer", "settings", value={"a": "\ud800"}),
    "no self-test": of("header", "selftest", value={}),
    "a self-test that is none": of("header", "selftest", value={"i-am-fine": "pass"}),
    "U+FE0F": of("entry", "authors", value=["A\ufe0fnn"]),
    "U+E0100": of("entry", "authors", value=["A\U000e0100nn"]),
    "braces in another order": of("entry", "bibtex", value="@misc{a}}{"),
    "text after a record": of("entry", "bibtex", value="@misc{a}, and @name"),
    "a count of tokens that is none": of("row", "n_in", value=3.5),
    "a count of tokens too large": of("row", "n_out", value=10**18 - 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_somebody_could_not_use_is_refused(submitted: Path, here: Path, name: str) -> None:
    assert not tried(submitted, here, REFUSED[name])


TAKEN: dict[str, list[Change]] = {
    "nothing": [],
    "mention": of("entry", "authors", value=["&#64;name", "www.example.org"]),
    "a model": model("revision", "main"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_sound_is_taken(submitted: Path, here: Path, name: str) -> None:
    assert tried(submitted, here, TAKEN[name])


def test_the_run_id_of_another_is_no_other_run(submitted: Path, here: Path) -> None:
    other = rows_of(sorted(submitted.glob("toy/*"))[1] / "input-ablations.jsonl")[0]
    assert tried(submitted, here, of("header", "run_id", value=other["run_id"]))


def test_two_weights_under_one_name_are_refused(submitted: Path, here: Path) -> None:
    assert tried(submitted, here, model("weights_sha256", {"model": "ab" * 32}))
    (folder,) = (here / "submissions" / "toy").glob("acme__seeing__*")

    def other(rows: Rows) -> None:
        rows[0]["explainer"]["weights_sha256"] = {"model": "cd" * 32}

    assert not accepted(forge(folder, other, name="input-ablations.jsonl"), "toy")


seen = {True: 0, False: 0}


PHASES = (Phase.explicit, Phase.generate)  # a smaller example costs minutes


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    phases=PHASES,
    suppress_health_check=SLOW,
)
@given(wanted=changes())
def test_what_is_accepted_can_be_used(submitted: Path, here: Path, wanted: list[Change]) -> None:
    seen[tried(submitted, here, wanted)] += 1


def test_both_sides_were_reached() -> None:
    assert min(seen.values()) >= 20, seen
