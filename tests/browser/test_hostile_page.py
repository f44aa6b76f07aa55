"""Every field a stranger can fill, filled with every payload: nothing runs and nothing is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from payloads import HOST, PAYLOADS
from playwright.sync_api import Page, expect
from tiny_boards import make_board, make_row, make_sheet

from introspect_bench.leaderboard.site.board import Board, Matrix, Row, SuiteBoard
from introspect_bench.leaderboard.site.folder import write_site
from introspect_bench.leaderboard.site.render import Reply, Sheet, ShownQuery
from introspect_bench.leaderboard.site.shades import Window

Open = Callable[..., Page]


def hostile_row(number: int, text: str) -> Row:
    """A row whose every free field is a payload."""
    fields: dict[str, Any] = {
        "org": text,
        "name": text,
        "authors": (text, text),
        "links": {"paper": text, text: f"https://arxiv.org/{text}", "code": HOST},
        "licence": text,
        "trained_on": (text,),
        "bibtex": text,
        "notes": text,
        "labels": (f"copy: {text}", text),
        "tier_note": text,
        "base": text,
        "date": text,
        "facts": {text: text, "Weights": text},
    }
    row = make_row(number, len(PAYLOADS) + 12, "toy", np.random.default_rng(number))
    return dataclasses.replace(row, **fields)


def hostile_sheet(suite: SuiteBoard) -> Sheet:
    """Queries whose every text is a payload, answered by four entries in the same manner."""
    own = tuple(
        Reply(raw=text, read=text, score=text, right=number % 3 == 0, shades=("950",))
        for number, text in enumerate(PAYLOADS)
    )
    return Sheet(
        key="toy-activation-patching",
        title=PAYLOADS[0],
        queries=tuple(
            ShownQuery(
                id=f"{number:016x}",
                about=(text,),
                asked=text,
                truth=text,
                windows=(Window(tokens=(text,) * 3, true="059", mark=1),),
            )
            for number, text in enumerate(PAYLOADS)
        ),
        entries=tuple((row.id, row.name) for row in suite.rows[:4]),
        replies=(own, *(tuple(dataclasses.replace(one, right=False) for one in own),) * 3),
        metrics=(PAYLOADS[0],),
        differences={"0-1": (PAYLOADS[1],)},
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a board of payloads."""
    rows = tuple(hostile_row(number, text) for number, text in enumerate(PAYLOADS))
    board = make_board(4, ("toy",))
    suite = dataclasses.replace(board.suites[0], rows=rows)
    (matrix,) = board.matrices
    cells = tuple(
        dataclasses.replace(matrix.cells[1], row=text, entry=row.id)
        for text, row in zip(PAYLOADS, rows, strict=True)
    )
    matrix = Matrix(
        task=matrix.task,
        access=matrix.access,
        title=matrix.title,
        metric=matrix.metric,
        rows=PAYLOADS,
        targets=matrix.targets,
        cells=cells,
    )
    made = Board(package="0.0", metric_version="0", suites=(suite,), matrices=(matrix,))
    folder = tmp_path_factory.mktemp("hostile") / "site"
    write_site(made, [hostile_sheet(suite)], folder)
    return folder


def test_there_are_enough_payloads() -> None:
    assert len(set(PAYLOADS)) >= 40


def test_no_payload_runs_loads_or_changes_the_page(visit: Open, hostile: Path) -> None:
    page = visit(folder=hostile)
    assert page.locator("tbody tr[data-kind]").count() == len(PAYLOADS)
    for event in ("mouseover", "focusin", "toggle"):  # whatever a payload may wait for
        page.evaluate(
            "name => document.querySelectorAll('*').forEach("
            "one => one.dispatchEvent(new Event(name, {bubbles: true})))",
            event,
        )
    for link in page.locator("tbody .who a.open").all():
        link.evaluate("link => link.click()")
        assert page.locator("#sheet").evaluate("sheet => sheet.open")
    page.keyboard.press("Escape")
    page.get_by_label("Search").fill(PAYLOADS[0])
    assert page.locator("tbody tr[data-kind]:visible").count() >= 1
    page.get_by_label("Search").fill("")
    assert page.locator(".example .toks").count() == 3
    page.locator("#compare").scroll_into_view_if_needed()
    expect(page.locator("#c-table tbody tr").first).to_be_visible()
    seen = []
    page.locator("#queries").scroll_into_view_if_needed()
    expect(page.locator(".query").first).to_be_visible()
    while True:
        seen += page.locator(".query .asked").all_text_contents()
        if page.locator("#q-next").is_disabled():
            break
        before = page.locator("#q-count").inner_text()
        page.locator("#q-next").click()
        expect(page.locator("#q-count")).not_to_have_text(before)
    assert seen == list(PAYLOADS)
    page.wait_for_timeout(300)
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("({}).pwned") is None
    assert page.title() == "introspect-bench leaderboard"
    kinds = "script:not([src]), iframe, object, embed, base, form[action], img, video, audio, style"
    found = page.locator(kinds).evaluate_all("all => all.map(one => one.tagName).sort()")
    assert found == ["SCRIPT", "SCRIPT", "STYLE"]
    handlers = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames())"
        ".filter(name => name.startsWith('on') || name === 'style' || name === 'srcdoc')"
    )
    assert set(handlers) <= {"style"}  # the tooltip's place, set by our own script


def test_only_https_is_a_link(visit: Open, hostile: Path) -> None:
    page = visit(folder=hostile)
    addresses = page.locator("a").evaluate_all("all => all.map(one => [one.protocol, one.rel])")
    assert {protocol for protocol, _ in addresses} == {"file:", "https:"}
    assert all("noopener" in rel for protocol, rel in addresses if protocol == "https:")


@pytest.mark.parametrize("name", ["index.html", "q/toy-activation-patching-1.js"])
def test_json_in_a_script_cannot_end_it(hostile: Path, name: str) -> None:
    text = (hostile / name).read_text()
    if name == "index.html":
        assert text.count("</script>") == 2
        assert text.count("<script") == 2
    else:
        assert not set("<>&\u2028\u2029") & set(text)


def test_without_scripts_payloads_are_text_too(visit: Open, hostile: Path) -> None:
    page = visit(folder=hostile, java_script_enabled=False)
    assert page.locator("tbody tr[data-kind]").count() == len(PAYLOADS)
    shown = page.locator(".who a").all_text_contents()
    assert shown[0] == PAYLOADS[0]
    assert page.locator("img, iframe, object, embed").count() == 0


def test_a_sheet_cannot_choose_its_files_name() -> None:
    sheet = make_sheet(make_board(4).suites[0])
    for key in ("../x", "a/b", 'a");alert(1);("', "", "A"):
        with pytest.raises(ValueError, match="file's name"):
            dataclasses.replace(sheet, key=key)
