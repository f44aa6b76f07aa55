"""`leaderboard scaling`: scores over how much was learnt from, drawn from run files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from program import ABLATIONS, PATCHING, Call, one_run, refused
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
