from __future__ import annotations

from typing import Any

import pytest

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.export.tables import DRAFT, LEGEND, NOTHING, markdown, plain


def result(
    name: str,
    value: float,
    *,
    kind: str = "baseline",
    task: str = "toy",
    interval: list[float] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    metrics = {
        "exact_match": {"value": value, "interval_95": interval or [value - 0.05, value + 0.05]},
        "group_consistency": {"value": value / 2, "interval_95": None},
    }
    found: dict[str, Any] = {
        "suite": "s",
        "task": task,
        "version": "v1",
        "split": "test",
        "data_sha256": "0",
        "frozen": True,
        "access": "words",
        "body_sha256": "1",
        "explainer": {"name": name, "kind": kind, "no_vector": False},
        "partial": False,
        "complete": True,
        "counts": {"queries": 200},
        "headline": "exact_match",
        "metrics": ["exact_match", "group_consistency"],
        "overall": {"n": 200, "scored": 190, "unparsed": 8, "missing": 2, "metrics": metrics},
        "reference": {
            "input_only_ceiling": {"exact_match": 0.512, "content_match": 0.6},
            "scale": {"floor": 0.0765, "ceiling": 1.0, "floor_of": "text <b>regression</b>"},
        },
    }
    return found | changes


def test_whoever_has_no_headline_comes_last() -> None:
    low, none = result("low", -0.1), result("none", 0.5)
    none["overall"]["metrics"]["exact_match"]["value"] = None
    rows = [line for line in markdown([none, low]).splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0] for row in rows] == ["| low", "| none"]
    assert rows[1] == f"| none | 200 | 5.0 | {NOTHING} | 25.0 |"


def test_markdown_as_a_page_shows_it() -> None:
    results = [
        result("baseline/constant", 0.07),
        result("baseline/source", 0.9, kind="oracle"),
        result("me/x", 0.51234),
    ]
    assert markdown(results) == (
        "### s · toy v1 · test · words\n"
        "\n"
        "| explainer | queries | no answer | exact match | group consistency |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| me/x | 200 | 5.0 | 51.2 [46.2, 56.2] | 25.6 |\n"
        "| baseline/constant | 200 | 5.0 | 7.0 [2.0, 12.0] | 3.5 |\n"
        "| baseline/source † | 200 | 5.0 | 90.0 [85.0, 95.0] | 45.0 |\n"
        "\n"
        "Ceiling of the text alone (one answer per group): exact match 51.2, content match 60.0.\n"
        "Floor (best null model that only reads, text bregression/b): exact match 7.6; "
        "ceiling (a calculator): 100.0.\n"
        "\n" + LEGEND.replace("*", "\\*") + "\n"
    )


def test_plain_table_is_aligned() -> None:
    text = plain([result("a", 0.5), result("longer/name", 0.125)])
    lines = text.splitlines()
    assert lines[0] == "s · toy v1 · test · words"
    assert lines[1].split("  ")[0] == "explainer"
    assert len({len(line) for line in lines[1:4]}) == 1
    assert lines[2].startswith("a            ")
    assert lines[3].startswith("longer/name  ")
    assert "12.5 [7.5, 17.5]" in lines[3]


def test_order_of_the_arguments_does_not_matter() -> None:
    results = [result("b", 0.5), result("a", 0.5), result("c", 0.7), result("a", 0.1, task="other")]
    assert markdown(results) == markdown(results[::-1])
    assert plain(results) == plain(results[::-1])
    names = [line.split(" | ")[0] for line in markdown(results).splitlines() if " | 200" in line]
    assert names == ["| a", "| c", "| a", "| b"]


def test_suites_of_different_bytes_get_different_tables() -> None:
    text = plain([result("a", 0.5), result("b", 0.5, data_sha256="9")])
    assert text.count("s · toy v1 · test · words") == 2


def test_every_access_class_has_a_table_of_its_own_the_narrowest_first() -> None:
    classes = ("undeclared", "replays", "words", "words, not ranked", "runs-target")
    text = plain([result(f"by {name}", 0.5, access=name) for name in classes])
    titles = [line for line in text.splitlines() if line.startswith("s · toy")]
    ordered = ("words", "runs-target", "replays", "undeclared", "words, not ranked")
    assert titles == [f"s · toy v1 · test · {name}" for name in ordered]


