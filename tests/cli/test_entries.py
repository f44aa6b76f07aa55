"""Entries read one by one and together, and labels of entries that are too alike."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from program import Call, one_run, succeeded
from tiny_entries import as_others, forge, make_entry, set_field

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.leaderboard.submissions import copies
from introspect_bench.leaderboard.submissions.copies import (
    Replies,
    entry_replies,
    find_labels,
    labels_of,
)
from introspect_bench.leaderboard.submissions.entries import (
    Entry,
    entry_sha256,
    find_entries,
    read_entry,
)
from introspect_bench.tasks.verdicts import format_either

ROOT = Path("submissions")


def test_entries_are_found_in_the_order_of_their_ids(entry: Path) -> None:
    other = as_others(entry, "globex")
    (other / "NOTES.md").write_text("Plain *text*.\n")
    (ROOT / "README.md").write_text("Entries.\n")
    (ROOT / "ledger.jsonl").touch()
    first, second = find_entries(ROOT)
    assert (first.id, second.id) == (entry.name, other.name)
    assert (first.notes, second.notes) == (None, "Plain *text*.\n")
    assert second == read_entry(ROOT / "toy" / other.name)


def test_the_hash_of_an_entry_is_of_all_its_bytes(entry: Path) -> None:
    hashes = {entry_sha256(read_entry(entry))}
    (entry / "NOTES.md").write_text("a\n")
    hashes.add(entry_sha256(read_entry(entry)))
    set_field(entry, "attempts", 2)
    hashes.add(entry_sha256(read_entry(entry)))
    assert len(hashes) == 3


@pytest.mark.parametrize("name", ["evil.sh", "toy/evil.sh", "a b", "toy/Upper", ".hidden"])
def test_anything_else_among_entries_is_refused(entry: Path, name: str) -> None:
    assert entry.is_dir()
    (ROOT / name).write_text("x")
    with pytest.raises(IntegrityError):
        find_entries(ROOT)


def test_a_folder_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        find_entries(Path("nowhere"))
    with pytest.raises(UsageError, match="nowhere"):
        read_entry(Path("nowhere"))


def test_an_entry_is_validated_from_inside(
    call: Call, entry: Path, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.chdir(entry)
    out = succeeded(call("validate", ".", "--suite", str(here / "toy")))
    assert entry.name in out


def test_copies_are_labelled_whatever_day_they_claim(
    entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "MIN_COMMON", 10)
    other = as_others(entry, "globex")
    (label,) = find_labels(merged(find_entries(ROOT)))
    assert (label.kind, label.other, label.entry) == ("copy", entry.name, other.name)
    set_field(other, "date", "2020-01-01")
    new = read_entry(other)
    shutil.move(other, "elsewhere")
    place = Path("work") / "toy" / new.id  # where that of a pull request lies
    shutil.copytree("elsewhere", place)
    (found,) = labels_of(read_entry(place), ROOT, suite="toy")
    assert (found["entry"], found["other"]) == (other.name, entry.name)


def merged(entries: list[Entry]) -> list[Replies]:
    """What entries said that were merged one after the other."""
    found = [entry_replies(entry, suite="toy") for entry in entries]
    return [replace(one, place=place) for place, one in enumerate(found)]


def test_a_rerun_of_one_organisation_that_only_gained_is_labelled(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "MIN_GAINS", 3)
    monkeypatch.setattr(copies, "MIN_KEPT", 0)  # the toy explainer has next to nothing right
    first = make_entry([one_run(call)], ROOT, Path("toy"), date="2026-01-01")
    right = entry_replies(read_entry(first), suite="toy").right
    lines = [key for key, value in right.items() if not value][:3]

    def better(rows: list[dict[str, object]]) -> None:
        from introspect_bench.benchmark.suite.select import find_suite

        truth = find_suite("toy", "input-ablations").truth("test")
        for row in rows[1:-1]:
            if ("input-ablations", row["qid"]) in lines:
                row["raw"] = format_either(truth[str(row["qid"])].answer)

    copy = Path(shutil.copytree(first, first.with_name(first.name.replace("model-1", "model-2"))))
    second = set_field(forge(copy, better), "date", "2026-01-02")
    (label,) = find_labels(merged(find_entries(ROOT)))
    assert (label.kind, label.entry, label.other) == ("additive", second.name, first.name)
    assert label.text.startswith("3 answers more are right")
