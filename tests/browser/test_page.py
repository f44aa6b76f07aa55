"""The page in a real browser, opened from the disk: sort, filter, links, entries, matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

Open = Callable[..., Page]
FIRST = "article.suite >> nth=0"


def names(page: Page, part: str = "ranked", suite: int = 0) -> list[str]:
    """Names of the rows that are seen, in their order."""
    article = page.locator("article.suite").nth(suite)
    return article.locator(f"tbody.{part} tr:not(.part):visible .who a").all_inner_texts()


def values(page: Page, label: str, suite: int = 0) -> list[float]:
    """Numbers behind the cells of a column that are seen, in their order."""
    cells = page.locator("article.suite").nth(suite).locator("tbody.ranked tr:not(.part):visible")
    found = cells.locator(f'[data-label="{label}"]').evaluate_all(
        "cells => cells.map(cell => cell.dataset.v)"
    )
    return [float(value) for value in found]


def head(page: Page, name: str) -> Any:
    return page.locator(FIRST).locator("thead button", has_text=name).first


def test_a_click_on_a_head_sorts_and_a_second_one_turns_round(visit: Open) -> None:
    page = visit()
    head(page, "Activation patching").click()
    down = values(page, "Activation patching")
    assert down == sorted(down, reverse=True)
    assert page.locator(FIRST).locator("[aria-sort]").get_attribute("aria-sort") == "descending"
    head(page, "Activation patching").click()
    assert values(page, "Activation patching") == sorted(down)
    assert page.locator(FIRST).locator("[aria-sort]").get_attribute("aria-sort") == "ascending"


def test_the_keyboard_sorts_too(visit: Open) -> None:
    page = visit()
    head(page, "Cost").focus()
    page.keyboard.press("Enter")
    found = values(page, "Tokens / query")
    assert found == sorted(found)
    assert found != sorted(found, reverse=True)


def test_rows_without_a_value_stay_last_both_ways(visit: Open) -> None:
    page = visit()
    for _ in range(2):
        head(page, "Size").click()
        cells = page.locator(FIRST).locator('tbody.ranked [data-label="Parameters"]')
        known = cells.evaluate_all("cells => cells.map(cell => 'v' in cell.dataset)")
        assert known.count(False) > 1
        assert known == sorted(known, reverse=True)


def test_oracles_stay_below_whatever_sorts(visit: Open) -> None:
    page = visit()
    oracles = set(names(page, "oracles"))
    assert len(oracles) == 2
    for name in ("Rank", "Overall", "Explainer"):
        head(page, name).click()
        assert set(names(page, "oracles")) == oracles
        assert not oracles & set(names(page))


def test_kinds_targets_and_words_filter(visit: Open) -> None:
    page = visit()
    everything = names(page)
    page.get_by_label("trained", exact=True).uncheck(force=True)
    kinds = page.locator("tbody.ranked tr:not(.part):visible").evaluate_all(
        "rows => rows.map(row => row.dataset.kind)"
    )
    assert set(kinds) == {"untrained", "baseline"}
    page.get_by_label("oracle", exact=True).uncheck(force=True)
    assert page.locator("tbody.oracles tr.part:visible").count() == 0
    page.get_by_label("Search").fill("OPEN-PROBES reader")
    few = names(page)
    assert 0 < len(few) < len(everything)
    assert all(name.startswith("reader") for name in few)
    page.get_by_label("Search").fill("no such entry")
    assert page.get_by_text("No entry of this table fits the filters.").count() == 2
    page.get_by_label("Search").fill("")
    page.get_by_label("Target").select_option("qwen3-0.6b")
    assert page.locator("article.suite:visible h3").all_inner_texts()[0].startswith("qwen3-0.6b")
    assert page.locator("article.suite:visible").count() == 1


def test_columns_can_be_taken_away(visit: Open) -> None:
    page = visit()
    page.get_by_text("Columns", exact=True).click()
    page.locator("#columns").get_by_label("Tier").uncheck()
    assert page.locator("td.tier:visible").count() == 0
    assert page.locator("thead th:visible", has_text="Tier").count() == 0
    assert page.locator("thead th:visible", has_text="Vectors").count() == 2


def test_a_link_shows_what_its_sender_saw(visit: Open) -> None:
    page = visit()
    head(page, "Input ablations").click()
    page.get_by_label("baseline", exact=True).uncheck(force=True)
    page.get_by_label("Search").fill("tuva")
    page.get_by_text("Columns", exact=True).click()
    page.locator("#columns").get_by_label("Date").uncheck()
    seen = names(page)
    other = visit(page.evaluate("location.hash"))
    assert names(other) == seen
    assert len(seen) > 1
    assert other.locator("td.date:visible").count() == 0
    assert other.get_by_label("Search").input_value() == "tuva"
    plain = visit("#sort=nonsense&kinds=%3Cb%3E&page=-3&unknown=1")
    assert len(names(plain)) == 22


def test_an_entry_opens_beside_the_table_and_has_an_address(visit: Open) -> None:
    page = visit()
    page.get_by_role("link", name="oracle-lora-1", exact=True).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert "All metrics" in dialog.inner_text()
    assert dialog.get_by_role("link", name="paper").get_attribute("href") == (
        "https://arxiv.org/abs/2511.08579"
    )
    address = page.evaluate("location.hash")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate("location.hash") == ""
    other = visit(address)
    expect(other.get_by_role("dialog")).to_be_visible()
    assert "oracle-lora-1" in other.get_by_role("dialog").inner_text()


def test_the_matrix_marks_self_and_leaves_empty_what_was_not_measured(visit: Open) -> None:
    page = visit()
    rows = page.locator(".heat tbody tr")
    assert rows.count() == 4
    cells = [rows.nth(y).locator("td") for y in range(4)]
    for y in range(4):
        for x in range(2):
            css = cells[y].nth(x).get_attribute("class") or ""
            assert ("self" in css.split()) == (y == x)
    empty = cells[3].nth(1)
    assert empty.get_attribute("class") == "empty"
    assert not any(sign.isdigit() for sign in empty.inner_text())
    assert empty.get_attribute("data-value") is None
    assert cells[0].nth(1).locator(".diff.sig").count() == 1  # p = 0.001
    assert cells[2].nth(0).locator(".diff.sig").count() == 0  # p = 0.4
    assert "p = 0.4" in (cells[2].nth(0).locator(".diff").get_attribute("title") or "")


def test_every_column_is_explained_on_hover_and_on_focus(visit: Open) -> None:
    page = visit()
    tip = page.get_by_role("tooltip")
    for button in page.locator(FIRST).locator("thead button").all():
        button.hover()
        expect(tip).to_be_visible()
        assert tip.inner_text().strip().endswith((".", ")"))
    page.mouse.move(5, 5)
    expect(tip).to_be_hidden()
    head(page, "Overall").focus()
    expect(tip).to_contain_text("floor (0: the best null model")
    assert head(page, "Overall").get_attribute("aria-describedby") == "tip"
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_without_scripts_it_is_a_plain_page(visit: Open) -> None:
    page = visit(java_script_enabled=False)
    assert len(names(page)) == 22
    assert page.locator(".js:visible").count() == 0
    assert page.locator("noscript p").is_visible()
    page.get_by_role("link", name="lens-0", exact=True).first.click()
    summary = page.locator("details.entry summary").first
    summary.click()
    assert page.locator("details.entry[open] .facts").is_visible()
    assert page.locator(".chart svg circle").count() > 20
