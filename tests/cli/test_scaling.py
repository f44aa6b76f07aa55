"""`board scaling` and `board report --rates`: scores by training queries, losses by rate."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from program import ABLATIONS, PATCHING, Call, one_run, refused, succeeded, the_sentence
from tiny_entries import rows_of, write_rows

import introspect_bench as ib

AMOUNTS = ("4", "8", "100%")
AMOUNT_OF = {PATCHING: (4, 8, 16), ABLATIONS: (4, 8, 20)}


@pytest.fixture
def runs(call: Call, here: Path) -> list[str]:
    """Nearest neighbours of three sizes."""
    words = ("run", "-m", "baseline/nearest-neighbour", "--suite", "toy", "--no-score")
    for amount in AMOUNTS:
        assert call(*words, "--n-train", amount)[0] == 0
    return sorted(str(path) for path in (here / "runs").glob("*.jsonl"))


def edit(path: Path, **fields: object) -> None:
    """Change fields of a run file's header."""
    rows = rows_of(path)
    rows[0].update(fields)
    write_rows(path, rows)


def test_the_curve_shows_the_scores_of_the_runs(call: Call, runs: list[str]) -> None:
    code, out, err = call("board", "scaling", *runs, "-o", "s.svg", "--suite", "toy")
    assert (code, out) == (0, "s.svg\n"), err
    said = json.loads(
        call("board", "scaling", *runs, "-o", "s2.svg", "--suite", "toy", "--json")[1]
    )
    assert Path("s.svg").read_bytes() == Path("s2.svg").read_bytes()
    learnt = [(point["task"], point["n_train"]) for point in said["points"]]
    assert sorted(learnt) == [
        *((PATCHING, n) for n in AMOUNT_OF[PATCHING]),
        *((ABLATIONS, n) for n in AMOUNT_OF[ABLATIONS]),
    ]
    wanted = {
        (score := ib.score(run, suite="toy"))["overall"]["metrics"][score["headline"]]["value"]
        for run in runs
    }
    assert {point["value"] for point in said["points"]} == wanted
    root = ElementTree.fromstring(Path("s.svg").read_text())
    panels = [child for child in root if child.tag.endswith("}g")]
    titles = [panel[0].text or "" for panel in panels]
    assert [title.partition(",")[0] for title in titles] == [PATCHING, ABLATIONS]
    for panel, amounts in zip(panels, AMOUNT_OF.values(), strict=True):
        texts = [one.text for one in panel.iter() if one.tag.endswith("}text")]
        assert {*map(str, amounts), "nearest-neighbour"} <= set(texts)
        circles = [one for one in panel.iter() if one.tag.endswith("}circle")]
        across = [float(circle.attrib["cx"]) for circle in circles]
        assert len(circles) == 3
        assert across == sorted(set(across))


def test_losses_after_training_do_not_tell_recipes_apart(runs: list[str]) -> None:
    for number, path in enumerate(map(Path, runs)):
        explainer = rows_of(path)[0]["explainer"]
        explainer["settings"]["validation_loss"] = 1.0 + number
        edit(path, explainer=explainer)
    picture = ElementTree.fromstring(ib.board_scaling(runs, suite="toy")["svg"])
    texts = [one.text for one in picture.iter() if one.tag.endswith("}text")]
    assert texts.count("nearest-neighbour") == 2  # once a task


def test_what_cannot_be_drawn_is_refused(call: Call, runs: list[str], here: Path) -> None:
    words = ("board", "scaling", "-o", "s.svg", "--suite", "toy")
    assert call("run", "-m", "baseline/constant", "--suite", "toy", "--no-score")[0] == 0
    (whole, _) = sorted((here / "runs").glob("baseline-constant*"))
    assert "does not say from how many queries was learnt" in refused(call(*words, str(whole)), 2)
    limited = ("--n-train", "4", "--limit", "4")
    part = one_run(call, *limited, model="baseline/nearest-neighbour", task=PATCHING, out="part")
    assert "only a part of test" in refused(call(*words, str(part)), 2)
    again = here / "again.jsonl"
    again.write_bytes(Path(runs[0]).read_bytes())
    edit(again, run_id="0" * 32)
    assert "differ in nothing" in refused(call(*words, runs[0], str(again)), 2)
    assert not Path("s.svg").exists()


def test_a_name_from_a_stranger_is_text(call: Call, runs: list[str]) -> None:
    explainer = rows_of(Path(runs[0]))[0]["explainer"]
    edit(Path(runs[0]), explainer=explainer | {"name": "<script>alert(1)</script>"})
    assert call("board", "scaling", *runs, "-o", "s.svg", "--suite", "toy")[0] == 0
    assert not re.search("<script", Path("s.svg").read_text())


REPORT = ("board", "report", "--suite", "toy", "--rates", "rates")


def leave(name: str, rate: float, loss: object, **more: Any) -> Path:
    """Leave a record as a training does."""
    folder = Path("rates") / f"{rate:g}" / "explainers" / name
    folder.mkdir(parents=True)
    training = {"lessons": {"n": 1020}, "settings": {"learning_rate": rate, "seed": 0}, **more}
    path = folder / "explainer.json"
    path.write_text(json.dumps({"training": training, "validation_loss": loss}))
    return path


@pytest.mark.usefixtures("submissions")
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


@pytest.mark.usefixtures("submissions")
def test_without_any_the_page_has_no_such_section(call: Call) -> None:
    out = succeeded(call(*REPORT[:-2]))
    assert "Learning rates" not in out
    assert "How vectors enter" not in out
    Path("rates").mkdir()
    assert "there are no trainings" in refused(call(*REPORT), 2)


@pytest.mark.usefixtures("submissions")
def test_what_differs_in_more_than_the_rate_is_refused(call: Call) -> None:
    leave("own", 0.002, 0.5)
    path = leave("own", 0.001, 0.5, settings={"learning_rate": 0.001, "seed": 1})
    assert "differs from others of own in more than the rate" in refused(call(*REPORT), 2)
    path.write_text((Path("rates/0.002/explainers/own/explainer.json")).read_text())
    assert "the second one of own at 0.002" in refused(call(*REPORT), 2)


@pytest.mark.usefixtures("submissions")
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
