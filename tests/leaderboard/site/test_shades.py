"""Shades of tokens: against the arrays of the shipped suite, and what its descriptions say."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from introspect_bench.benchmark.runs.run import Run, read_run
from introspect_bench.benchmark.suite.features import arrays
from introspect_bench.benchmark.suite.select import tasks_of
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.leaderboard.site.shades import (
    Window,
    pieces,
    predicted_shades,
    shown,
    true_windows,
)

SUBMISSIONS = Path(__file__).parents[3] / "submissions" / "smollm2-135m"


@pytest.fixture(scope="module")
def suite() -> Suite:
    return next(suite for _, suite in tasks_of("smollm2-135m") if suite.describes)


@pytest.fixture(scope="module")
def windows(suite: Suite) -> dict[str, tuple[Window, ...]]:
    return true_windows(suite, "test")


def test_text_of_tokens_is_what_descriptions_quote(
    suite: Suite, windows: dict[str, tuple[Window, ...]]
) -> None:
    asked = re.compile(r"the word '(\w+)' right after the word '(\w+)'")
    checked = 0
    for qid, truth in suite.feature_truth("test").items():
        if found := asked.fullmatch(truth.descriptions[0]):
            first = windows[qid][0]
            own = [token.strip().lower() for token in first.tokens[first.mark - 1 : first.mark + 1]]
            checked += own == [found[2], found[1]]
    assert checked >= 10
    assert pieces("0" * 64) is None


def test_true_shades_are_the_activations(
    suite: Suite, windows: dict[str, tuple[Window, ...]]
) -> None:
    values = arrays(suite, "test", "activations")["activations"].astype(np.float64)
    chosen = shown(suite, "test")
    for row, query in enumerate(suite.queries("test")):
        own, largest = chosen[query.id][0], values[row].max()
        for place, window in zip(own, windows[query.id], strict=True):
            digits = np.array(list(window.true), dtype=float)
            assert np.abs(digits / 9 - values[row, place] / largest).max() <= 1 / 18 + 1e-9
            assert len(window.tokens) == len(window.true) == 32
        if len(own) == 2:  # two that end alike, of which one is strong
            strong, silent = windows[query.id]
            assert strong.true[strong.mark] > "0"
            assert silent.true[silent.mark] == "0"
            assert strong.tokens[strong.mark] == silent.tokens[silent.mark]


def test_predicted_shades_are_what_the_run_holds(suite: Suite) -> None:
    (folder,) = SUBMISSIONS.glob("introspect-bench__reference-description__*")
    run: Run = read_run(folder / "feature-descriptions.jsonl")
    found, chosen = predicted_shades(run, suite), shown(suite, "test")
    assert len(found) == 700
    lit = 0
    for (_, qid), row in run.judgements.items():
        raw = base64.b64decode(row["predicted"])
        for place, line in zip(chosen[qid][0], found[qid], strict=True):
            stored = raw[32 * place : 32 * place + 32]
            assert [shade != "0" for shade in line] == [
                value * 18 >= max(raw) > 0 for value in stored
            ]
            lit += "9" in line
    assert lit > 500
