"""The metric card is what the code says now, and says so of every metric."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from introspect_bench.benchmark.metrics.card import (
    ABOVE,
    DESCRIPTIONS,
    TASKS,
    companions,
    data_metric_card,
    figures_of,
    passes,
)
from introspect_bench.benchmark.metrics.card_tests import TESTS
from introspect_bench.benchmark.metrics.verdicts import METRICS
from introspect_bench.benchmark.records import Choice
from introspect_bench.benchmark.registry import get_task
from introspect_bench.commands.data import command
from introspect_bench.tasks import TASKS as ALL

CARD = Path(__file__).parents[3] / "docs" / "metric-card.md"


@pytest.fixture(scope="module")
def figures() -> dict[str, dict[str, dict[str, float]]]:
    return {task: figures_of(task) for task in TASKS}


def test_the_page_is_what_the_command_prints() -> None:
    printed = CliRunner().invoke(command, ["metric-card"])
    assert printed.exit_code == 0
    assert printed.output == data_metric_card()
    assert CARD.read_bytes() == printed.output.encode(), (
        "write it again: introspect-bench data metric-card > docs/metric-card.md"
    )
    assert len(CARD.read_bytes()) <= 8192


def test_every_metric_of_every_task_is_on_it(
    figures: dict[str, dict[str, dict[str, float]]],
) -> None:
    assert set(TASKS) == {task.name for task in ALL}
    for task, found in figures.items():
        assert {*get_task(task).metrics} <= {*found}
        assert all(set(row) == set(TESTS) for row in found.values())


def test_what_fails_has_a_companion_that_passes(
    figures: dict[str, dict[str, dict[str, float]]],
) -> None:
    for task, found in figures.items():
        for metric, row in found.items():
            failed = {test for test in TESTS if not passes(task, row, test)}
            beside = companions(task, found, metric)
            passed = {t for t in TESTS if any(passes(task, found[one], t) for one in beside)}
            assert failed <= passed
            assert metric not in beside
    alone = {"accuracy": dict.fromkeys(TESTS, 1.0), "weighted_r": dict.fromkeys(TESTS, 1.0)}
    with pytest.raises(ValueError, match="nothing beside it passes"):
        companions(DESCRIPTIONS, alone | {"auprc": dict.fromkeys(TESTS, 1.0)}, "accuracy")


def test_every_metric_of_the_package_is_on_it(
    figures: dict[str, dict[str, dict[str, float]]],
) -> None:
    shown = {metric for found in figures.values() for metric in found}
    assert shown - {ABOVE} == {*METRICS, "auprc"}
    assert {"hedging", "two answers", "look-alike", "echo"} <= {*TESTS}


def test_a_look_alike_or_two_answers_earn_no_content_and_no_part(
    figures: dict[str, dict[str, dict[str, float]]],
) -> None:
    for task in ("activation-patching", "input-ablations"):
        for metric in ("exact_match", "content_match", "balanced_exact_match"):
            assert figures[task][metric]["look-alike"] == 0
            assert figures[task][metric]["two answers"] == 0
    # parts are not parsed by the simulation: what it takes for no answer is none
    parse = get_task("input-ablations").parse
    cyrillic = "part: \N{CYRILLIC CAPITAL LETTER A}"
    said = ("part: A or part: B", "part: A\npart: B", cyrillic, "part: A\N{ZERO WIDTH SPACE}B")
    assert [parse(one) for one in (*said, "part: ", "part: X")] == [None] * 6
    assert parse("part: A") == Choice(part="A")


def test_known_weaknesses_are_found(figures: dict[str, dict[str, dict[str, float]]]) -> None:
    def failed(task: str, metric: str) -> set[str]:
        return {test for test in TESTS if not passes(task, figures[task][metric], test)}

    # a coin with the likeliest content: 0.5 sqrt(p), and p is a fifth here
    assert failed("activation-patching", "balanced_exact_match") == {"hedging"}
    hedging = figures["activation-patching"]["balanced_exact_match"]["hedging"]
    assert hedging == pytest.approx(0.5 * 0.2**0.5, abs=0.02)
    assert failed("activation-patching", ABOVE) == failed("input-ablations", ABOVE) == set()
    assert "constant" in failed("activation-patching", "verdict_accuracy")
    # AUROC on chosen tokens can't see what is added elsewhere; weighted r can
    assert failed(DESCRIPTIONS, "matched_auroc") == {"false", "hedging", "two answers"}
    assert failed(DESCRIPTIONS, "weighted_r") == failed(DESCRIPTIONS, "auprc") == set()
