"""The whole path of a newcomer: run, submit, validate, build, check, open."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from program import started
from tiny_suites import make_suite_folder

import introspect_bench as ib

Open = Callable[..., Page]
CONTACT = "https://github.com/acme/model"


def said(folder: Path, *words: str) -> str:
    """Run the program in a folder and return what it printed."""
    done = started(*words, cwd=folder, INTROSPECT_BENCH_CACHE=str(folder / "cache"))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which three explainers were run, submitted and put on a page."""
    folder = tmp_path_factory.mktemp("newcomer")
    make_suite_folder(folder / "toy")
    for name in ("constant", "nearest-neighbour", "unchanged"):
        said(folder, "run", "-m", f"baseline/{name}", "--suite", "toy", "-o", f"runs/{name}")
        runs = sorted(str(path) for path in (folder / "runs" / name).glob("*.test.jsonl"))
        assert len(runs) == 2
        words = ("--name", f"acme/{name}", "--contact", CONTACT, "--declare", "--suite", "toy")
        said(folder, "submit", *runs, *words)
    said(folder, "validate", "--strict", "submissions", "--suite", "toy")
    said(folder, "board", "build", "--suite", "toy")
    return folder


def test_the_page_shows_what_scoring_says(home: Path, visit: Open) -> None:
    said(home, "board", "check", "site")
    page = visit(folder=home / "site")
    rows = page.locator("tbody.ranked tr[data-kind]")
    assert rows.count() == 3
    parts = page.locator("tbody.ranked tr.part").all_inner_texts()
    assert [text.partition(":")[0] for text in parts] == ["words", "runs-target"]
    assert page.locator("tbody.ranked").nth(1).locator(".who a").all_inner_texts() == ["unchanged"]
    for row in rows.all():
        name = row.locator(".who a").inner_text()
        for task in ("activation-patching", "input-ablations"):
            (run,) = (home / "runs" / name).glob(f"*.{task}.test.jsonl")
            result = ib.score(run, suite=str(home / "toy"))
            metric = result["overall"]["metrics"][result["headline"]]
            label = task.replace("-", " ").capitalize()
            cell = row.locator(f'[data-label="{label}"]')
            assert float(cell.get_attribute("data-v") or "") == metric["value"]
            value, low, high = (
                f"{100 * end:.1f}".replace("-", "\N{MINUS SIGN}")
                for end in (metric["value"], *metric["interval_95"])
            )
            assert cell.locator(".v").first.inner_text() == value
            assert cell.locator(".ci").inner_text() == f"[{low}, {high}]"


def test_its_queries_are_those_of_the_suite(home: Path, visit: Open) -> None:
    page = visit(folder=home / "site")
    page.locator("#queries").scroll_into_view_if_needed()
    expect(page.locator(".query")).to_have_count(10)
    (run,) = (home / "runs" / "nearest-neighbour").glob("*.activation-patching.test.jsonl")
    shown = ib.show(str(run), suite=str(home / "toy"))
    card = page.locator(".query").first
    assert card.locator("header a").inner_text() == shown[0]["id"]
    assert card.locator(".asked").inner_text().strip() == shown[0]["query"].strip()
    index = page.locator("#q-entries button").all_inner_texts().index("nearest-neighbour")
    assert card.locator(".raw").nth(index).inner_text() == shown[0]["raw"]
    mark = card.locator(".score").nth(index).inner_text()
    assert mark.startswith("✓" if shown[0]["exact"] else "✗")


def test_a_second_build_differs_in_nothing(home: Path, tmp_path: Path) -> None:
    site, again = home / "site", tmp_path / "again"
    said(home, "board", "build", "--suite", "toy", "--no-cache", "-o", str(again))
    assert said(home, "board", "diff", str(site), str(again)) == ""
    assert (site / "checksums.sha256").read_bytes() == (again / "checksums.sha256").read_bytes()


def test_a_new_entry_is_a_difference(home: Path, tmp_path: Path) -> None:
    for name in ("submissions", "toy"):
        shutil.copytree(home / name, tmp_path / name)
    gone = next((tmp_path / "submissions" / "toy").glob("acme__constant__*"))
    shutil.rmtree(gone)
    said(tmp_path, "board", "build", "--suite", "toy")
    words = ("board", "diff", str(tmp_path / "site"), str(home / "site"))
    done = started(*words)
    assert done.returncode == 1
    assert f"toy {gone.name}: added" in done.stdout.splitlines()
    report = json.loads(started(*words, "--json").stdout)
    assert report["differences"] == done.stdout.splitlines()
