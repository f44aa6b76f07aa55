from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from introspect_bench.benchmark import description_metrics
from introspect_bench.benchmark.description_metrics import DescriptionTable
from introspect_bench.benchmark.files import canonical_json, sha256_bytes
from introspect_bench.benchmark.metrics import (
    METRIC_VERSION,
    METRICS,
    ScoreTable,
    evaluate,
    normalise_content,
)


def make_table(
    exact: list[int], content: list[int], true: list[int], pred: list[int], group: list[int]
) -> ScoreTable:
    return ScoreTable(
        exact=np.array(exact, dtype=np.bool_),
        content=np.array(content, dtype=np.bool_),
        true_changed=np.array(true, dtype=np.bool_),
        pred_changed=np.array(pred, dtype=np.int8),
        group=np.array(group, dtype=np.int64),
    )


# Two groups of four and one of two; the last two queries have no answer.
TABLE = make_table(
    exact=[1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
    content=[1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    true=[1, 1, 0, 0, 1, 1, 0, 1, 0, 1],
    pred=[1, 1, 0, 0, 1, 0, 1, 1, -1, -1],
    group=[0, 0, 0, 0, 1, 1, 1, 1, 2, 2],
)


COLUMNS = [column.name for column in fields(DescriptionTable)]

CAUSAL = [name for name in METRICS if name not in description_metrics.METRICS]

# Ten features in six groups; the last two have no description.
DESCRIBED = DescriptionTable(
    pearson=np.array([500_000, -250_000, 1_000_000, 125_000, 0, 375_000, 750_000, 250_000, 0, 0]),
    of_reference=np.array([750_000] * 8 + [500_000] * 2),
    detection=np.array(
        [1_000_000, 0, 1_000_000, 500_000, 500_000, 833_333, 1_000_000, 666_667, 0, 0]
    ),
    similarity=np.array([900_000, -100_000, 1_000_000, 0, 50_000, 300_000, 700_000, 10_000, 0, 0]),
    predicates=np.array([400_000, 0, 900_000, 0, 0, 300_000, 800_000, 0, 0, 0]),
    group=np.array([0, 0, 1, 1, 2, 3, 4, 4, 5, 5]),
)


def test_descriptions_worked_out_by_hand() -> None:
    assert evaluate("pearson", DESCRIBED) == 2.75 / 10
    assert evaluate("pearson_of_reference", DESCRIBED) == (2.75 / 10) / (7 / 10)
    assert evaluate("detection_auroc", DESCRIBED) == 5.5 / 10
    assert evaluate("similarity", DESCRIBED) == 2.86 / 10
    assert evaluate("pearson_predicates", DESCRIBED) == 2.4 / 10
    weights = np.array([2.0, 2, 0, 0, 0, 0, 0, 0, 1, 1])
    assert METRICS["pearson"](DESCRIBED, weights) == pytest.approx((0.5 * 2 - 0.25 * 2) / 6)


def test_a_share_of_nothing_has_no_value() -> None:
    hopeless = replace(DESCRIBED, of_reference=np.full(10, -1))
    assert np.isnan(evaluate("pearson_of_reference", hopeless))
    assert evaluate("pearson", hopeless) == 0.275


def test_tables_of_descriptions_are_checked() -> None:
    with pytest.raises(ValueError, match="different length"):
        replace(DESCRIBED, detection=np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match="gaps"):
        replace(DESCRIBED, group=np.full(10, 2))
    with pytest.raises(ValueError, match="no queries"):
        replace(DESCRIBED, **{name: np.zeros(0, dtype=np.int64) for name in COLUMNS})
    for metric in description_metrics.METRICS.values():
        with pytest.raises(ValueError, match="no weight"):
            metric(DESCRIBED, np.zeros(10))


def test_values_worked_out_by_hand() -> None:
    assert evaluate("exact_match", TABLE) == 5 / 10
    assert evaluate("content_match", TABLE) == 7 / 10
    # right verdicts: queries 0-4 and 7
    assert evaluate("verdict_accuracy", TABLE) == 6 / 10
    # only group 0 is right throughout
    assert evaluate("group_consistency", TABLE) == 1 / 3
    # changed: true in 6 queries, answered in 5, both in 4: F1 = 2*4 / (6+5) = 8/11
    # unchanged: true in 4, answered in 3, both in 2: F1 = 2*2 / (4+3) = 4/7
    assert evaluate("has_changed_macro_f1", TABLE) == pytest.approx((8 / 11 + 4 / 7) / 2, abs=1e-15)


def test_weights_are_multiplicities() -> None:
    weights = np.array([2.0] * 4 + [0.0] * 4 + [1.0] * 2)
    repeated = [0, 1, 2, 3, 0, 1, 2, 3, 8, 9]
    table = make_table(
        exact=[int(TABLE.exact[i]) for i in repeated],
        content=[int(TABLE.content[i]) for i in repeated],
        true=[int(TABLE.true_changed[i]) for i in repeated],
        pred=[int(TABLE.pred_changed[i]) for i in repeated],
        group=[0, 0, 0, 0, 1, 1, 1, 1, 2, 2],
    )
    for name in CAUSAL:
        assert float(METRICS[name](TABLE, weights)) == evaluate(name, table)


def test_rows_of_weights_are_evaluated_apart() -> None:
    weights = np.array([[1.0] * 10, [3.0] * 4 + [1.0] * 4 + [2.0] * 2])
    for name, metric in METRICS.items():
        table = TABLE if name in CAUSAL else DESCRIBED
        together = metric(table, weights)
        assert together.shape == (2,)
        assert [float(metric(table, row)) for row in weights] == together.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 60))
    true = rng.integers(0, 2, n)
    pred = rng.integers(-1, 2, n)
    zero = [0] * n
    table = make_table(zero, zero, true.tolist(), pred.tolist(), list(range(n)))
    present = [c for c in (0, 1) if c in true or c in pred]
    expected = f1_score(true, pred, labels=present, average="macro", zero_division=0)
    assert evaluate("has_changed_macro_f1", table) == pytest.approx(expected, abs=1e-12)
    assert evaluate("verdict_accuracy", table) == pytest.approx(accuracy_score(true, pred))


