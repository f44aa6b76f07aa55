"""A real browser for the page, and pages of invented boards.

Debian's chromium, driven by Playwright, which brings no browser of its own here. Without chromium
these tests are skipped, but not in CI, where they fail.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tiny_boards import make_board, make_sheet

from introspect_bench.leaderboard.site.folder import write_site
from introspect_bench.leaderboard.site.shades import Window

expect.set_options(timeout=30_000)  # a busy machine is slow

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",  # the tests may run as root, and open only what they wrote
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless browser with an empty profile."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = "no chromium on this machine: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield found
        found.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a board with two suites of 24 entries and two tasks of queries."""
    board = make_board(24)
    sheets = [
        make_sheet(suite, task)
        for suite in board.suites
        for task in ("activation-patching", "input-ablations")
    ]
    folder = tmp_path_factory.mktemp("page") / "site"
    write_site(board, sheets, folder)
    return folder


@pytest.fixture(scope="session")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of six entries; its queries have a text with shades, which entry 1 predicts."""
    board = make_board(6)
    folder = tmp_path_factory.mktemp("page") / "small"
    sheet = make_sheet(board.suites[0], n=20)
    window = Window(tokens=("The", " cat", " sat"), true="059", mark=2)
    queries = tuple(dataclasses.replace(query, windows=(window,)) for query in sheet.queries)
    replies = tuple(
        tuple(dataclasses.replace(one, shades=("009" if place == 1 else "000",)) for one in own)
        for place, own in enumerate(sheet.replies)
    )
    write_site(board, [dataclasses.replace(sheet, queries=queries, replies=replies)], folder)
    return folder


@pytest.fixture
def visit(browser: Browser, site: Path) -> Iterator[Open]:
    """`visit(hash, folder=..., width=..., **context)`: open a page.

    At the end it must have had no error, no dialog, and no request for anything but its own folder,
    unless it `may_complain`.
    """
    opened: list[tuple[BrowserContext, list[str]]] = []

    def visit(
        fragment: str = "",
        *,
        folder: Path = site,
        width: int = 1440,
        base: str = "",
        may_complain: bool = False,
        **more: Any,
    ) -> Page:
        options: dict[str, Any] = {"color_scheme": "light"}
        options |= {"viewport": {"width": width, "height": 900}} | more
        context = browser.new_context(**options)
        context.set_default_timeout(60_000)  # a busy machine is slow
        wrong: list[str] = []
        opened.append((context, [] if may_complain else wrong))
        home = base or f"{folder.as_uri()}/"
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"error {error}"))
        page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
        page.on("console", lambda line: wrong.extend([line.text] * (line.type == "error")))
        context.on("request", lambda one: wrong.extend([one.url] * (not _own(one.url, home))))
        page.goto(f"{home}index.html{fragment}")
        return page

    yield visit
    for context, wrong in opened:
        context.close()
        assert wrong == []


def _own(url: str, home: str) -> bool:
    return url.startswith((home, "data:"))
