"""What a visitor does first, in a real browser: reads examples, filters, compares entries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect
from tiny_boards import make_board

Open = Callable[..., Page]


def test_true_activations_stand_above_predicted_ones(visit: Open, small_site: Path) -> None:
    page = visit(folder=small_site)
    example = page.locator(".example")
    assert example.locator(".toks").first.inner_text().split() == ["true", *["The", "cat", "sat"]]
    page.locator("#queries").scroll_into_view_if_needed()
    lines = page.locator(".query").first.locator(".toks")
    expect(lines).to_have_count(3)
    shades = [
        [token.get_attribute("class") for token in line.locator("span > span").all()]
        for line in lines.all()
    ]
    assert shades[:2] == [["h0", "h5", "h9 mark"], ["h0", "h0", "h9 mark"]]
    names = [row.name for row in make_board(6).suites[0].rows]
    assert names[1] in lines.nth(1).inner_text()
    assert lines.nth(2).inner_text().replace("\n", " ") == (
        f"predict none {', '.join([names[0], *names[2:4]])}"
    )
    colours = lines.first.locator("span > span").evaluate_all(
        "all => all.map(one => getComputedStyle(one).backgroundColor)"
    )
    assert len(set(colours)) == 3


def test_class_size_and_date_filter(visit: Open, small_site: Path) -> None:
    page = visit(folder=small_site)
    shown = page.locator("article.suite >> nth=0").locator("tr[data-kind]:visible .who a")
    rows = make_board(6).suites[0].rows
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Class", exact=True).select_option("oracle")
    expect(shown).to_have_text([row.name for row in rows if row.access == "oracle"])
    page.get_by_label("Class", exact=True).select_option("")
    page.get_by_label("Size up to").select_option("2B")
    sized = [row.name for row in rows if row.parameters and row.parameters <= 2e9]
    expect(shown).to_have_text(sized)
    page.get_by_label("Since").fill("2026-03-01")
    late = [row.name for row in rows if row.name in sized and row.date >= "2026-03-01"]
    expect(shown).to_have_text(late)
    assert 0 < len(late) < len(sized) < len(rows)
    other = visit(page.evaluate("location.hash"), folder=small_site)
    expect(other.locator("article.suite >> nth=0").locator("tr[data-kind]:visible")).to_have_count(
        len(late)
    )


def test_two_entries_stand_side_by_side(visit: Open, small_site: Path) -> None:
    page = visit(folder=small_site)
    page.locator("#compare").scroll_into_view_if_needed()
    row = page.locator("#c-table tr", has_text="Activation patching").filter(
        has_text="balanced exact match"
    )
    expect(row.locator("td").last).to_have_text("+1.0 [−2.0, +4.0]")  # noqa: RUF001
    first, second = (row.name for row in make_board(6).suites[0].rows[:2])
    options = page.locator("#c-a option").all_text_contents()
    assert options[0].startswith(first)
    assert options[1].startswith(second)
    values = row.locator("td").nth(1).inner_text()
    page.locator("#c-a").select_option(index=1)
    page.locator("#c-b").select_option(index=0)
    expect(row.locator("td").last).to_have_text("−1.0 [−4.0, +2.0]")  # noqa: RUF001
    assert row.locator("td").nth(2).inner_text() == values
    page.locator("#c-b").select_option(index=5)  # an oracle is nobody's equal
    expect(row.locator("td").last).to_have_text("–")  # noqa: RUF001
    other = visit(page.evaluate("location.hash"), folder=small_site)
    expect(other.locator("#c-b")).to_have_value(page.locator("#c-b").input_value())


APART = """charts => charts.flatMap(chart => {
  const card = chart.getBoundingClientRect();
  const boxes = [...chart.querySelectorAll('svg text')].map(
    one => [one.textContent, one.getBoundingClientRect()]);
  const outside = boxes.filter(
    ([, b]) => b.left < card.left || b.right > card.right || b.bottom > card.bottom);
  const meet = (a, b) => a.left < b.right && b.left < a.right &&
    a.top + 2 < b.bottom && b.top + 2 < a.bottom;
  const hits = boxes.flatMap(([name, a], place) => boxes.slice(place + 1)
    .filter(([, b]) => meet(a, b)).map(([other]) => [name, other]));
  return [...outside.map(([name]) => [name]), ...hits];
})"""


def test_labels_of_charts_neither_overlap_nor_leave_their_card(visit: Open) -> None:
    page = visit()
    assert page.locator(".chart").count() > 3
    assert page.locator(".chart").evaluate_all(APART) == []
    assert not [text for text in page.locator(".chart").all_inner_texts() if "…" in text]


def test_a_phone_is_not_scrolled_for_ever(visit: Open, small_site: Path) -> None:
    page = visit(folder=small_site, width=390)
    page.locator("#queries").scroll_into_view_if_needed()
    expect(page.locator(".query").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollHeight") <= 9_000
