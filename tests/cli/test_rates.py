"""`board report --rates`: what the same training came to at several learning rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program import Call, refused, succeeded, the_sentence

REPORT = ("board", "report", "--suite", "toy", "--rates", "rates")


def leave(name: str, rate: float, loss: object, **more: Any) -> Path:
    """Leave a record as a training does."""
    folder = Path("rates") / f"{rate:g}" / "explainers" / name
    folder.mkdir(parents=True)
    training = {"lessons": {"n": 1020}, "settings": {"learning_rate": rate, "seed": 0}, **more}
    path = folder / "explainer.json"
    path.write_text(json.dumps({"training": training, "validation_loss": loss}))
    return path


@pytest.fixture(autouse=True)
def _in_a_folder_with_submissions(submissions: Path) -> None:
    assert submissions.is_dir()


def test_a_row_for_each_recipe_with_its_lowest_loss_in_bold(call: Call) -> None:
    for rate, loss in ((0.002, 0.5), (0.0005, 0.75), (0.004, 0.4996)):
        leave("own", rate, loss)
    leave("blind", 0.002, 1.25)
    out = succeeded(call(*REPORT))
    section = out.partition("## Learning rates\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert rows[0] == "| recipe | trained on | 0.0005 | 0.002 | 0.004 |"
    nothing = "\N{EN DASH}"
    assert rows[2:] == [
        f"| blind | 1,020 | {nothing} | **1.250** | {nothing} |",
        "| own | 1,020 | 0.750 | 0.500 | **0.500** |",
    ]


def test_without_any_the_page_says_so(call: Call) -> None:
    out = succeeded(call(*REPORT[:-2]))
    assert "No trainings at several learning rates were given." in out
    Path("rates").mkdir()
    assert "there are no trainings" in refused(call(*REPORT), 2)


def test_what_differs_in_more_than_the_rate_is_refused(call: Call) -> None:
    leave("own", 0.002, 0.5)
    path = leave("own", 0.001, 0.5, settings={"learning_rate": 0.001, "seed": 1})
    assert "differs from others of own in more than the rate" in refused(call(*REPORT), 2)
    path.write_text((Path("rates/0.002/explainers/own/explainer.json")).read_text())
    assert "the second one of own at 0.002" in refused(call(*REPORT), 2)


@pytest.mark.parametrize(
    ("loss", "more", "said"),
    [
        (None, {}, "is not a finite number"),
        ("0.5", {}, "is not a finite number"),
        (0.5, {"lessons": 1020}, "not the record of a training"),
        (0.5, {"settings": {"seed": 0}}, "not the record of a training: KeyError('learning_rate')"),
    ],
)
def test_a_broken_record_is_no_loss(
    call: Call, loss: object, more: dict[str, Any], said: str
) -> None:
    leave("own", 0.002, loss, **more)
    code, _, err = call(*REPORT)
    assert code != 0
    assert "explainer.json: " in the_sentence(err)
    assert said in the_sentence(err)