def test_no_answer_is_wrong_everywhere() -> None:
    silent = make_table([0, 0], [0, 0], [0, 1], [-1, -1], [0, 1])
    assert {name: evaluate(name, silent) for name in CAUSAL} == dict.fromkeys(CAUSAL, 0.0)


def test_f1_of_a_class_that_occurs_nowhere_is_left_out() -> None:
    all_changed = make_table([1, 1], [1, 1], [1, 1], [1, 1], [0, 0])
    assert evaluate("has_changed_macro_f1", all_changed) == 1.0
    # Answering `unchanged` brings the class back, with F1 0: changed has 2*1/(2+1).
    one_wrong = make_table([1, 0], [1, 0], [1, 1], [1, 0], [0, 0])
    assert evaluate("has_changed_macro_f1", one_wrong) == pytest.approx((2 / 3 + 0) / 2)


def test_an_empty_table_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no queries"):
        make_table([], [], [], [], [])
    for name in CAUSAL:
        with pytest.raises(ValueError, match="no weight"):
            METRICS[name](TABLE, np.zeros(10))


def test_crooked_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="different length"):
        make_table([1], [1, 0], [1], [1], [0])
    with pytest.raises(ValueError, match="gaps"):
        make_table([1, 1], [1, 1], [1, 1], [1, 1], [0, 2])


CONTENTS = {
    "Paris": "Paris",
    "  New \n York\t": "New York",
    "Paris.": "Paris",
    '"Paris"': "Paris",
    '"Paris."': "Paris",
    '"Paris".': "Paris",
    "“Paris”": "Paris",
    "'Paris'": "Paris",
    "«Paris»": "Paris",
    "東京。": "東京",
    "Cafe\u0301": "Caf\u00e9",
    "Paris..": "Paris.",
    '"Paris.".': "Paris.",
    '"A" and "B"': '"A" and "B"',
    '"Paris': '"Paris',
    "'s-Hertogenbosch": "'s-Hertogenbosch",
    ".": ".",
    '""': '""',
    '" "': '" "',
    "": "",
    " \n": "",
}


@pytest.mark.parametrize("text", CONTENTS)
def test_content_is_normalised_gently(text: str) -> None:
    assert normalise_content(text) == CONTENTS[text]


@pytest.mark.parametrize(("one", "other"), [("US", "us"), ("", "."), ("Paris", "Paris,")])
def test_different_contents_stay_different(one: str, other: str) -> None:
    assert normalise_content(one) != normalise_content(other)


def test_metric_version_pins_the_outputs() -> None:
    weights = np.array([[1.0] * 10, [2.0] * 4 + [0.0] * 4 + [1.0] * 2])
    outputs = {
        name: metric(DESCRIBED if name in description_metrics.METRICS else TABLE, weights).tolist()
        for name, metric in METRICS.items()
    }
    contents = {text: normalise_content(text) for text in CONTENTS}
    found = sha256_bytes(canonical_json([outputs, contents]).encode())[:16]
    assert found == METRIC_VERSION, (
        "the metrics give other numbers than before: if that is meant, set METRIC_VERSION to "
        f"{found} and say so in the changelog; old results are then no longer comparable"
    )
