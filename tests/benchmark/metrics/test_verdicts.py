from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.stats import gmean
from sklearn.metrics import accuracy_score, f1_score, recall_score
from tiny_tables import DESCRIBED, KINDED, TABLE, make_table

from introspect_bench.benchmark.files import canonical_json, sha256_bytes
from introspect_bench.benchmark.metrics import descriptions as description_metrics
from introspect_bench.benchmark.metrics.verdicts import (
    METRICS,
    GroupWeights,
    ScoreTable,
    Table,
    evaluate,
    normalise_content,
    of_part,
)

CAUSAL = [name for name in METRICS if name not in description_metrics.METRICS]


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


def test_classes_and_kinds_worked_out_by_hand() -> None:
    # changed: right are queries 0 and 4 of 0, 2, 4, 6; the content of query 2 too
    assert evaluate("exact_match_changed", KINDED) == 2 / 4
    assert evaluate("content_match_changed", KINDED) == 3 / 4
    # unchanged: right are 1, 5 and 7 of 1, 3, 5, 7
    assert evaluate("exact_match_unchanged", KINDED) == 3 / 4
    assert evaluate("balanced_exact_match", KINDED) == pytest.approx((1 / 2 * 3 / 4) ** 0.5)
    assert evaluate("which_accuracy", KINDED) == 1 / 3
    # hints: 1/2 and 1/2; contexts: 1/2 and 1; which: (1/3 - 1/4) / (3/4)
    assert evaluate("kind_mean", KINDED) == pytest.approx((1 / 2 + (1 / 2) ** 0.5 + 1 / 9) / 3)
    # verdicts are asked of 8 queries: right are 0, 1, 4, 5 and 7
    assert evaluate("verdict_accuracy", KINDED) == 5 / 8
    assert evaluate("exact_match", KINDED) == 6 / 11


