"""Workflow B: tell a pull request what workflow A found; runs the main branch's code only.

The report is a stranger's file. Which pull request it is about, and what that changes, is asked
from the server: by the head commit of the finished run, never by what the report says.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.errors import IntrospectBenchError
from introspect_bench.leaderboard.submissions.comment import (
    MANUAL,
    MARK,
    adds_one_entry,
    read_report,
    render_comment,
)

Ask = Callable[[Sequence[str], str | None], Any]
"""Calls `gh api` with words and a body; returns what it says, parsed."""


def ask_server(words: Sequence[str], body: str | None = None) -> Any:
    """Call `gh api`."""
    done = subprocess.run(
        ["gh", "api", *words], input=body, capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout) if done.stdout.strip() else None


def find_pull_request(ask: Ask, repository: str, owner: str, branch: str, sha: str) -> int | None:
    """Return the number of the open pull request whose head is a commit, if there is one."""
    words = ["-X", "GET", f"repos/{repository}/pulls", "-f", "state=open"]
    found = ask([*words, "-f", f"head={owner}:{branch}"], None)
    numbers = [one["number"] for one in found if one["head"]["sha"] == sha]
    return int(numbers[0]) if numbers else None


def comment(ask: Ask, repository: str, number: int, report: Path) -> str:
    """Write or replace the comment on a pull request; return what it says."""
    listed = ask(
        ["--paginate", "--slurp", f"repos/{repository}/pulls/{number}/files?per_page=100"], None
    )
    paths = [one["filename"] for page in listed for one in page if one["status"] == "added"]
    others = any(one["status"] != "added" for page in listed for one in page)
    try:
        said = read_report(report)
        text = render_comment(said, one_entry=adds_one_entry(paths) and not others)
    except IntrospectBenchError:
        text = f"{MARK}\n\n**The report of CI can't be read.**\n\n{MANUAL}"
    place = f"repos/{repository}/issues/{number}/comments"
    there = ask(["--paginate", "--slurp", f"{place}?per_page=100"], None)
    own = [
        one["id"]
        for page in there
        for one in page
        if one["user"]["login"] == "github-actions[bot]" and one["body"].startswith(MARK)
    ]
    where = ["-X", "PATCH", f"repos/{repository}/issues/comments/{own[0]}"] if own else [place]
    ask([*where, "--input", "-"], json.dumps({"body": text}))
    return text


def main() -> int:
    """Comment on the pull request that the environment names."""
    names = ("GITHUB_REPOSITORY", "HEAD_OWNER", "HEAD_BRANCH", "HEAD_SHA")
    repository, owner, branch, sha = (os.environ[name] for name in names)
    if not re.fullmatch("[0-9a-f]{40}", sha) or not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        sys.stderr.write("the event names no commit\n")
        return 2
    number = find_pull_request(ask_server, repository, owner, branch, sha)
    if number is None:
        sys.stdout.write("no open pull request has this head any more\n")
        return 0
    comment(ask_server, repository, number, Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
