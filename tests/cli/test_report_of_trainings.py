"""`board report`: several trainings of one recipe stand together and are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from program import PATCHING
from scipy.stats import t, ttest_ind
from tiny_entries import as_control, as_model, forge
from tiny_submissions import edit, folder_of

import introspect_bench as ib
from introspect_bench.leaderboard.report.trainings import Trainings, trainings_table


def section(page: str, title: str) -> str:
    return page.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_trainings_stand_with_those_of_their_task() -> None:
    found = [Trainings(t, (f"{t}/a", f"{t}/b"), {"exact_match": (0.1, 0.2)}) for t in ("t", "u")]
    table = trainings_table(found, [])
    assert [table.count(f"| {task}/a | 15.0 ± 7.1 (10.0, 20.0) |") for task in ("t", "u")] == [1, 1]


def test_trainings_of_one_recipe_stand_together(submissions: Path) -> None:
    control = as_control(folder_of(submissions, "unchanged")).name
    for name in ("nearest-neighbour", "constant"):
        as_model(folder_of(submissions, name), vector_use=control)
    page = ib.board_report(submissions, suite="toy")
    found = section(page, "Several trainings")
    metric, own = "balanced_exact_match", []
    for name in ("constant", "nearest-neighbour"):
        result = ib.score(folder_of(submissions, name) / f"{PATCHING}.jsonl", suite="toy")
        own.append(100 * result["overall"]["metrics"][metric]["value"])
    each = ", ".join(f"{value:.1f}" for value in own)
    assert f"| {PATCHING} | balanced exact match | " in found
    row = f"| acme/constant | {np.mean(own):.1f} ± {np.std(own, ddof=1):.1f} ({each}) | "
    assert row in found
    # only the first training stands elsewhere
    elsewhere = page.replace(found, "")
    assert "acme/constant | acme/unchanged | no vectors" in elsewhere
    assert section(page, "Scores").count("| a-model") == 4  # it and the control, two tasks
    assert "acme/nearest-neighbour |" not in elsewhere


def test_recipes_are_compared_over_trainings() -> None:
    """Welch's interval, degrees of freedom by Satterthwaite."""
    one = Trainings("t", ("a/x", "a/y", "a/z"), {"exact_match": (0.247, 0.225, 0.231)})
    other = Trainings("t", ("a/u", "a/v", "a/w"), {"exact_match": (0.076, 0.09, 0.083)})
    table = trainings_table([one, other], [("a/y", "a/v")])
    assert "| a/x | 23.4 ± 1.1 (24.7, 22.5, 23.1) |" in table
    squares = [np.var(values.values["exact_match"], ddof=1) / 3 for values in (one, other)]
    degrees = sum(squares) ** 2 / sum(square**2 / 2 for square in squares)
    half = 100 * t.ppf(0.975, degrees) * np.sqrt(sum(squares))
    text = f"+15.1 [+{15.1333 - half:.1f}, +{15.1333 + half:.1f}]"
    row = f"| t | exact match | a/x | a/u | 3 and 3 trainings | {text} | < 0.001 | yes, higher |"
    assert row in table
    assert "3 and 3" not in trainings_table([one, other], [])
    # p is corrected over the table, and trainings that are all alike are not tested
    values = {"exact_match": (0.076, 0.09, 0.083), "content_match": (0.5, 0.5, 0.5)}
    near = Trainings("t", other.names, values)
    same = Trainings(
        "t", one.names, {"exact_match": (0.1, 0.105, 0.095), "content_match": (0.5,) * 3}
    )
    table = trainings_table([same, near], [("a/y", "a/v")])
    raw = ttest_ind((0.1, 0.105, 0.095), (0.076, 0.09, 0.083), equal_var=False).pvalue
    assert raw < 0.05 < 2 * raw < 1
    assert f"| {2 * raw:.3f} | no |" in table
    assert "| 0.0 | 1.000 | no |" in table


def test_one_training_submitted_twice_is_no_second(submissions: Path) -> None:
    for name in ("nearest-neighbour", "constant"):
        folder = as_model(folder_of(submissions, name))
        for path in sorted(folder.glob("*.jsonl")):
            same = edit(weights_sha256={"adapter.safetensors": "ab" * 32})
            folder = forge(folder, same, name=path.name)
    assert "## Several trainings" not in ib.board_report(submissions, suite="toy")


def test_an_explainer_submitted_anew_is_no_second_training(submissions: Path) -> None:
    for name in ("nearest-neighbour", "constant"):
        as_model(folder_of(submissions, name), name="one")
    page = ib.board_report(submissions, suite="toy")
    assert "## Several trainings" not in page
    assert section(page, "Scores").count("| a-model #") == 4  # both entries, two tasks
