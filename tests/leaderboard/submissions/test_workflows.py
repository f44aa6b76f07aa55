"""The workflows: pinned, without privileges, and their scripts on reports that strangers wrote."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.leaderboard.submissions.comment import (
    MARK,
    MAX_COMMENT,
    MAX_REPORT_BYTES,
    SCHEMA,
    adds_one_entry,
    escape,
    read_report,
    render_comment,
)

GITHUB = Path(__file__).parents[3] / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
PINNED = re.compile(r"(actions/[a-z-]+|pypa/gh-action-pypi-publish)@[0-9a-f]{40}")
ZIZMOR = Path(sys.executable).with_name("zizmor")
SHA = "ab" * 20


def report(**changes: Any) -> dict[str, Any]:
    score = {"task": "t", "metrics": {"exact_match": {"value": 0.5, "interval_95": [0.4, 0.6]}}}
    entry = {"entry": "acme__model__01234567", "findings": [], "scores": [score]}
    made = {"schema": SCHEMA, "lane": "automatic", "ok": True, "head": SHA, "exit_code": 0}
    return {**made, "entry": entry, "labels": [], "findings": [], **changes}


def saved(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(value))
    return path


def audit(folder: Path) -> subprocess.CompletedProcess[str]:
    words = ["--offline", "--no-progress", "--min-severity=medium", str(folder)]
    return subprocess.run(
        [str(ZIZMOR), *words], capture_output=True, text=True, check=False, timeout=120
    )


def test_zizmor_finds_nothing_above_low() -> None:
    done = audit(GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_would_find_a_pull_request_that_is_run_with_a_token(tmp_path: Path) -> None:
    shutil.copytree(GITHUB, tmp_path / ".github")
    path = tmp_path / ".github" / "workflows" / "submission.yml"
    text = path.read_text().replace("pull_request:", "pull_request_target:", 1)
    path.write_text(text)
    done = audit(tmp_path / ".github")
    assert done.returncode != 0
    assert "dangerous-triggers" in done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_privileges_are_named(path: Path) -> None:
    text = path.read_text()
    used = re.findall(r"uses: (\S+)", text)
    assert all(PINNED.fullmatch(one) for one in used), used
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    assert "timeout-minutes:" in text
    scripts = re.findall(r"run: (?:[|>].*\n((?:\s{10,}.*\n)+)|(.*)\n)", text)
    assert not any("${{" in part for pair in scripts for part in pair)


def test_the_check_has_no_secret_no_cache_and_no_checkout_of_the_head() -> None:
    text = (GITHUB / "workflows" / "submission.yml").read_text()
    assert "secrets" not in text.partition("jobs:")[2]
    assert "cache:" not in text
    assert "write" not in text
    assert "head.sha" not in text
    assert "unshare --net" in text
    assert "prlimit" in text


def test_the_comment_never_checks_out_a_pull_request() -> None:
    text = (GITHUB / "workflows" / "submission-comment.yml").read_text()
    assert re.findall(r"ref: (.*)", text) == ["${{ github.event.repository.default_branch }}"]
    assert "pip install" not in text


def test_a_report_becomes_a_comment(tmp_path: Path) -> None:
    text = render_comment(read_report(saved(tmp_path, report())), one_entry=True)
    assert text.startswith(MARK)
    assert "can be merged" in text
    assert "0.5000 | 0.4000 to 0.6000" in text


@pytest.mark.parametrize(
    "bad",
    [
        {"schema": "x"},
        {"lane": "fast"},
        {"ok": 1},
        {"findings": {}},
        {"findings": ["x"]},
        {"labels": None},
        {"entry": []},
        {"entry": {"entry": 1, "findings": [], "scores": []}},
        {"entry": {"entry": "x", "findings": [], "scores": [{}]}},
    ],
)
def test_a_report_of_another_form_is_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        read_report(saved(tmp_path, report(**bad)))


def test_a_huge_report_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="larger than"):
        read_report(saved(tmp_path, report(head="x" * MAX_REPORT_BYTES)))


TRICKS = (
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "&#64;everyone @everyone #1 https://evil.example www.evil.example",
    "`code` | cell | **bold** \n# head\n- list",
    "\u202etxet\u200b\x1b[31m\x00",
    "A\ufe0f\U000e0100",
    "--> <!-- introspect-bench: submission report -->",
)


@pytest.mark.parametrize("trick", TRICKS)
def test_text_of_a_report_formats_nothing(tmp_path: Path, trick: str) -> None:
    shown = escape(trick)
    assert re.fullmatch("`[^`|\n]+`", shown)  # nothing in a code span is a link or a mention
    assert all(sign.isprintable() for sign in shown)
    finding = {"file": trick, "line": trick, "found": trick, "expected": trick, "fix": trick}
    score = {"task": trick, "metrics": {trick: {"value": trick, "interval_95": [trick, trick]}}}
    entry = {"entry": trick, "findings": [finding], "scores": [score]}
    made = report(entry=entry, labels=[{"text": trick}], findings=[finding] * 500)
    text = render_comment(read_report(saved(tmp_path, made)), one_entry=True)
    outside = re.sub("`[^`\n]+`", "", text)
    assert not set("`[]@#") & set(outside)
    assert not [one for one in (trick, "<img", "https:", "www.") if one in outside]
    assert outside.count("<!--") == 1
    assert len(text) <= MAX_COMMENT


def test_numbers_of_a_report_are_numbers_or_nothing(tmp_path: Path) -> None:
    for value in (True, "0.5", None, [1], 1e300, {"a": 1}):
        score = {"task": "t", "metrics": {"m": {"value": value, "interval_95": value}}}
        entry = {"entry": "x", "findings": [], "scores": [score]}
        read = read_report(saved(tmp_path, report(entry=entry)))
        assert "| `t` | `m` | none | none |" in render_comment(read, one_entry=True)


def test_what_a_pull_request_changes_is_the_servers_word() -> None:
    inside = ["submissions/toy/a__b__01234567/entry.json", "submissions/toy/a__b__01234567/x.jsonl"]
    assert adds_one_entry(inside)
    for more in ("benchmark/scoring/grade.py", "submissions/toy/c__d__01234567/entry.json", "x\ny"):
        assert not adds_one_entry([*inside, more])
    assert not adds_one_entry([])
    assert "Reviewed by hand" in render_comment(report(), one_entry=False)


class Server:
    """Answers as the server would, and remembers what is written."""

    def __init__(self, files: list[dict[str, str]], comments: list[dict[str, Any]]) -> None:
        self.files, self.comments = files, comments
        self.written: list[tuple[list[str], str]] = []

    def __call__(self, words: Sequence[str], body: str | None) -> Any:
        if body is not None:
            self.written.append((list(words), json.loads(body)["body"]))
            return None
        if words[-1].endswith("files?per_page=100"):
            return [self.files]
        if words[-1].endswith("comments?per_page=100"):
            return [self.comments]
        pulls = [{"number": 6, "head": {"sha": "cd" * 20}}, {"number": 7, "head": {"sha": SHA}}]
        return pulls if "head=acme:fix;$(id)" in words else []


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(GITHUB / "scripts" / "comment.py"))


ADDED = [{"filename": "submissions/toy/a__b__01234567/entry.json", "status": "added"}]


def test_the_pull_request_is_found_by_its_commit(script: dict[str, Any]) -> None:
    server = Server(ADDED, [])
    assert script["find_pull_request"](server, "o/r", "acme", "fix;$(id)", SHA) == 7
    assert script["find_pull_request"](server, "o/r", "acme", "fix;$(id)", "ef" * 20) is None
    assert script["find_pull_request"](server, "o/r", "other", "x", SHA) is None


def test_a_comment_is_written_once_and_then_replaced(
    script: dict[str, Any], tmp_path: Path
) -> None:
    path = saved(tmp_path, report())
    server = Server(ADDED, [])
    text = script["comment"](server, "o/r", 7, path)
    assert server.written == [(["repos/o/r/issues/7/comments", "--input", "-"], text)]
    own = {"id": 3, "user": {"login": "github-actions[bot]"}, "body": text}
    other = {"id": 2, "user": {"login": "somebody"}, "body": text}
    server = Server(ADDED, [other, own])
    script["comment"](server, "o/r", 7, path)
    assert server.written[0][0][:3] == ["-X", "PATCH", "repos/o/r/issues/comments/3"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 1}'])
def test_a_broken_report_never_fails_the_job(
    script: dict[str, Any], tmp_path: Path, content: str
) -> None:
    (tmp_path / "report.json").write_text(content)
    server = Server(ADDED, [])
    assert "can't be read" in script["comment"](server, "o/r", 7, tmp_path / "report.json")
    assert "can't be read" in script["comment"](server, "o/r", 7, tmp_path / "nothing.json")


def test_a_report_that_says_less_than_the_server_is_not_believed(
    script: dict[str, Any], tmp_path: Path
) -> None:
    changed = {"filename": "benchmark/scoring/grade.py", "status": "modified"}
    server = Server([*ADDED, changed], [])
    text = script["comment"](server, "o/r", 7, saved(tmp_path, report()))
    assert "Reviewed by hand" in text
    assert "can be merged" not in text
