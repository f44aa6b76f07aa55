"""Runs compared on the command line, in text and from Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from program import ABLATIONS, PATCHING, Call, one_run, refused, succeeded
from tiny_entries import unfinished

import introspect_bench as ib
from introspect_bench.benchmark.errors import IncompleteRunError, UsageError
from introspect_bench.benchmark.metrics.bootstrap import resample
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.scoring.compare import draws, match
from introspect_bench.benchmark.scoring.grade import grade_file
from introspect_bench.leaderboard.report import differences

SUITE = ("--suite", "toy")


def runs_of(call: Call, *tasks: str) -> list[str]:
    """Runs of the constant and the nearest-neighbour baseline, of some tasks."""
    models = ("baseline/constant", "baseline/nearest-neighbour")
    return [str(one_run(call, model=model, task=task)) for model in models for task in tasks]


def test_two_tasks_are_compared_each_on_its_own_queries(call: Call) -> None:
    runs = runs_of(call, ABLATIONS, PATCHING)
    code, out, err = call("compare", *runs, *SUITE, "--json")
    assert code == 0
    assert "comparing" in err
    document = json.loads(out)
    assert document == ib.compare(runs, suite="toy")
    assert [task["task"] for task in document["tasks"]] == [ABLATIONS, PATCHING]
    for task, run in zip(document["tasks"], runs[:2], strict=True):
        overall = ib.score(run, suite="toy")["overall"]
        metric = overall["metrics"][get_task(task["task"]).headline]
        assert task["metric"] == get_task(task["task"]).headline
        assert (task["n"], task["n_groups"]) == (metric["n"], metric["n_groups"])
        # value and interval are those of `score`
        assert task["runs"][0]["value"] == metric["value"]
        assert task["runs"][0]["interval_95"] == metric["interval_95"]
        (pair,) = task["pairs"]
        first, second = (run["value"] for run in task["runs"])
        assert pair["difference"] == first - second
        assert pair["test"] == "permutation"
    (task,) = ib.compare(runs[1::2], suite="toy", metric="exact_match_changed")["tasks"]
    (pair,) = task["pairs"]
    assert pair["test"] == "mcnemar"
    # half of the queries change
    assert pair["first_only"] - pair["second_only"] == round(task["n"] / 2 * pair["difference"])


def test_p_values_are_corrected_over_tasks_and_pairs(call: Call) -> None:
    runs = runs_of(call, ABLATIONS, PATCHING)
    holm = ib.compare(runs, suite="toy")
    found = [pair for task in holm["tasks"] for pair in task["pairs"]]
    ps = sorted(pair["p"] for pair in found)
    assert sorted(pair["p_corrected"] for pair in found) == pytest.approx(
        [min(1, 2 * ps[0]), min(1, max(2 * ps[0], ps[1]))]
    )
    both = ib.compare(runs, suite="toy", correction="bh")
    for ours, theirs in zip(both["tasks"], holm["tasks"], strict=True):
        for pair, other in zip(ours["pairs"], theirs["pairs"], strict=True):
            assert pair["p"] == other["p"]
            assert pair["p_corrected"] <= other["p_corrected"]


def test_a_difference_does_not_depend_on_the_company_it_is_in(call: Call) -> None:
    runs = runs_of(call, ABLATIONS)
    copy = unfinished(Path(runs[0]), lambda rows: rows[0].update(run_id="ab" * 16))
    two = ib.compare(runs, suite="toy", common=True)["tasks"][0]
    three = ib.compare([*runs, copy], suite="toy", common=True)["tasks"][0]
    assert [(p["first"], p["second"]) for p in three["pairs"]] == [(0, 1), (0, 2), (1, 2)]
    keys = ("difference", "interval_95", "p", "p_permutation")
    assert [three["pairs"][0][key] for key in keys] == [two["pairs"][0][key] for key in keys]
    assert three["pairs"][1]["difference"] == 0
    assert three["pairs"][1]["p"] == 1
    out = succeeded(call("compare", *runs, str(copy), *SUITE, "--common"))
    assert "| baseline/constant #abababab |" in out  # of one name, told apart by hash or id
    assert "| baseline/nearest-neighbour |" in out


def test_text_and_latex(call: Call) -> None:
    runs = runs_of(call, ABLATIONS)
    found = ib.compare(runs, suite="toy")
    code, out, _ = call("compare", *runs, *SUITE)
    assert (code, out) == (0, differences.markdown(found))
    assert "| baseline/constant | baseline/nearest-neighbour |" in out
    assert "exploratory" not in out.lower()
    code, out, _ = call("compare", *runs, *SUITE, "--format", "tex")
    assert (code, out) == (0, differences.tex(found))
    assert f"% run {found['tasks'][0]['runs'][0]['body_sha256']}" in out
    assert out.count(r"\begin{tabular}") == out.count(r"\end{tabular}") == 2
    assert json.loads(call("compare", *runs, *SUITE, "--format", "json")[1]) == found


def test_runs_of_two_access_classes_are_said_to_be_no_equals(call: Call) -> None:
    runs = runs_of(call, ABLATIONS)
    assert "No equals" not in call("compare", *runs, *SUITE)[1]
    other = one_run(call, "--no-score", model="baseline/unchanged")
    _, out, _ = call("compare", runs[0], str(other), *SUITE)
    assert "No equals: runs come by their answers in different ways (runs-target, words)." in out


def test_metric_and_cluster(call: Call) -> None:
    runs = runs_of(call, ABLATIONS)
    found = ib.compare(runs, suite="toy", metric="has_changed_macro_f1")["tasks"][0]
    assert (found["metric"], found["pairs"][0]["test"]) == ("has_changed_macro_f1", "permutation")
    assert found["pairs"][0]["first_only"] is None
    single = ib.compare(runs, suite="toy", cluster="query")["tasks"][0]
    assert single["n_groups"] == single["n"] == 15
    assert "has no metric 'weighted_r'; choose from kind_mean" in refused(
        call("compare", *runs, *SUITE, "--metric", "weighted_r"), 2
    )
    words = ("--metric", "group_consistency", "--cluster", "query")
    assert "about groups" in refused(call("compare", *runs_of(call, PATCHING), *SUITE, *words), 2)


def test_one_run_of_a_task_is_refused(call: Call) -> None:
    run = str(one_run(call))
    assert f"the only run of {ABLATIONS} on toy" in refused(call("compare", run, *SUITE), 2)
    assert "hold the same run" in refused(call("compare", run, run, *SUITE), 2)


def test_runs_about_different_queries_are_refused(call: Call) -> None:
    runs = runs_of(call, ABLATIONS)
    other = str(one_run(call, "--split", "validation", model="baseline/input-only"))
    assert "the split is 'test' and 'validation'" in refused(
        call("compare", runs[0], other, *SUITE), 2
    )
    with pytest.raises(UsageError, match="different queries"):
        ib.compare([runs[0], other], suite="toy", common=True)


def test_partial_runs_are_compared_only_if_asked(call: Call) -> None:
    runs = runs_of(call, ABLATIONS)
    part = str(one_run(call, "--limit", "8", model="baseline/input-only"))
    assert f"15 queries and {part} about 8" in refused(call("compare", runs[1], part, *SUITE), 2)
    out = succeeded(call("compare", runs[1], part, *SUITE, "--common"))
    assert "Exploratory" in out
    found = ib.compare([runs[1], part], suite="toy", common=True)
    assert found["tasks"][0]["n"] == 8


def test_unfinished_runs_are_compared_only_if_asked(call: Call) -> None:
    runs = runs_of(call, ABLATIONS)
    lines = Path(runs[0]).read_text().splitlines(keepends=True)
    Path(runs[0]).write_text("".join(lines[:-3]))  # without footer and two rows
    assert "2 queries have no row" in refused(call("compare", *runs, *SUITE), 5)
    with pytest.raises(IncompleteRunError):
        ib.compare(runs, suite="toy")
    assert ib.compare(runs, suite="toy", common=True)["tasks"][0]["n"] == 13


def test_resamples_of_matched_runs_are_paired_and_differ_by_task(call: Call) -> None:
    runs = runs_of(call, ABLATIONS, PATCHING)
    graded = [grade_file(run, suite="toy") for run in runs]
    name, parts = "exact_match", (graded[0::2], graded[1::2], graded[0::2])
    one = parts[0][0]
    drawn = (
        resample(match(own), [name], rng=draws(one.suite, one.task, one.split), n_resamples=500)
        for own in parts
    )
    first, second, again = (found[name] for found in drawn)
    assert first.shape == (2, 500)
    assert (first == again).all()
    # the same answers drawn for another task fall otherwise: tasks do not move together
    assert not np.array_equal(np.argsort(first[0]), np.argsort(second[0]))


def test_a_strange_name_is_shown_as_text(call: Call) -> None:
    runs = runs_of(call, ABLATIONS)
    name = "a|b <i> $x$ \\input{y} 100% \x1b[31m -- #1"
    unfinished(Path(runs[0]), lambda rows: rows[0]["explainer"].update(name=name), runs[0])
    out = succeeded(call("compare", *runs, *SUITE, "--common"))
    assert r"a\|b \<i\>" in out
    assert "\x1b" not in out
    out = succeeded(call("compare", *runs, *SUITE, "--common", "--format", "tex"))
    assert r"a\textbar{}b \textless{}i\textgreater{} \$x\$ \textbackslash{}input\{y\} 100\%" in out
    assert "\x1b" not in out
