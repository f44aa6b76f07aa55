"""What killed programs leave in a folder of entries stops nobody; who is judged again."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

from introspect_bench.leaderboard.submissions.entries import (
    entry_folders,
    entry_sha256,
    find_entries,
    read_entry,
)
from introspect_bench.leaderboard.verification.ledger import Line, append_line

TOP = Path(__file__).parents[3]
ENTRY = TOP / "submissions" / "smollm2-135m" / "introspect-bench__constant__9878565d"


def shipped(root: Path) -> Path:
    return Path(shutil.copytree(ENTRY, root / ENTRY.parent.name / ENTRY.name))


def test_half_a_folder_and_a_lock_are_no_entries(tmp_path: Path) -> None:
    folder = shipped(tmp_path)
    (folder.parent / f".{folder.name}.partial").mkdir()
    (tmp_path / ".ledger.jsonl.lock").touch()
    assert list(entry_folders(tmp_path)) == [folder]
    assert [entry.folder for entry in find_entries(tmp_path)] == [folder]


def test_neither_withdrawn_nor_empty_descriptions_are_judged_again(tmp_path: Path) -> None:
    judged = runpy.run_path(str(TOP / ".github" / "scripts" / "rescore.py"))["new_judged"]
    folder = shipped(tmp_path)

    def asked() -> list[Path]:
        sha = entry_sha256(read_entry(folder))
        rows = [{"entry": folder.name, "suite": folder.parent.name, "sha256": sha}]
        return list(judged(tmp_path, {"entries": rows}, None))

    assert asked() == [folder]
    path = folder / "feature-descriptions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["kind"] != "judgement"]
    path.write_bytes(b"".join(kept))
    assert asked() == []
    path.write_bytes(b"".join(lines))
    said: dict[str, Any] = {
        "entry": folder.name,
        "entry_sha256": "ab" * 32,
        "by": "Ann",
        "reason": "by request",
    }
    append_line(tmp_path / "ledger.jsonl", Line(event="withdraw", **said))
    assert asked() == []
