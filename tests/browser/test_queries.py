"""The query browser in a real browser: loaded when it is near, filtered, linked to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect
from tiny_boards import make_board, make_sheet

Open = Callable[..., Page]
SHEET = make_sheet(make_board(24).suites[0])
RIGHT = [[reply.right for reply in own] for own in SHEET.replies]
SHOWN = 4
"""Entries shown at first."""


def near(page: Page) -> None:
    page.locator("#queries").scroll_into_view_if_needed()
    expect(page.locator(".query").first).to_be_visible()


def count(page: Page) -> int:
    expect(page.locator("#q-count")).to_contain_text("queries")
    return int(page.locator("#q-count").inner_text().split()[-2])


def test_nothing_is_loaded_before_the_reader_comes_near(visit: Open) -> None:
    page = visit()
    page.wait_for_timeout(200)
    assert page.locator("script[src]").count() == 0
    near(page)
    sources = page.locator("script[src]").evaluate_all("all => all.map(one => one.src)")
    names = sorted(source.rsplit("/", 1)[1] for source in sources)
    key = "smollm2-135m-activation-patching"
    assert names == [f"{key}-0.js", f"{key}-1.js"]


def test_a_query_stands_beside_its_truth_and_every_reply(visit: Open) -> None:
    page = visit()
    near(page)
    card = page.locator(".query").nth(2)
    text = card.inner_text()
    assert SHEET.queries[2].asked in text
    assert "changed: Paris 2" in card.locator(".truth").inner_text()
    rows = card.locator("tbody tr")
    assert rows.count() == SHOWN
    assert rows.nth(0).locator(".score").inner_text() == "✓ 1"
    assert rows.nth(1).locator(".score").inner_text() == "✗ 0"
    assert rows.nth(1).locator(".raw").inner_text() == "changed: Rome 1"
    silent = page.locator(".query").nth(7).locator("tbody tr").nth(0)
    assert silent.locator(".raw").inner_text() == "(no reply)"
    assert "(not readable)" in silent.inner_text()


def test_disagreements_and_all_wrong_are_what_the_replies_say(visit: Open) -> None:
    page = visit()
    near(page)
    n = len(SHEET.queries)
    assert count(page) == n
    rights = [sum(RIGHT[place][number] for place in range(SHOWN)) for number in range(n)]
    for show, wanted in (
        ("disagreements", sum(0 < right < SHOWN for right in rights)),
        ("wrong", rights.count(0)),
        ("right", rights.count(SHOWN)),
    ):
        page.locator("#q-show").select_option(show)
        expect(page.locator("#q-count")).to_contain_text(f"{wanted} queries")
        assert wanted > 0
    assert sum(0 < right < SHOWN for right in rights) + rights.count(0) < n


def test_pages_go_on_into_other_shards(visit: Open) -> None:
    page = visit()
    near(page)
    for number in range(1, 8):
        page.get_by_role("button", name="Next").click()
        expect(page.locator("#q-count")).to_contain_text(f"{10 * number + 1} to")
    assert SHEET.queries[70].asked in page.locator(".query").first.inner_text()
    assert page.locator('script[src$="-2.js"]').count() == 1
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#q-count")).to_contain_text("61 to")


def test_entries_and_tasks_are_chosen(visit: Open) -> None:
    page = visit()
    near(page)
    page.get_by_label("Add an entry").select_option(label="self-report-11")
    expect(page.locator(".query").first.locator("tbody tr")).to_have_count(SHOWN + 1)
    page.get_by_role("button", name="Remove lens-0").click()
    expect(page.locator(".query").first.locator("tbody tr")).to_have_count(SHOWN)
    assert "lens-0" not in page.locator(".query").first.inner_text().split()
    page.get_by_label("Task").select_option("qwen3-0.6b-input-ablations")
    expect(page.locator('script[src*="qwen3-0.6b-input-ablations-1"]')).to_have_count(1)
    expect(page.locator(".query").first.locator("tbody tr")).to_have_count(SHOWN)


def test_a_link_leads_to_a_query_with_the_same_entries(visit: Open) -> None:
    page = visit()
    near(page)
    page.get_by_role("button", name="Remove lens-0").click()
    expect(page.locator(".query").first.locator("tbody tr")).to_have_count(SHOWN - 1)
    address = page.locator(".query header a").nth(3).get_attribute("href")
    other = visit(address)
    expect(other.locator(".query")).to_have_count(1)
    assert SHEET.queries[3].asked in other.locator(".query").inner_text()
    assert other.locator(".query tbody tr").count() == SHOWN - 1
    other.get_by_role("button", name="Show other queries too").click()
    expect(other.locator(".query")).to_have_count(10)


def test_a_shard_that_is_gone_is_said(visit: Open, site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_bytes((site / "index.html").read_bytes())
    page = visit(folder=folder, may_complain=True)
    page.locator("#queries").scroll_into_view_if_needed()
    expect(page.locator("#q-count")).to_contain_text("cannot load")
