"""A scratch git repository with a board of one entry, and pull requests against it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

QUIET = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}


class Scratch:
    """A repository whose main branch has a scorer, a workflow and one entry."""

    def __init__(self, root: Path, entry: Path) -> None:
        self.root = root
        self.entry = Path("submissions") / entry.parent.name / entry.name
        root.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        for name in ("benchmark/scoring/grade.py", ".github/workflows/submission.yml"):
            (root / name).parent.mkdir(parents=True)
            (root / name).write_text("right\n")
        (root / "submissions").mkdir()
        (root / "submissions" / "README.md").write_text("Entries.\n")
        shutil.copytree(entry, root / self.entry)
        self.base = self.commit()

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.root), *words],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, **QUIET},
        )
        return done.stdout.strip()

    def commit(self) -> str:
        """Commit everything that is there and return the commit."""
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def pull_request(self, change: Callable[[Path], object]) -> str:
        """Commit a change on a branch; main is checked out again afterwards."""
        self.git("switch", "--quiet", "-C", "pr", self.base)
        change(self.root)
        head = self.commit()
        self.git("switch", "--quiet", "main")
        return head
