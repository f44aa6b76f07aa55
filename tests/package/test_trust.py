"""The trust report, and the pages that hold its tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import introspect_bench as ib
from introspect_bench import api, trust
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.cli import run_command_line
from introspect_bench.commands.doctor import command

TOP = Path(__file__).parents[2]
LIMITS = {"METHODOLOGY.md": 12_000, "SECURITY.md": 5_000}
COUNTED = {"n": 3, "of": 4}
CHECK = {"name": "identity-patch", "passed": True, "detail": "gap 0"}
RAN = {
    "kills": {"tried": 1500, "lost": 0, "stuck": 2, "date": "2026-01-02", "version": "0.1.0"},
    "spoilt_files": None,
}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine on which three of four labels come out again, without a model."""
    asked: dict[str, Any] = {}

    def labels(target: str, **options: Any) -> list[dict[str, Any]]:
        asked.update(options, target=target)
        return [{"task": "input-ablations", "split": "test", "labels_reproduced": COUNTED}]

    versions = {"metric_version": {"recorded": "ab", "computed": "ab"}}
    monkeypatch.setattr(api, "doctor", lambda *_, **__: [CHECK])
    monkeypatch.setattr(api, "labels", labels)
    monkeypatch.setattr(trust, "golden", lambda: versions)
    asked["versions"] = versions
    return asked


@pytest.mark.parametrize("name", LIMITS)
def test_a_page_is_short_linked_and_its_tables_are_those_of_today(
    name: str, tmp_path: Path
) -> None:
    page = Path(shutil.copy(TOP / name, tmp_path))
    assert not ib.doctor_fill(page), f"write it again: introspect-bench doctor --fill {name}"
    assert page.read_bytes() == (TOP / name).read_bytes()
    assert len(page.read_bytes()) <= LIMITS[name]
    assert f"]({name})" in (TOP / "README.md").read_text()


def test_every_table_stands_in_the_methodology() -> None:
    page = (TOP / "METHODOLOGY.md").read_text()
    assert [name for name in trust.tables() if f"<!-- table: {name} -->" not in page] == []


def test_fill_changes_what_is_between_the_markers_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- table: versions -->old<!-- end -->b <!-- end -->\n")
    done = CliRunner().invoke(command, ["--fill", str(page)])
    assert (done.exit_code, done.output) == (0, f"wrote {page}\n")
    table = trust.tables()["versions"]
    assert page.read_text() == (
        f"a\n<!-- table: versions -->\n\n{table}\n\n<!-- end -->b <!-- end -->\n"
    )
    before = page.stat().st_mtime_ns
    assert "nothing to change" in CliRunner().invoke(command, ["--fill", str(page)]).output
    assert page.stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"no marker", "at least once"),
        (b"<!-- table: versions --> without an end", "has no <!-- end -->"),
        (b"<!-- table: versions --> <!-- table: faults --><!-- end -->", "versions has no"),
        (b"<!-- table: prices --><!-- end -->", "prices is no table; tables are labels, flips"),
        (b"\xff<!-- table: versions --><!-- end -->", "not UTF-8 at byte 0"),
    ],
)
def test_a_page_that_cannot_be_filled_is_left_alone(text: bytes, said: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_bytes(text)
    with pytest.raises(IntegrityError, match=said):
        ib.doctor_fill(page)
    assert page.read_bytes() == text
    with pytest.raises(UsageError):
        ib.doctor_fill(tmp_path / "none.md")


def test_the_report_has_what_was_found_here_and_the_tables(measured: dict[str, Any]) -> None:
    words = ["--report", "--limit", "4", "--split", "test"]
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, done.output
    assert "| input-ablations | test | 3 | 4 |" in done.output
    assert "| metric_version | ab | ab | yes |" in done.output
    assert all(table in done.output for table in trust.tables().values())
    assert (measured["limit"], measured["split"]) == (4, "test")
    found = json.loads(CliRunner().invoke(command, [*words, "--json"]).stdout)
    parts = {"flips", "nulls", "versions", "faults", "promised", "not_promised", "labels"}
    assert parts <= found.keys()
    bands = {(row["task"], row["class"]): row["highest"] for row in found["nulls"]}
    assert bands["input-ablations v2", "words"] == "8.6"  # as its data card says
    assert found == ib.doctor_report("smollm2-135m", limit=4, split="test")


def test_outputs_that_are_not_the_recorded_ones_fail(
    measured: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    measured["versions"]["metric_version"]["computed"] = "cd"
    assert run_command_line(["doctor", "--report"]) == 1
    out, err = capsys.readouterr()
    assert "| metric_version | ab | cd | NO |" in out
    assert "metric_version is recorded as ab, outputs here give cd" in err


def test_faults_say_what_was_run_and_what_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place := tmp_path / "faults.json").write_text(json.dumps(RAN))
    monkeypatch.setattr(trust, "FAULTS", place)
    *_, kills, spoilt = trust.tables()["faults"].splitlines()
    assert kills == "| `tests/speed/faults.py` | 2026-01-02, 0.1.0 | 1,500 | 0 lost, 2 stuck |"
    assert spoilt.startswith("| `tests/speed/spoilt_files.py` | not run |")


def test_the_shipped_faults_are_of_the_form_that_is_read() -> None:
    found = trust.read_faults()
    assert found.keys() == json.loads(trust.FAULTS.read_text()).keys() == RAN.keys()
    for name, one in found.items():
        assert one is None or {"tried", "date", "version", *trust.COUNTS[name][1]} <= one.keys()