def test_marks() -> None:
    name = {"name": "a", "kind": "local", "no_vector": True}
    text = plain(
        [
            result("", 0.5, explainer=name),
            result("b", 0.4, partial=True),
            result("c", 0.3, complete=False),
            result("d", 0.2, kind="oracle", partial=True),
            result("e", 0.0, overall=None, partial=True),
        ]
    )
    first = [line.split("  ")[0] for line in text.splitlines()[2:7]]
    assert first == ["a ‡", "b *", "c *", "e *", "d †*"]


def test_a_name_can_neither_format_a_page_nor_steer_a_terminal() -> None:
    name = "x|y <img src=x> [a](javascript:b) **c**\x1b[31m\u202e\n| d " + "e" * 100
    row = next(line for line in markdown([result(name, 0.5)]).splitlines() if "img" in line)
    assert row.startswith(r"| x\|y \<img src=x\> \[a\](javascript\:b) \*\*c\*\*")
    assert "\x1b" not in row
    assert "\u202e" not in row
    text = plain([result(name, 0.5)])
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.splitlines()[2].split("  ")[0]) <= 60


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "0.5"])
def test_numbers_that_are_none_are_refused(value: Any) -> None:
    bad = result("a", 0.5)
    bad["overall"]["metrics"]["exact_match"]["value"] = value
    with pytest.raises(IntegrityError, match="expected a finite number"):
        markdown([bad])


def test_results_with_other_metrics_do_not_share_a_table() -> None:
    with pytest.raises(IntegrityError, match="different metrics"):
        plain([result("a", 0.5), result("b", 0.5, metrics=["exact_match"])])


def test_parts_come_after_everything_whole() -> None:
    text = plain(
        [
            result("lucky", 1.0, partial=True),
            result("stopped", 0.9, complete=False),
            result("a", 0.1),
            result("told", 0.8, kind="oracle"),
            result("lucky and told", 1.0, kind="oracle", partial=True),
        ]
    )
    first = [line.split("  ")[0] for line in text.splitlines()[2:7]]
    assert first == ["a", "told †", "lucky *", "stopped *", "lucky and told †*"]


def test_drafts_have_tables_of_their_own_that_say_so() -> None:
    results = [result("a", 0.5), result("b", 0.9, frozen=False)]
    for show, sign in ((plain, ""), (markdown, "### ")):
        text = show(results)
        assert text.count("s · toy v1 · test · words\n") == 1
        assert f"{sign}s · toy v1 · test · words · draft\n" in text
        assert text.count(DRAFT) == 1


def test_two_runs_of_one_name_are_told_apart_by_their_hashes() -> None:
    same = [result("me/x", 0.5, body_sha256=f"{n}" * 64) for n in (3, 4)]
    page = markdown([*same, result("me/y", 0.1)])
    assert "| me/x #33333333 | 200 |" in page
    assert "| me/x #44444444 | 200 |" in page
    assert "| me/y | 200 |" in page
    assert "me/x #33333333  " in plain(same)
    other = result("me/x", 0.5, task="another", body_sha256="5" * 64)
    assert "#" not in plain([same[0], other])
    unhashed = result("me/x", 0.5, body_sha256=None, run_id="abcdef0123")
    assert "me/x #abcdef01" in plain([same[0], unhashed])


def test_a_table_of_fewer_queries_than_are_asked_says_why_once() -> None:
    rows = [result(name, 0.5, counts={"queries": 1456}) for name in ("a", "b")]
    for show in (plain, markdown):
        assert show(rows).count("Queries: 200 of the 1,456 that are asked; the others are of") == 1
        assert "Queries:" not in show([result("a", 0.5)])


def test_notes_are_said_once_for_the_classes_of_a_task() -> None:
    words, replays = result("a", 0.5), result("b", 0.5, access="replays")
    page = markdown([words, replays, result("c", 0.5, task="other")])
    assert page.count("Floor (best null model") == 2
    assert page.count("Notes as above.") == 1
    other = {"scale": {"floor": 0.2, "ceiling": 1.0, "floor_of": "another"}}
    page = markdown([words, {**replays, "reference": {**replays["reference"], **other}}])
    assert page.count("Floor (best null model") == 2
