"""What null models may score on a suite that is frozen."""

from __future__ import annotations

from typing import Any

import pytest

from introspect_bench.tasks.nulls.run import missed_bars, share_guessed


def row(name: str, access: str, **metrics: float | None) -> dict[str, Any]:
    return {"name": name, "access": access, "metrics": metrics}


CEILING = row("calculator", "replays", balanced_exact_match=0.999, kind_mean=0.995)
COIN = row(
    "coin", "runs-target",
    balanced_exact_match=0.25, exact_match_changed=0.125, exact_match_unchanged=0.5,
)  # fmt: skip


def test_the_share_that_is_guessed_comes_from_the_coin() -> None:
    assert share_guessed([COIN]) == pytest.approx(0.25)


def test_nulls_of_patching_have_a_bar_by_class() -> None:
    rows = [
        COIN,
        row("a", "words", balanced_exact_match=0.10),
        row("b", "words", balanced_exact_match=0.11),
        row("c", "runs-target", balanced_exact_match=0.28),
        row("d", "runs-target", balanced_exact_match=0.29),
        row("e", "replays", balanced_exact_match=0.9),
        CEILING,
    ]
    found = missed_bars("activation-patching", rows)
    assert len(found) == 2
    assert "'b' (words) is 0.110, allowed 0.100" in found[0]
    assert "'d' (runs-target) is 0.290, allowed 0.280" in found[1]


def test_where_little_can_be_guessed_the_bar_is_a_fifth() -> None:
    poor = row("coin", "runs-target", exact_match_changed=0.005, exact_match_unchanged=0.5,
               balanced_exact_match=0.05)  # fmt: skip
    rows = [poor, CEILING, row("c", "runs-target", balanced_exact_match=0.21)]
    assert "allowed 0.200" in missed_bars("activation-patching", rows)[0]


def test_nulls_of_ablations_have_bars_of_their_own() -> None:
    rows = [
        row("fine", "words", kind_mean=0.15, hint_verdict_auroc=0.4, context_verdict_auroc=0.6,
            which_accuracy=0.35),
        row("bad", "words", kind_mean=0.16, hint_verdict_auroc=0.39, context_verdict_auroc=0.61,
            which_accuracy=0.36),
        row("knows", "runs-target", kind_mean=0.5, hint_verdict_auroc=0.9, which_accuracy=None),
        CEILING,
    ]  # fmt: skip
    found = missed_bars("input-ablations", rows)
    assert len(found) == 4
    assert all("'bad'" in one for one in found)


def test_features_have_none_here() -> None:
    assert missed_bars("feature-descriptions", [row("x", "words", matched_auroc=1.0)]) == []


def test_what_was_not_measured_keeps_no_bar() -> None:
    silent = row("silent", "words", kind_mean=None, which_accuracy=0.3)
    assert missed_bars("input-ablations", [silent, CEILING]) == [
        "kind_mean of the null 'silent' (words) has no value"
    ]
    for task in ("activation-patching", "input-ablations"):
        assert missed_bars(task, []) == ["no null model could be measured"]


def test_labels_must_come_out_again() -> None:
    fine = row("fine", "words", kind_mean=0.1, which_accuracy=0.3)
    short = row("calculator", "replays", kind_mean=0.9949)
    assert missed_bars("input-ablations", [fine, CEILING]) == []
    assert missed_bars("input-ablations", [fine, short]) == [
        "kind_mean of the calculator is 0.9949, required 0.995"
    ]
    assert missed_bars("input-ablations", [fine]) == ["kind_mean of the calculator has no value"]
