"""The paper's metrics: its parser against the regular expressions it states, its F1 by counting."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.metrics import f1_score

from introspect_bench.benchmark.records import GroundTruth, Query, Scored
from introspect_bench.benchmark.scoring.paper_protocol import (
    gold,
    left_out,
    metrics,
    normalised,
    parse,
)

UNCHANGED = r".*remain\s+unchanged\s+from\s+<<<([^>]*(?:>[^>]*)*?)>>>"
CHANGED = r".*change\s+to\s+<<<([^>]*(?:>[^>]*)*?)>>>"
PIECES = ("remain unchanged from <<<", "change to <<<", "change\nto <<<", "a", ">", ">>>", "\n")


def as_published(text: str) -> tuple[str, bool] | None:
    for pattern, changed in ((UNCHANGED, False), (CHANGED, True)):
        if match := re.search(pattern, text.lower()):
            return match.group(1).strip(), changed
    return None


def test_the_parser_gives_what_the_published_expressions_give() -> None:
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(3000):
        text = "".join(rng.choice(PIECES, size=rng.integers(1, 12)))
        assert parse(text) == as_published(text), text
        found.add(as_published(text) is None)
    assert found == {True, False}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("The output would NOT change to <<<X>>>.", ("x", True)),
        ("remain unchanged from <<<A>>>, change to <<<B>>>", ("a", False)),
        ("change to <<<A>>> or change to <<<B>>>\nchange to <<<C>>>", ("b", True)),
        ("change to <<< Answer: B >>>", ("answer: b", True)),
        ("change to <<<a>b>>>>", ("a>b", True)),
        ("change to <<<a>>", None),
        ("changed: a", None),
    ],
)
def test_its_quirks(reply: str, expected: tuple[str, bool] | None) -> None:
    assert parse(normalised(reply)) == expected


def test_many_open_brackets_take_no_time() -> None:
    assert parse("change to <<<" * 20_000) is None


def scored(clean: str, outcome: str, *, vector: int | None, raw: str | None = "x") -> Scored:
    fields = {"answer_form": "letter"} if vector is None else {}
    query = Query(id="0" * 16, group="1" * 16, kind="hint", fields=fields, vector=vector)
    truth = GroundTruth(
        id=query.id, clean=clean, outcome=outcome, clean_ids=None, outcome_ids=None, margin=None
    )
    return Scored(query=query, raw=raw, answer=None, truth=truth)


def test_the_reply_that_is_right() -> None:
    changed = "The most likely output would change to <<<{}>>>."
    assert gold(scored("B", "A", vector=None)) == changed.format("Answer: A")
    same = "The output would remain unchanged from <<<Answer: B>>>."
    assert gold(scored("B", "B", vector=None)) == same
    assert gold(scored("P", " Hamas", vector=0)) == changed.format(" Hamas")
    # their data holds decoded tokens, and they are decoded again
    assert gold(scored("P", "São", vector=0)) == changed.format("S\ufffdo")
    assert gold(scored("P", " São", vector=0)) == changed.format(" São")


@pytest.mark.parametrize(
    ("one", "row", "why"),
    [
        (scored("A", "B", vector=None, raw=None), {}, "missing"),
        (scored("A", "B", vector=None), {"n_in": 501}, "too_long"),
        (scored("A", "B", vector=None), {"n_in": 500}, ""),
        (scored("A", "<|eot_id|>", vector=0), {}, "end_of_text"),
    ],
)
def test_what_the_paper_leaves_out(one: Scored, row: dict[str, int], why: str) -> None:
    assert left_out(one, row) == why


def test_metrics_on_counted_replies() -> None:
    change, same = "The most likely output would change to <<<{}>>>.", "x remain unchanged from "
    pairs = [
        (" the MOST likely output would change to <<<A>>>", change.format("a")),  # all
        ("The output would change to <<<A>>>.", change.format("a")),  # parsed, not strict
        (f"{same}<<<a>>>", change.format("a")),  # content alone
        (f"{same}<<<b>>>", f"{same}<<<b>>>"),  # all
        ("changed: a", change.format("a")),  # nothing
        (change.format("b"), f"{same}<<<c>>>"),  # valid alone
    ]
    found = metrics(pairs)
    assert [found[n] for n in ("exact_strict", "exact_parsed", "content", "valid")] == [
        pytest.approx(part / 6) for part in (2, 3, 4, 5)
    ]
    true, said = [1, 1, 1, 0, 0], [1, 1, 0, 0, 1]
    assert found["f1_changed"] == pytest.approx(f1_score(true, said, pos_label=1))
    assert found["f1_unchanged"] == pytest.approx(f1_score(true, said, pos_label=0))
    assert found["f1"] == pytest.approx(f1_score(true, said, average="macro"))


def test_no_valid_reply_is_worth_nothing() -> None:
    assert set(metrics([("changed: a", "x change to <<<a>>>")]).values()) == {0.0}
