"""Which suite a name means: files never choose their own ground truth; drafts are seen."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from program import ABLATIONS, CONSTANT, Call, one_run, refused, succeeded, the_sentence
from tiny_entries import unfinished
from tiny_suites import make_suite

import introspect_bench as ib
from introspect_bench import tasks
from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.files import read_json, sha256_file, write_json_atomic
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.freeze import CANARY
from introspect_bench.benchmark.suite.select import shipped_suite
from introspect_bench.tasks import SUITES, SUMS, pins, suite_root

NAME = "smollm2-135m"
RUN = Path("runs") / f"baseline-constant.{NAME}.{ABLATIONS}.test.jsonl"
TOP = Path(__file__).parents[2]


def fake(**changes: Any) -> Path:
    """A folder with the name of the shipped suite and queries of its own."""
    task = get_task(ABLATIONS)
    make_suite(Path(NAME) / ABLATIONS / task.version, task, suite=NAME, **changes)
    return Path(NAME)


@pytest.mark.parametrize(
    "words", [("score", "--check"), ("show",), ("score", "--markdown")], ids=" ".join
)
def test_a_folder_beside_a_run_file_is_not_its_ground_truth(
    call: Call, words: tuple[str, ...]
) -> None:
    fake()
    assert call(*CONSTANT, "--suite", f"./{NAME}", "-t", ABLATIONS)[0] == 0
    assert "task.data_sha256 is" in refused(call(*words, str(RUN)), 4, out="")
    assert call(*words, str(RUN), "--suite", f"./{NAME}")[0] == 0  # the user's own word


@pytest.mark.parametrize("place", ["toy", "./toy", "../toy"])
@pytest.mark.parametrize("verb", ["score", "show", "score --markdown"])
def test_a_path_in_a_header_leads_nowhere(
    call: Call, verb: str, place: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = unfinished(one_run(call), lambda rows: rows[0]["task"].update(suite=place))
    if place.startswith(".."):
        (here / "below").mkdir()
        monkeypatch.chdir(here / "below")
    assert Path(place).is_dir()
    assert f"unknown suite '{place}'" in refused(call(*verb.split(), str(here / run)), 2, out="")


def test_a_shipped_name_wins_over_a_folder(call: Call) -> None:
    fake()
    out = succeeded(call(*CONSTANT, "--limit", "4", "-t", ABLATIONS, "--json"))
    shipped = read_json(suite_root(NAME, ABLATIONS) / "manifest.json")
    assert json.loads(out)["results"][0]["data_sha256"] == shipped["data_sha256"]
    rows = ib.ls("suites", suite=f"./{NAME}")
    assert [row["test"] for row in rows] == [15]


def test_pins_are_the_hashes_of_the_shipped_manifests() -> None:
    found = {
        path.parent.relative_to(SUMS.parent).as_posix(): sha256_file(path)
        for path in SUMS.parent.glob("*/*/*/manifest.json")
    }
    assert pins() == found
    assert {name.partition("/")[0] for name in found} == set(SUITES)


@pytest.mark.parametrize("line", ["", "0" * 64, f"{'0' * 64} one/two/v1/manifest.json", "no sum"])
def test_a_malformed_pin_is_named(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "SHA256SUMS"
    broken.write_text(SUMS.read_text() + line + "\n")
    monkeypatch.setattr(tasks, "SUMS", broken)
    with pytest.raises(IntegrityError, match="is not a sha256, two spaces and a path"):
        pins()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_the_command_in_contributing_writes_the_pins(here: Path) -> None:
    for name in pins():
        copy = here / "tasks" / "suites" / name
        copy.mkdir(parents=True)
        shutil.copy(SUMS.parent / name / "manifest.json", copy)
    text = (TOP / "CONTRIBUTING.md").read_text()
    command = re.search(r"`(\(cd tasks/suites .*SHA256SUMS\))`", text)
    assert command is not None
    subprocess.run(command[1], shell=True, check=True)
    assert (here / "tasks" / "suites" / "SHA256SUMS").read_text() == SUMS.read_text()


def test_a_changed_manifest_of_a_shipped_suite_is_exit_4(
    call: Call, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    """Its files are whole and it fits them: only the pinned hash shows the change."""
    root = here / "copy"
    root.mkdir()
    manifest = read_json(suite_root(NAME, ABLATIONS) / "manifest.json")
    manifest["stability"] = {}
    write_json_atomic(root / "manifest.json", manifest)
    monkeypatch.setattr(tasks, "suite_root", lambda *_: root)
    for words in (("data", "verify"), ("ls", "suites"), (*CONSTANT, "--limit", "2")):
        assert f"{root / 'manifest.json'}: sha256 is " in refused(call(*words), 4, out="")


def test_the_canary_is_where_contributing_says() -> None:
    for name in pins():
        assert read_json(SUMS.parent / name / "manifest.json")["canary"] == CANARY
    text = " ".join((TOP / "CONTRIBUTING.md").read_text().split())
    assert "every suite's `manifest.json` carries a canary GUID; the files of rows do not" in text


def test_a_draft_is_seen_everywhere(call: Call) -> None:
    root = Path("draft") / ABLATIONS / get_task(ABLATIONS).version
    make_suite(root, get_task(ABLATIONS), frozen=False)
    out = call("ls", "suites", "--suite", "draft")[1]
    assert re.search(r"toy +input-ablations +v2 +draft ", out)
    assert "ok (draft)" in call("data", "verify", "--suite", "draft")[1]
    out = succeeded(call(*CONSTANT, "--suite", "draft"))
    assert "toy · input-ablations v2 · test · words · draft" in out
    run = str(next(Path("runs").glob("*.jsonl")))
    assert ib.score(run, suite="draft")["frozen"] is False
    code, out, err = call("score", run, "--suite", "draft", "--check")
    assert code == 1
    assert "Draft: this suite is not frozen" in out
    assert "is a draft" in the_sentence(err)
    assert " · draft" in call("score", "--markdown", run, "--suite", "draft")[1]


def test_what_is_frozen_is_called_so(call: Call) -> None:
    assert {row["status"] for row in ib.ls("suites")} == {"frozen"}
    assert call(*CONSTANT, "--suite", "toy")[1].count("draft") == 0


def test_only_suites_are_in_folders(call: Call) -> None:
    assert "`ls suites`" in refused(call("ls", "tasks", "--suite", "toy"), 2)


@pytest.mark.parametrize("doctor", [{}, {"identity-patch": "fail"}])
def test_a_suite_without_passed_self_tests_is_not_run(call: Call, doctor: dict[str, str]) -> None:
    shutil.rmtree("toy")
    make_suite(
        Path("toy") / ABLATIONS / get_task(ABLATIONS).version, get_task(ABLATIONS), doctor=doctor
    )
    assert "manifest.json: field doctor" in refused(
        call(*CONSTANT, "--suite", "toy", "-t", ABLATIONS), 4, out=""
    )
    assert not list(Path().glob("runs/*.jsonl"))


@pytest.mark.parametrize(
    ("field", "value"), [("statistics", []), ("doctor", ["x"]), ("mini", [])], ids=str
)
def test_a_malformed_manifest_is_exit_4_for_every_reader(
    call: Call, field: str, value: object
) -> None:
    run = str(one_run(call))
    path = Path("toy") / ABLATIONS / get_task(ABLATIONS).version / "manifest.json"
    write_json_atomic(path, read_json(path) | {field: value})
    for words in (
        ("score", run),
        ("show", run),
        ("score", "--markdown", run),
        ("data", "verify", "-t", ABLATIONS),
        ("ls", "suites"),
        (*CONSTANT, "-t", ABLATIONS),
    ):
        assert f"{path}: field {field}" in refused(call(*words, "--suite", "toy"), 4, out="")


def test_a_shipped_suite_cannot_be_opened_with_another_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = f"{NAME}/{ABLATIONS}/{get_task(ABLATIONS).version}"
    monkeypatch.setattr(tasks, "pins", lambda: {key: "0" * 64})
    with pytest.raises(IntegrityError, match="expected 0000"):
        shipped_suite(NAME, ABLATIONS)
