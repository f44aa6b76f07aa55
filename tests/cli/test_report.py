"""`board report`: what vectors are worth and who is set against whom, from submissions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program import ABLATIONS, PATCHING, Call, one_run, refused, the_sentence
from tiny_entries import as_control, as_model, forge, rows_of, write_rows
from tiny_submissions import edit, folder_of

import introspect_bench as ib
from introspect_bench.benchmark.registry import get_task
from introspect_bench.leaderboard.report.report import report
from introspect_bench.leaderboard.site import matrix
from introspect_bench.leaderboard.site.build import collect
from introspect_bench.leaderboard.site.contrasts import Contrast
from introspect_bench.leaderboard.site.matrix import against_self, contestants_of


def section(page: str, title: str) -> str:
    return page.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_without_trained_entries_it_says_so(submissions: Path) -> None:
    page = ib.board_report(submissions, suite="toy")
    assert "No entry names a control yet." in section(page, "What the vectors are worth")
    assert "There is no self-explainer" in section(page, "Privileged access")
    assert "There is no trained explainer yet." in section(page, "By layers and kinds")
    assert "| acme/" not in page
    assert "baseline/constant" in section(page, "Scores")


def test_a_control_is_taken_off_on_the_same_queries(submissions: Path) -> None:
    control = as_control(folder_of(submissions, "constant"))
    as_model(folder_of(submissions, "nearest-neighbour"), vector_use=control.name)
    page = ib.board_report(submissions, suite="toy")
    use = section(page, "What the vectors are worth")
    rows = [line for line in use.splitlines() if line.startswith(f"| {PATCHING} |")]
    titles = [row.split(" | ")[1] for row in rows]
    assert titles[:2] == ["balanced exact match", "exact, changed"]
    assert len(titles) == len(get_task(PATCHING).metrics)
    row = rows[0]
    assert "| acme/nearest-neighbour | acme/constant | no vectors |" in row
    scores = [
        ib.score(folder_of(submissions, name) / f"{PATCHING}.jsonl", suite="toy")
        for name in ("nearest-neighbour", "constant")
    ]
    one, other = (100 * s["overall"]["metrics"]["balanced_exact_match"]["value"] for s in scores)
    assert f"{one - other:+.1f}".replace("-", "\N{MINUS SIGN}") in row
    # nothing of the other task's prompts is a vector
    assert ABLATIONS not in use
    assert "acme/nearest-neighbour minus acme/constant (no vectors)" in section(
        page, "Beside the paper"
    )
    parts = section(page, "By layers and kinds")
    # scores of parts are shown where there is no difference
    assert f"| {PATCHING}, balanced exact match by layers |" not in parts
    assert f"| {ABLATIONS}, " in parts
    assert "| a-model | " in parts
    one, other = (score["by_layers"] for score in scores)
    metric = "balanced_exact_match"
    gains = [
        100 * (one[name]["metrics"][metric]["value"] - part["metrics"][metric]["value"])
        for name, part in other.items()
    ]
    sizes = " | ".join(f"{name} (n = {part['n']})" for name, part in other.items())
    assert f"balanced exact match, difference by layers | because | {sizes} |" in parts
    start = "| acme/nearest-neighbour minus acme/constant | no vectors | "
    # of the headline alone, and the toy queries are of one kind
    (by_layers,) = (line for line in parts.splitlines() if line.startswith(start))
    said = [cell.split(" ")[0] for cell in by_layers.removeprefix(start).split(" | ")]
    assert [float(text.replace("\N{MINUS SIGN}", "-")) for text in said] == pytest.approx(
        gains, abs=0.06
    )


def test_self_is_set_against_twins_and_others_but_not_against_the_blind(submissions: Path) -> None:
    as_model(folder_of(submissions, "constant"))
    twin = edit(settings={"twin": {"kind": "rotated", "seed": 0}})
    forge(as_model(folder_of(submissions, "nearest-neighbour")), twin, name=f"{PATCHING}.jsonl")
    shuffled = edit(shuffled_vectors=True)
    forge(as_model(folder_of(submissions, "unchanged")), shuffled, name=f"{PATCHING}.jsonl")
    page = ib.board_report(submissions, suite="toy")
    access, parts = section(page, "Privileged access"), section(page, "By layers and kinds")
    assert "| acme/constant minus acme/nearest-neighbour | rotated twin | " in parts
    rows = [line for line in access.splitlines() if line.startswith(f"| {PATCHING} |")]
    said = [row.split(" | ")[1:5] for row in rows]
    pair = ["acme/constant", "acme/nearest-neighbour", "rotated twin"]
    # the headline, and what is of one truth class
    titles = ["balanced exact match", "exact, changed", "exact, unchanged", "content, changed"]
    assert said == [[title, *pair] for title in titles]
    # p is corrected over all rows: the smallest counts as often as there are rows
    asked = contestants_of(collect(submissions, suite="toy"))
    (corrected,) = (one.rows for one in against_self(asked, use_cache=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix, "corrected", list)
        (raw,) = (one.rows for one in against_self(asked, use_cache=False))
    least = min(range(4), key=lambda i: raw[i].p)
    assert 0 < raw[least].p < 1
    assert corrected[least].p == pytest.approx(min(1, 4 * raw[least].p))


@pytest.mark.parametrize(
    "settings",
    [
        {"n_train": {PATCHING: 8}},
        {"injection": {"mode": "replay"}},
        {"injection": {"mode": "embedding", "slots": 3}},
        {"injection": "anywhere"},
    ],
)
def test_who_learnt_from_more_or_otherwise_is_no_control(
    submissions: Path, settings: dict[str, Any]
) -> None:
    for name in ("constant", "nearest-neighbour"):
        own = {"n_train": {PATCHING: 4}, "injection": {"mode": "embedding"}}
        twin = {"twin": {"kind": "rotated", "seed": 0}} if name == "nearest-neighbour" else {}
        forge(
            as_model(folder_of(submissions, name)),
            edit(settings={**own, **twin}),
            name=f"{PATCHING}.jsonl",
        )
    page = ib.board_report(submissions, suite="toy")
    assert "| rotated twin |" in section(page, "Privileged access")
    forge(folder_of(submissions, "constant"), edit(settings=settings), name=f"{PATCHING}.jsonl")
    page = ib.board_report(submissions, suite="toy")
    assert "| rotated twin |" not in section(page, "Privileged access")


def test_a_self_explainer_is_set_against_baselines_of_its_class(submissions: Path) -> None:
    as_model(folder_of(submissions, "constant"))
    page = ib.board_report(submissions, suite="toy")
    beaten = section(page, "Against baselines")
    assert "| explainer | minus | difference |" in beaten  # the same reason in every row
    for task in (PATCHING, ABLATIONS):
        (row,) = (line for line in beaten.splitlines() if line.startswith(f"| {task} |"))
        assert "| acme/constant | acme/nearest-neighbour |" in row
    assert "acme/unchanged" not in beaten  # it runs the target


def test_a_baseline_with_one_verdict_is_beaten_by_nobody(submissions: Path) -> None:
    as_model(folder_of(submissions, "nearest-neighbour"))
    page = ib.board_report(submissions, suite="toy")
    assert "acme/constant" not in section(page, "Against baselines")
    assert f"toy · {PATCHING} v2 · test · runs-target" in section(page, "Scores")


@pytest.mark.usefixtures("submissions")
def test_an_injection_study_is_a_table_of_its_own(call: Call) -> None:
    ways = ({"mode": "replace", "layer": 2, "scaling": "raw", "slots": 3}, None)
    for number, way in enumerate(ways):
        words = ("run", "-m", "baseline/nearest-neighbour", "-t", PATCHING, "--suite", "toy")
        amount = str(8 * (number + 1))
        more = ("--n-train", amount, "--split", "validation", "-o", "study")
        assert call(*words, *more)[0] == 0
        (path,) = Path("study").glob(f"*.n-{amount}.*.jsonl")
        rows = rows_of(path)
        rows[0]["explainer"]["settings"]["injection"] = way
        if way:
            rows[0]["explainer"]["settings"]["validation_loss"] = 1.23456
        write_rows(path, rows)
    page = ib.board_report(suite="toy", study="study")
    found = section(page, "How vectors enter")
    assert f"| {PATCHING}, validation: enters at | length | tokens | trained on | loss |" in found
    assert "| replace 2 | raw | 3 | 8 | 1.235 |" in found
    assert "| nowhere (no vectors) | \N{EN DASH} | \N{EN DASH} | 16 | \N{EN DASH} |" in found
    rows[0]["explainer"]["settings"]["validation_loss"] = "low"
    write_rows(path, rows)
    code, _, err = call("board", "report", "--suite", "toy", "--study", "study")
    assert code == 2
    assert "validation_loss of the explainer is not a number" in the_sentence(err)
    Path("empty").mkdir()
    one_run(call, "--limit", "4", task=PATCHING, out="part")
    for folder, said in {"empty": "no run files", "part": "only a part of test"}.items():
        assert said in refused(call("board", "report", "--suite", "toy", "--study", folder), 2)
    assert "nowhere" in refused(call("board", "report", "--suite", "toy", "--study", "nowhere"), 2)


HEADLINE = get_task(PATCHING).headline


def contrast(**fields: Any) -> Contrast:
    said = {"task": PATCHING, "metric": HEADLINE, "first": "a", "second": "b", "p": 0.5}
    return Contrast(**{"why": "no vectors", "value": 0.1, "interval_95": None, **said, **fields})


def test_a_pair_is_told_apart_by_its_corrected_p() -> None:
    rows = [
        contrast(first="one", p=0.049),
        contrast(first="two", p=0.051),
        contrast(first="three", value=-0.1, p=0.0),
    ]
    page = section(report([], rows, [], [], trained=[]), "What the vectors are worth")
    ends = [line.rpartition(" | ")[2] for line in page.splitlines() if "| b |" in line]
    assert ends == ["yes, higher |", "no |", "yes, lower |"]


def test_a_difference_replicates_if_it_is_above_0_and_told_apart() -> None:
    def said(value: float, p: float, why: str = "another model") -> str:
        row = contrast(value=value, interval_95=(value - 0.01, value + 0.01), p=p, why=why)
        page = section(report([], [], [row], [], trained=[]), "Beside the paper")
        return next((line for line in page.splitlines() if "a minus b" in line), "")

    assert said(0.1, 0.01).endswith("| yes |")
    assert said(0.1, 0.06).endswith("| not shown: not told apart |")  # whatever its own interval
    assert said(-0.1, 0.06).endswith("| not shown: not told apart |")
    assert said(-0.1, 0.01).endswith("| no: the opposite |")
    assert said(0.1, 0.01, why="rotated twin") == ""  # no other model, as the paper's is


def test_the_same_weights_with_shuffled_vectors_are_a_control(submissions: Path) -> None:
    weights = {"adapter.safetensors": "a" * 64}
    for name, more in (("constant", {}), ("unchanged", {"shuffled_vectors": True})):
        for task in (PATCHING, ABLATIONS):
            folder = as_model(folder_of(submissions, name))
            forge(folder, edit(weights_sha256=weights, **more), name=f"{task}.jsonl")
    use = section(ib.board_report(submissions, suite="toy"), "What the vectors are worth")
    assert "| acme/constant | acme/unchanged | vectors shuffled |" in use


@pytest.mark.usefixtures("submissions")
def test_the_verb_writes_the_same_bytes_twice(call: Call, here: Path) -> None:
    words = ("board", "report", "--suite", "toy")
    code, out, _ = call(*words, "-o", "RESULTS.md")
    assert (code, out.strip()) == (0, "RESULTS.md")
    first = (here / "RESULTS.md").read_bytes()
    assert call(*words, "--no-cache", "-o", "RESULTS.md")[0] == 0
    assert (here / "RESULTS.md").read_bytes() == first
    code, out, _ = call(*words, "--json")
    assert json.loads(out)["markdown"].encode() == first
    assert call(*words)[1].encode() == first
