"""A split in numbers, worked by hand, and the bars it must clear."""

from __future__ import annotations

from dataclasses import replace

import pytest

from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.benchmark.suite.freeze import Measured
from introspect_bench.tasks.build.statistics import (
    Bar,
    ceiling,
    check_expressible,
    describe,
    missed,
)


def query(outcome: str, *, clean: str = "c", kind: str = "k", margin: float = 1.0) -> Measured:
    return Measured(
        kind=kind,
        fields={"relation": f"r{kind}"},
        clean=clean,
        outcome=outcome,
        clean_ids=[1],
        outcome_ids=[2],
        margin=margin,
    )


def group(*outcomes: str, **more: str) -> list[Measured]:
    return [query(outcome, **more) for outcome in outcomes]  # type: ignore[arg-type]


def test_the_ceiling_is_the_commonest_answer_of_each_group() -> None:
    # best single answers: 2 of 4, 3 of 4; verdicts: 2 of 4, 4 of 4
    found = ceiling([group("c", "c", "x", "y"), group("x", "x", "x", "y")])
    assert found == {"exact_match": 0.625, "content_match": 0.625, "verdict_accuracy": 0.75}


def test_the_verdict_is_part_of_an_exact_match() -> None:
    """All four end the same, but only two of them changed: hints."""
    hints = [query("d", clean=clean) for clean in ("d", "d", "a", "b")]
    assert ceiling([hints]) == {
        "exact_match": 0.5,
        "content_match": 1.0,
        "verdict_accuracy": 0.5,
    }


def test_groups_count_alike_whatever_their_size() -> None:
    assert ceiling([group("x", "y"), group("x", "x", "x", "x")])["exact_match"] == 0.75


def test_a_described_split() -> None:
    groups = [
        group("c", "c", "x", "y", kind="a"),
        group("x", "x", "x", "z", kind="b"),
    ]
    groups[0][0] = query("c", kind="a", margin=0.25)
    found = describe(groups)
    assert found == {
        "queries": 8,
        "groups": 2,
        "share_changed": 0.75,
        "distinct_outcomes": 4,
        "commonest_outcomes": {"x": 0.5, "c": 0.25, "y": 0.125, "z": 0.125},
        "share_commonest_outcome": 0.5,
        "prior_exact_match": 0.5,
        "input_only_ceiling": {
            "exact_match": 0.625,
            "content_match": 0.625,
            "verdict_accuracy": 0.75,
        },
        "share_of_kind": {"a": 0.5, "b": 0.5},
        "share_of_relation": {"ra": 0.5, "rb": 0.5},
        "margin_quantiles_logits": {"0.01": 0.25, "0.05": 0.25, "0.1": 0.25, "0.5": 1.0},
        "least_margin_logits": 0.25,
    }


def patch(outcome: str, *, source: str, kind: str, layers: list[int]) -> Measured:
    one = query(outcome, kind=kind)
    return replace(one, fields={**one.fields, "layers": layers}, source=source)


def test_patches_are_counted_by_place_and_by_whose_answer_comes_out() -> None:
    found = describe(
        [
            [
                patch(o, source=s, kind="a", layers=[0, 5])
                for o, s in zip("cxcz", "xxcy", strict=True)
            ],
            [
                patch(o, source=s, kind="b", layers=[6, 11])
                for o, s in zip("cyyz", "xyxx", strict=True)
            ],
        ]
    )
    assert found["share_of_block"] == {"00-05": 0.5, "06-11": 0.5}
    assert found["least_share_of_block"] == 0.5
    assert found["share_of_cell"] == {"a 00-05": 0.5, "b 06-11": 0.5}
    assert found["share_of_origin"] == {
        "both": 0.125,
        "clean": 0.25,
        "neither": 0.375,
        "source": 0.25,
    }
    assert found["share_of_neither_by_cell"] == {"a 00-05": 0.25, "b 06-11": 0.5}


def test_only_the_commonest_outcomes_are_listed() -> None:
    found = describe([group(*"abcd"), group(*"efgh")])
    assert len(found["commonest_outcomes"]) == 5
    assert found["distinct_outcomes"] == 8


def test_an_empty_split_cannot_be_described() -> None:
    with pytest.raises(CheckFailedError, match="no group"):
        describe([])


def test_a_missed_bar_is_one_sentence_with_value_and_limits() -> None:
    numbers = {"queries": 399, "input_only_ceiling": {"exact_match": 0.71}, "share": 0.5}
    bars = (
        Bar(name="queries", low=400),
        Bar(name="input_only_ceiling.exact_match", high=0.65),
        Bar(name="share", low=0.45, high=0.55),
    )
    assert missed(numbers, bars) == [
        "queries is 399, allowed 400 to inf",
        "input_only_ceiling.exact_match is 0.71, allowed -inf to 0.65",
    ]


@pytest.mark.parametrize(("value", "n"), [(0.39, 1), (0.4, 0), (0.6, 0), (0.61, 1)])
def test_limits_themselves_are_allowed(value: float, n: int) -> None:
    assert len(missed({"share": value}, (Bar(name="share", low=0.4, high=0.6),))) == n


def test_a_value_that_is_no_number_misses_its_bar() -> None:
    assert missed({"share": float("nan")}, (Bar(name="share", low=0.4, high=0.6),))


def test_outcomes_that_no_reply_can_say_are_refused() -> None:
    said = [group("Lima", "U.S.", "c"), group('"x"', "São Tomé", "1")]
    check_expressible("test", said)
    with pytest.raises(CheckFailedError, match=r"test: no reply can say 2 of 8 outcomes.*'->'"):
        check_expressible("test", [*said, group("->", '"')])


def test_vectors_that_are_nearly_training_vectors_are_counted() -> None:
    near = (1.0, 0.99, 0.5, None)
    queries = [replace(query("x"), nearest_train=value) for value in near]
    found = describe([queries])
    assert found["share_near_train"] == pytest.approx(2 / 3)
    assert found["known_nearest_train"] == 0.75
    assert "share_near_train" not in describe([group("x", "y")])
