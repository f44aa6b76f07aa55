"""Workflow A's script on a scratch repository: one good pull request, and every other kind."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attacks import ATTACKS, NOT_IN_GIT
from hostile import Attack
from scratch_git import Scratch
from tiny_entries import Rows, as_others, forge, set_field

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.leaderboard.submissions.comment import read_report, render_comment
from introspect_bench.leaderboard.submissions.pull_request import check_pull_request

SCRIPTS = Path(__file__).parents[2] / ".github" / "scripts"
TOY = Path("submissions/toy")
Check = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def entries(tmp_path_factory: pytest.TempPathFactory, sound: Path) -> dict[str, Path]:
    """Sound entries of two organisations with different replies."""

    def other(rows: Rows) -> None:
        rows[0]["run_id"] = "ab" * 16
        for row in rows[1:-1]:
            row["raw"] = f"unchanged: {row['qid']}"

    place = tmp_path_factory.mktemp("entries") / "toy"
    return {"acme": sound, "globex": forge(as_others(sound, "globex", place), other)}


@pytest.fixture
def scratch(here: Path, entries: dict[str, Path]) -> Scratch:
    return Scratch(here / "repository", entries["acme"])


@pytest.fixture
def check(scratch: Scratch, here: Path) -> Check:
    """`check(change)`: what the script reports of a pull request with that change."""

    def run(change: Callable[[Path], object], *words: str) -> dict[str, Any]:
        head = scratch.pull_request(change)
        script = runpy.run_path(str(SCRIPTS / "check_pull_request.py"))
        shutil.rmtree(here / "work", ignore_errors=True)
        code = script["main"](
            [
                *("--repository", str(scratch.root), "--base", scratch.base, "--head", head),
                *("--work", str(here / "work"), "--report", str(here / "report.json")),
                *("--suite", "toy", "--author", "globex", *words),
            ]
        )
        report: dict[str, Any] = json.loads((here / "report.json").read_text())
        assert code == report["exit_code"]
        assert read_report(here / "report.json") == report
        return report

    return run


@pytest.fixture
def adds(entries: dict[str, Path]) -> Callable[[Path], Path]:
    """`adds(root)`: add the second entry."""

    def add(root: Path) -> Path:
        entry = entries["globex"]
        return Path(shutil.copytree(entry, root / TOY / entry.name))

    return add


def said(report: dict[str, Any]) -> str:
    own = report["entry"]["findings"] if report["entry"] else []
    return " ".join(f"{one['file']} {one['found']}" for one in [*report["findings"], *own])


def test_a_good_pull_request_passes_with_scores(check: Check, adds: Callable[[Path], Path]) -> None:
    report = check(adds)
    assert (report["ok"], report["exit_code"], report["lane"]) == (True, 0, "automatic")
    assert report["findings"] == []
    assert report["labels"] == []
    (score,) = report["entry"]["scores"]
    assert score["task"] == "input-ablations"
    assert score["metrics"]["exact_match_changed"]["value"] == 0.0
    text = render_comment(report, one_entry=True)
    assert "this submission can be merged" in text
    assert "`kind_mean`" in text


OTHER_PEOPLE = (
    ("an edit of the scorer", "benchmark/scoring/grade.py", "is changed"),
    ("an edit of the workflows", ".github/workflows/submission.yml", "is changed"),
    ("a new workflow", ".github/workflows/x.yml", "is added"),
    ("an edit of scores", "submissions/scores.json", "is added"),
    ("an edit of the ledger", "submissions/ledger.jsonl", "is added"),
    ("an edit of the read-me", "submissions/README.md", "is changed"),
    ("an edit of tests", "tests/test_x.py", "is added"),
    ("a file in the root", "setup.py", "is added"),
)


@pytest.mark.parametrize(
    ("path", "part"), [case[1:] for case in OTHER_PEOPLE], ids=[case[0] for case in OTHER_PEOPLE]
)
def test_anything_beside_an_entry_is_reviewed_by_hand(
    check: Check, adds: Callable[[Path], Path], path: str, part: str
) -> None:
    def change(root: Path) -> None:
        adds(root)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("wrong\n")

    report = check(change)
    assert (report["lane"], report["exit_code"], report["entry"]) == ("manual", 1, None)
    assert path in said(report)
    assert part in said(report)


def test_an_edit_of_someone_elses_entry_is_refused(check: Check, scratch: Scratch) -> None:
    report = check(lambda root: set_field(root / scratch.entry, "name", "Mine"))
    assert (report["lane"], report["exit_code"]) == ("manual", 1)
    assert "entry.json is changed" in said(report)

    report = check(lambda root: shutil.rmtree(root / scratch.entry))
    assert "is removed" in said(report)

    report = check(lambda root: (root / scratch.entry / "NOTES.md").write_text("bad\n"))
    assert "is somebody's entry already" in said(report)


def test_two_entries_at_once_are_refused(
    check: Check, adds: Callable[[Path], Path], entries: dict[str, Path]
) -> None:
    def both(root: Path) -> None:
        adds(root)
        as_others(entries["globex"], "initech", root / TOY)

    assert "adds 2 entries" in said(check(both))


def test_a_change_without_an_entry_is_reviewed_by_hand(check: Check) -> None:
    report = check(lambda root: (root / "benchmark" / "scoring.py").write_text("wrong\n"))
    assert (report["lane"], report["exit_code"]) == ("manual", 1)


def test_an_empty_pull_request_is_refused(check: Check) -> None:
    assert "changes nothing" in said(check(lambda _root: None))


def test_links_submodules_and_execute_bits_are_seen_in_modes(
    check: Check, adds: Callable[[Path], Path], scratch: Scratch
) -> None:
    link = check(lambda root: (adds(root) / "NOTES.md").symlink_to("/etc/passwd"))
    assert "has mode 120000" in said(link)
    executable = check(lambda root: (adds(root) / "entry.json").chmod(0o755))
    assert "has mode 100755" in said(executable)

    def submodule(root: Path) -> None:
        folder = adds(root).relative_to(root)
        place = f"160000,{scratch.base},{folder}/task.jsonl"
        scratch.git("update-index", "--add", "--cacheinfo", place)
        scratch.git("commit", "--quiet", "-m", "submodule")
        scratch.git("reset", "--quiet", "--hard")

    assert "has mode 160000" in said(check(submodule))


def test_sizes_are_looked_up_before_anything_is_written(
    check: Check, adds: Callable[[Path], Path], here: Path
) -> None:
    report = check(lambda root: (adds(root) / "task.jsonl").write_bytes(bytes(10_000_001)))
    assert "has 10000001 bytes" in said(report)
    assert not (here / "work").exists()

    def many(root: Path) -> None:
        folder = adds(root)
        for number in range(60):
            (folder / f"task-{number}.jsonl").write_text("{}\n")

    assert "changes 62 files" in said(check(many))


HOSTILE = [attack for attack in ATTACKS if attack.name not in NOT_IN_GIT]


@pytest.mark.parametrize("attack", HOSTILE[::12], ids=lambda attack: attack.name)
def test_an_attack_in_a_pull_request_is_refused(
    check: Check, adds: Callable[[Path], Path], here: Path, attack: Attack
) -> None:
    def change(root: Path) -> None:
        attack.make(adds(root))

    outside = {path.name for path in here.iterdir()} | {"work", "report.json"}
    report = check(change)
    assert not report["ok"]
    assert report["exit_code"] in (1, 2, 4, 5)
    assert {path.name for path in here.iterdir()} <= outside
    text = render_comment(report, one_entry=report["lane"] == "automatic")
    assert "<script" not in text
    assert "\x1b" not in text


def test_a_look_alike_of_an_organisation_that_is_there_is_refused(
    check: Check, entries: dict[str, Path]
) -> None:
    report = check(lambda root: as_others(entries["globex"], "acrne", root / TOY))
    assert not report["ok"]
    assert "the organisation acrne is easily taken for acme" in said(report)


def test_a_copy_is_labelled_and_a_third_party_is_named(
    check: Check, entries: dict[str, Path]
) -> None:
    def change(root: Path) -> None:
        folder = as_others(entries["acme"], "initech", root / TOY)
        set_field(folder, "date", "2026-01-01")  # earlier than what it copies

    report = check(change)
    assert report["ok"]
    assert "not from initech" in said(report)
    assert report["labels"] == []  # twelve queries are too few to tell


def test_the_benchmarks_own_name_is_reserved(check: Check, entries: dict[str, Path]) -> None:
    report = check(lambda root: as_others(entries["globex"], "introspect-bench", root / TOY))
    assert "named as the benchmark's own" in said(report)


def test_hostile_file_names_are_seen_byte_for_byte(
    check: Check, adds: Callable[[Path], Path]
) -> None:
    for name in ("a b.jsonl", "a\nb.jsonl", "\u00e9.jsonl", "\x1b[2J.jsonl", '"quoted".jsonl'):
        report = check(lambda root, name=name: (adds(root) / name).write_text("x"))
        assert report["lane"] == "manual"
        assert said(report).isprintable()


def test_nothing_but_commits_and_new_folders_is_taken(scratch: Scratch, here: Path) -> None:
    for base, head in (("main", scratch.base), (scratch.base, "--output=x"), ("HEAD", "HEAD")):
        with pytest.raises(UsageError, match="not a commit"):
            check_pull_request(scratch.root, base=base, head=head, work=here / "work")


def test_a_list_of_changes_that_never_ends_is_not_read(
    scratch: Scratch, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(root: Path) -> None:
        for number in range(300):
            (root / f"{number}.txt").write_text("x")

    head = scratch.pull_request(change)
    monkeypatch.setattr(
        "introspect_bench.leaderboard.submissions.pull_request.MAX_LISTING_BYTES", 1_000
    )
    with pytest.raises(IntegrityError, match="more than"):
        check_pull_request(scratch.root, base=scratch.base, head=head, work=here / "work")