@pytest.mark.parametrize("seed", range(20))
def test_balanced_exact_match_is_the_g_mean_with_exact_match_for_recall(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    true, kind = rng.integers(0, 2, n), rng.choice(["hint", "context", "which"], size=n)
    pred = rng.integers(-1, 2, n)
    exact = (pred == true) & (rng.random(n) < 0.7)
    weights = rng.integers(0, 4, n).astype(np.float64)
    content = exact | (rng.random(n) < 0.2)
    hit, text = exact.astype(int).tolist(), content.astype(int).tolist()
    table = make_table(hit, text, true.tolist(), pred.tolist(), list(range(n)), kind.tolist())

    def g_mean(chosen: np.ndarray) -> float:
        # whoever is not exactly right is of neither class: recall is then exact match
        said = np.where(exact, true, -1)
        recalls = recall_score(
            true[chosen], said[chosen], labels=[0, 1], average=None, sample_weight=weights[chosen]
        )
        return float(gmean(recalls))

    asked = kind != "which"
    found = {name: float(METRICS[name](table, weights)) for name in CAUSAL}
    assert found["balanced_exact_match"] == pytest.approx(g_mean(asked))
    which = accuracy_score(np.ones(n - asked.sum()), exact[~asked], sample_weight=weights[~asked])
    assert found["which_accuracy"] == pytest.approx(which)
    parts = [g_mean(kind == "hint"), g_mean(kind == "context"), (which - 0.25) / 0.75]
    assert found["kind_mean"] == pytest.approx(sum(parts) / 3)


def test_always_one_verdict_has_no_balanced_exact_match() -> None:
    true = [1, 1, 0, 0]
    for verdict in (0, 1):
        right = [int(value == verdict) for value in true]
        table = make_table(right, right, true, [verdict] * 4, [0, 0, 1, 1])
        assert evaluate("balanced_exact_match", table) == 0
        assert evaluate("exact_match", table) == 0.5


def test_a_class_or_kind_without_weight_has_no_value() -> None:
    no_which = np.array([1.0] * 8 + [0.0] * 3)
    no_changed = np.array([0.0, 1] * 4 + [1.0] * 3)
    only_which = np.array([0.0] * 8 + [1.0] * 3)
    rows = (no_which, no_changed, only_which)
    lacking = {
        name: [bool(np.isnan(METRICS[name](KINDED, row))) for row in rows]
        for name in CAUSAL
        if name != "group_consistency"
    }
    assert lacking == {
        "exact_match": [False, False, False],
        "content_match": [False, False, False],
        "balanced_exact_match": [False, True, True],
        "exact_match_changed": [False, True, True],
        "exact_match_unchanged": [False, False, True],
        "content_match_changed": [False, True, True],
        "which_accuracy": [True, False, False],
        "kind_mean": [True, True, True],
        "has_changed_macro_f1": [False, False, True],
        "verdict_accuracy": [False, False, True],
    }


def test_within_a_kind_another_metric_stands_for_the_mean_over_kinds() -> None:
    assert of_part("kind_mean", ["hint", "hint"]) == "balanced_exact_match"
    assert of_part("kind_mean", ["which"]) == "which_accuracy"
    assert of_part("kind_mean", KINDED.kind) == "kind_mean"
    assert of_part("verdict_accuracy", ["which"]) == "verdict_accuracy"
    assert of_part("weighted_r", ()) == "weighted_r"


def test_weights_are_multiplicities() -> None:
    weights = np.array([2.0, 2, 2, 0, 0, 0, 1, 1, 2, 0, 1])
    rows = np.repeat(np.arange(11), weights.astype(int))
    columns = {f.name: getattr(KINDED, f.name)[rows] for f in fields(ScoreTable)}
    # the copies are no groups of their own: members weigh the same in the copies too
    columns["group"] = np.array([0] * 9 + [1] * 3)[np.argsort(np.argsort(columns["group"]))]
    table = ScoreTable(**columns)
    for name in CAUSAL:
        if name != "group_consistency":
            assert METRICS[name](KINDED, weights) == pytest.approx(
                evaluate(name, table), nan_ok=True
            )
    assert METRICS["group_consistency"](TABLE, np.array([2.0] * 4 + [0.0] * 4 + [1.0] * 2)) == 2 / 3


def test_rows_of_weights_are_evaluated_apart() -> None:
    for name, metric in METRICS.items():
        table = KINDED if name in CAUSAL else DESCRIBED
        weights = np.ones((2, table.n))
        weights[1, : table.n // 2] = 3
        together = metric(table, weights)
        assert together.shape == (2,)
        assert [float(metric(table, row)) for row in weights] == together.tolist()


def test_weights_of_groups_are_those_of_their_queries() -> None:
    for name, metric in METRICS.items():
        table = KINDED if name in CAUSAL else DESCRIBED
        counts = np.random.default_rng(0).integers(1, 5, (7, table.n_groups)).astype(np.uint8)
        expected = metric(table, counts[:, table.group].astype(np.float64))
        alone = GroupWeights(counts, table.group)
        assert metric(table, alone).tolist() == expected.tolist()
        assert metric(table, GroupWeights(counts, table.group, alone)).tolist() == expected.tolist()
        row = GroupWeights(counts[0], table.group)
        assert float(metric(table, row)) == float(expected[0])
    with pytest.raises(ValueError, match="no weight"):
        METRICS["exact_match"](KINDED, GroupWeights(np.zeros(KINDED.n_groups), KINDED.group))


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
    silent = replace(
        KINDED,
        exact=KINDED.exact & False,
        content=KINDED.exact & False,
        pred_changed=np.full(11, -1, dtype=np.int8),
    )
    expected = dict.fromkeys(CAUSAL, 0.0) | {"kind_mean": -1 / 9}  # a guess is 0
    assert {name: evaluate(name, silent) for name in CAUSAL} == pytest.approx(expected)


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
    outputs = {}
    for name, metric in METRICS.items():
        tables: list[Table] = [DESCRIBED]
        if name in CAUSAL:
            tables = [TABLE, KINDED]
        for place, table in enumerate(tables):
            weights = np.array([np.ones(table.n), 1.0 + (table.group == 1)])
            values = metric(table, weights)
            outputs[f"{name} {place}"] = [None if np.isnan(one) else one for one in values]
    contents = {text: normalise_content(text) for text in CONTENTS}
    found = sha256_bytes(canonical_json([outputs, contents]).encode())[:16]
    assert found == "d2f64c8bc7d07e6b", (
        "the metrics give other numbers than before: if that is meant, METRIC_VERSION is another "
        "too; say so in the changelog; old results are then no longer comparable"
    )
