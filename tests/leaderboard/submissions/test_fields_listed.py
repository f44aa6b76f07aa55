"""README of submissions says of every field what is known of it, and of no other."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from introspect_bench.benchmark.runs.header import Header
from introspect_bench.leaderboard.submissions.schema import EntryFields

README = Path(__file__).parents[3] / "submissions" / "README.md"
RUN, BASIS = "run file:", ("computed", "checked against", "declared", "copied from the suite")


def test_every_field_of_an_entry_has_its_basis() -> None:
    part = README.read_text("utf-8").partition("## Fields of an entry")[2]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", part, re.MULTILINE)
    listed = {name for head, _ in rows if RUN not in head for name in re.findall("`(.+?)`", head)}
    assert listed - {"NOTES.md"} == {field.name for field in fields(EntryFields)}
    of_runs = " ".join(head for head, _ in rows if RUN in head)
    known = {field.name for field in fields(Header)}
    assert set(re.findall(r"`(\w+)[`.]", of_runs)) <= known
    for head, said in rows:
        assert any(f"**{basis}**" in said for basis in BASIS), head
