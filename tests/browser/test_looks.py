"""How the page looks and where it opens, in a real browser: themes, widths, paper, axe, policy."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from tiny_boards import make_board

from introspect_bench.leaderboard.site.folder import write_site

Open = Callable[..., Page]


def background(page: Page) -> str:
    found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return found


def test_dark_follows_the_system_until_the_reader_chooses(visit: Open) -> None:
    light, dark = visit(), visit(color_scheme="dark")
    assert background(light) != background(dark)
    button = dark.get_by_role("button", name="light and dark")
    button.click()
    assert background(dark) == background(light)
    dark.reload()
    assert background(dark) == background(light)
    button.click()
    assert background(dark) != background(light)


def test_nothing_is_wider_than_the_window(visit: Open) -> None:
    page = visit()
    page.locator("#queries").scroll_into_view_if_needed()
    expect(page.locator(".query").first).to_be_visible()
    for width in (360, 390, 768, 1024, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing_serious(visit: Open, small_site: Path, scheme: str, width: int) -> None:
    # axe is a script of its own, so the policy is off
    page = visit(folder=small_site, width=width, color_scheme=scheme, bypass_csp=True)
    page.locator("#queries").scroll_into_view_if_needed()
    expect(page.locator(".query").first).to_be_visible()
    found = Axe().run(page).response["violations"]
    serious = [
        (one["id"], [node["target"] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_axe_would_find_something(visit: Open, small_site: Path) -> None:
    page = visit(folder=small_site, bypass_csp=True)
    page.evaluate("document.getElementById('search').closest('label').replaceWith('x')")
    page.evaluate("document.documentElement.removeAttribute('lang')")
    found = {one["id"] for one in Axe().run(page).response["violations"]}
    assert "html-has-lang" in found


def test_paper_shows_every_row_and_no_controls(visit: Open) -> None:
    page = visit(color_scheme="dark")
    page.emulate_media(media="print")
    assert page.locator("tbody.ranked tr[data-kind]:visible").count() == 44
    assert page.locator(".tools:visible, nav:visible, #queries:visible").count() == 0
    assert background(page) == "rgb(255, 255, 255)"


def test_the_policy_lets_no_other_script_act(visit: Open) -> None:
    page = visit(may_complain=True)  # each refusal is an error on the console
    page.evaluate(
        """() => {
          const script = document.createElement('script');
          script.textContent = 'window.pwned = 1';
          const image = '<img src="data:," onerror="window.pwned = 1">';
          document.body.append(script);
          document.body.insertAdjacentHTML('beforeend', image);
        }"""
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.pwned") is None
    policy = page.locator("meta[http-equiv]").get_attribute("content") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(site: Path) -> Iterator[str]:
    """The page's address on a plain static server."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_address[1]}/"
        found.shutdown()
        thread.join()


def test_it_works_from_a_static_host(visit: Open, server: str) -> None:
    page = visit(base=server)
    page.locator("thead button", has_text="Overall").first.click()
    page.locator("#queries").scroll_into_view_if_needed()
    expect(page.locator(".query")).to_have_count(10)


def test_two_hundred_entries_are_painted_within_a_second(visit: Open, tmp_path: Path) -> None:
    write_site(make_board(200, ("smollm2-135m",)), (), tmp_path / "site")
    assert (tmp_path / "site" / "index.html").stat().st_size <= 1_500_000
    times = []
    for _ in range(3):
        page = visit(folder=tmp_path / "site")
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
        times.append(
            page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        )
    assert min(times) < 1000
