"""RESULTS.md is what the command makes of the run files here, and the README says what it says."""

from __future__ import annotations

from pathlib import Path

import introspect_bench as ib
from introspect_bench.baselines.references import REFERENCES

TOP = Path(__file__).parents[1]
QUOTED = ("quoted-copy", "quoted-token")


def differences(task: str, metric: str, first: str) -> dict[str, str]:
    """The page's differences of an explainer on one metric, by whom it is set against."""
    found = {}
    for line in (TOP / "RESULTS.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[:3] == [task, metric, f"introspect-bench/{first}"]:
            found[cells[3].partition("/")[2]] = cells[5].replace("\N{MINUS SIGN}", "-")
    return found


def above(found: dict[str, str]) -> set[str]:
    """Those that an explainer is above, its control left out."""
    return {name for name, text in found.items() if "[+" in text and name != "smollm2-no-vector"}


def test_the_page_is_made_again_byte_for_byte() -> None:
    study = TOP / "docs" / "study"
    page = ib.leaderboard_report(TOP / "submissions", study=study)
    assert (TOP / "RESULTS.md").read_text() == page


def test_no_two_explainers_are_compared_twice() -> None:
    """A control with exchanged vectors that an entry names is none without vectors besides."""
    lines = (TOP / "RESULTS.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in lines]
    compared = [tuple(row) for row in rows if row[2:] and row[2].startswith("introspect-bench/")]
    assert len(compared) > 50
    assert len(set(compared)) == len(compared)
    own = differences("feature-descriptions", "Pearson r", "smollm2-input-lens")
    assert own["smollm2-input-lens-exchanged"].startswith("+0.48")


def test_the_readme_says_what_the_study_says() -> None:
    cells = {spec.name for spec in REFERENCES if spec.role == "study"}
    names = {path.name.partition(".")[0] for path in (TOP / "docs" / "study").glob("*.jsonl")}
    assert names == cells
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (TOP / "RESULTS.md")
        .read_text()
        .partition("## How vectors enter")[2]
        .splitlines()
    ]
    exact = [(row[0], float(row[5].split()[0])) for row in rows if len(row) == 9 and "[" in row[5]]
    best = {way: max(value for name, value in exact if name == way) for way, _ in exact}
    slots = [value for name, value in exact if name not in ("rehearsal", *QUOTED)]
    readme = " ".join((TOP / "README.md").read_text().split())
    assert len(exact) == len(cells)
    assert (
        f"(all {len(cells)} cells, 400 queries each, validation): the rehearsal scores "
        f"{best['rehearsal']}, a copy of the quoted text {best['quoted-copy']}, the quoted token "
        f"{best['quoted-token']}; slots, at any layer, length and number of tokens, {min(slots)} "
        f"to {max(slots)}, whose"
    ) in readme


def test_the_curve_is_drawn_again_byte_for_byte() -> None:
    runs = sorted((TOP / "docs" / "scaling").glob("*.jsonl"))
    for name in ("smollm2-rehearsal-12", "smollm2-rehearsal-greedy"):
        runs += (TOP / "submissions").glob(f"*/introspect-bench__{name}__*/*.jsonl")
    assert len(runs) == 10
    found = ib.leaderboard_scaling(runs)
    assert (TOP / "docs" / "scaling.svg").read_text() == found["svg"]
    readme = " ".join((TOP / "README.md").read_text().split())
    own = {
        point["n_train"]: 100 * point["value"]
        for point in found["points"]
        if point["explainer"] == "smollm2-rehearsal"
    }
    said = ", ".join(f"{value:.1f}" for _, value in sorted(own.items()))
    assert sorted(own) == [80, 300, 1200, 4000, 10_000]
    assert f"scores {said} at 80, 300, 1,200, 4,000 and 10,000 queries" in readme


def test_the_readme_says_what_the_page_says() -> None:
    readme = " ".join((TOP / "README.md").read_text().split())
    control, patching = "smollm2-no-vector", "activation-patching"
    exact = differences(patching, "exact match", "smollm2-self")
    assert exact[control] == "-2.3 [-5.8, +1.3]"
    assert "-2.3 [-5.8, +1.3] for the vectors by whole replies" in readme
    greedy = differences(patching, "exact match", "smollm2-self-greedy")
    assert greedy[f"{control}-greedy"].startswith("+9.1 ")
    assert "the same weights gain 9.1 points" in readme
    rehearsed = differences(patching, "exact match", "smollm2-rehearsal")
    assert rehearsed["smollm2-rehearsal-no-vector"] == "+13.2 [+9.0, +17.3]"
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (TOP / "RESULTS.md").read_text().splitlines()
        if "compared, trained on 4,000" in line
    ]
    scores = {cells[0].removeprefix("reference/").split(",")[0]: cells[3] for cells in rows[:2]}
    assert f"compared**: {scores['smollm2-rehearsal']};" in readme
    blind = scores["smollm2-rehearsal-no-vector"].split(" ")[0]
    assert f"the same recipe without vectors {blind}, so" in readme
    assert "they are worth +13.2 [+9.0, +17.3]" in readme
    spoken = differences(patching, "exact match", "smollm2-rehearsal-greedy")
    assert spoken["smollm2-rehearsal-no-vector-greedy"] == "+6.1 [+2.7, +9.5]"
    assert "With a verdict of its own, +6.1 [+2.7, +9.5]" in readme
    pearson = differences("feature-descriptions", "Pearson r", "smollm2-self")
    assert pearson[control].startswith("+0.184 ")
    assert "+0.18 Pearson r for the vectors" in readme
    assert differences(patching, "content match", "smollm2-self")[control].startswith("+11.0 ")
    assert differences(patching, "has-changed macro-F1", "smollm2-self")[control].startswith("+9.7")
    assert "11 points of content and 10 of the verdict's macro-F1" in readme

    ablations = differences("input-ablations", "exact match", "smollm2-self")
    assert above(exact) == set(exact) - {control}
    access = differences(patching, "exact match", "smollm2-rehearsal-12")
    assert f"Gemma 3 270M, {access['gemma3-270m-12']}" in readme
    assert f"twin, {access['smollm2-rotated-12']}" in readme
    assert set(ablations) - above(ablations) == {"rule-of-thumb"}
    assert "nearest-neighbour" not in above(pearson)
    assert "above untrained explainers, below nearest neighbour" in readme
    assert "above all baselines but one" in readme
    assert above(rehearsed) >= set(rehearsed) - {"smollm2-rehearsal-no-vector"}
    assert "It beats every untrained explainer and baseline" in readme


def test_the_readme_says_what_the_page_says_of_the_input_lens() -> None:
    readme = " ".join((TOP / "README.md").read_text().split())
    lens = differences("feature-descriptions", "Pearson r", "smollm2-input-lens")
    score = next(
        line.split("|")[4].strip()
        for line in (TOP / "RESULTS.md").read_text().splitlines()
        if line.startswith("| reference/smollm2-input-lens, trained on 5,492 |")
    )
    assert f"**Descriptions, smollm2-input-lens**: Pearson r {score}, of which" in readme
    assert f"{lens['smollm2-input-lens-exchanged']} goes when vectors" in readme
    assert f"above nearest neighbour, {lens['nearest-neighbour']}, level" in readme
    assert f"of any layer, {lens['nearest-neighbour-pooled']}, below `base" in readme
    assert f"`baseline/input-lens`, {lens['input-lens']}, which" in readme
    twelfth = differences("feature-descriptions", "Pearson r", "smollm2-input-lens-12")
    assert f"sees tokens of its own, {twelfth['gemma3-270m-input-lens-12']}." in readme
    assert set(lens) - above(lens) == {"input-lens", "nearest-neighbour-pooled"}
