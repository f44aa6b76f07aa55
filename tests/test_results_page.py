"""RESULTS.md is what the command makes of the run files here, and the README says what it says."""

from __future__ import annotations

from pathlib import Path

import introspect_bench as ib
from introspect_bench.baselines.references import REFERENCES, find_reference
from introspect_bench.studies import trials_of

TOP = Path(__file__).parents[1]
QUOTED = ("quoted-copy", "quoted-token")
SELF, CONTROL, EXCHANGED = "smollm2-self", "smollm2-no-vector", "smollm2-exchanged"
PATCHING, FEATURES, ABLATIONS = "activation-patching", "feature-descriptions", "input-ablations"


def readme() -> str:
    return " ".join((TOP / "README.md").read_text().split())


def differences(task: str, metric: str, first: str) -> dict[str, str]:
    """The page's differences of an explainer on one metric, by whom it is set against."""
    found = {}
    for line in (TOP / "RESULTS.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[:3] == [task, metric, f"introspect-bench/{first}"]:
            found[cells[3].partition("/")[2]] = cells[5].replace("\N{MINUS SIGN}", "-")
    return found


def score(explainer: str, amount: str = "10,000") -> str:
    """What the page's first table that has this explainer says of its headline."""
    start = f"| {explainer}, trained on {amount} "
    lines = (TOP / "RESULTS.md").read_text().splitlines()
    line = next(line for line in lines if line.startswith(start))
    return line.split("|")[4].strip()


def beaten(task: str, metric: str) -> set[str]:
    """The explainers that were not trained and score less, by intervals of the difference."""
    found = differences(task, metric, SELF)
    return {name for name, text in found.items() if "[+" in text and not name.startswith("smollm2")}


def test_the_page_is_made_again_byte_for_byte() -> None:
    docs = TOP / "docs"
    page = ib.leaderboard_report(TOP / "submissions", study=docs / "study", rates=docs / "rates")
    assert (TOP / "RESULTS.md").read_text() == page


def test_no_two_explainers_are_compared_twice() -> None:
    """A control with exchanged vectors that an entry names is none without vectors besides."""
    lines = (TOP / "RESULTS.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in lines]
    compared = [tuple(row) for row in rows if row[2:] and row[2].startswith("introspect-bench/")]
    assert len(compared) > 50
    assert len(set(compared)) == len(compared)
    assert EXCHANGED in differences(FEATURES, "Pearson r", SELF)


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
    assert len(exact) == len(cells)
    assert (
        f"(all {len(cells)} cells, 400 queries each, validation): the rehearsal scores "
        f"{best['rehearsal']}, a copy of the quoted text {best['quoted-copy']}, the quoted token "
        f"{best['quoted-token']}; slots, at any layer, length and number of tokens, {min(slots)} "
        f"to {max(slots)}, whose"
    ) in readme()


def test_the_curve_is_drawn_again_byte_for_byte() -> None:
    runs = sorted((TOP / "docs" / "scaling").glob("*.jsonl"))
    for name in ("smollm2-rehearsal-12", "smollm2-rehearsal-greedy"):
        runs += (TOP / "submissions").glob(f"*/introspect-bench__{name}__*/*.jsonl")
    assert len(runs) == 10
    found = ib.leaderboard_scaling(runs)
    assert (TOP / "docs" / "scaling.svg").read_text() == found["svg"]
    own = {
        point["n_train"]: 100 * point["value"]
        for point in found["points"]
        if point["explainer"] == "smollm2-rehearsal"
    }
    said = ", ".join(f"{value:.1f}" for _, value in sorted(own.items()))
    assert sorted(own) == [80, 300, 1200, 4000, 10_000]
    assert f"scores {said} at 80, 300, 1,200, 4,000 and 10,000 queries" in readme()


def test_the_readme_says_what_patching_showed() -> None:
    said, own = readme(), differences(PATCHING, "exact match", SELF)
    first = f"reference/{SELF}, compared"
    assert f"**Patching**: {score(first)}; the same recipe without vectors " in said
    blind = score(f"reference/{CONTROL}, compared").split(" ")[0]
    assert f"without vectors {blind}, so they are worth {own[CONTROL]}" in said
    assert f"another query's vector, the same weights lose {own[EXCHANGED].lstrip('+')}." in said
    spoken = differences(PATCHING, "exact match", f"{SELF}-greedy")[f"{CONTROL}-greedy"]
    assert f"With a verdict of its own it scores {score(f'reference/{SELF}')}, of which " in said
    assert f"{spoken} is the vectors'" in said
    untrained = {name for name in own if not name.startswith("smollm2")}
    assert beaten(PATCHING, "exact match") == untrained
    assert "It beats every untrained explainer and baseline" in said
    alone = score("reference/smollm2-rehearsal, compared", "4,000")
    assert f"`smollm2-rehearsal`, scores more with 4,000 queries: {alone}." in said
    access = differences(PATCHING, "exact match", "smollm2-rehearsal-12")
    best = access["gemma3-270m-12-tuned"]
    assert f"Gemma 3 270M, {access['gemma3-270m-12']}, or {best} at the learning rate" in said
    best = access["smollm2-rotated-12-tuned"]
    assert f"rotated twin, {access['smollm2-rotated-12']}, or {best};" in said
    start = "| introspect-bench/smollm2-rehearsal-12 less introspect-bench/gemma3-270m-12-tuned | "
    page = (TOP / "RESULTS.md").read_text().replace("\N{MINUS SIGN}", "-").splitlines()
    layers = next(line for line in page if line.startswith(start)).strip("| ").split(" | ")[2:]
    assert f"at its best rate {layers[0]} at 0 to 5, {layers[-1]} at 24 to 29" in said
    gemma = [
        line.split("|") for line in page if line.startswith("| gemma3-270m, trained on 1,200 #")
    ]
    exact, verdict = ([float(row[at].split()[0]) for row in gemma[:2]] for at in (4, 5))
    assert (exact[0] > exact[1]) == (verdict[0] < verdict[1])
    assert "Gemma's verdicts are better, its exact match is not" in said


def test_controls_have_the_learning_rate_that_was_best_on_validation() -> None:
    """Of those tried, which the page shows; so that no control is at a disadvantage."""
    trials = trials_of(TOP / "docs" / "rates")
    for name in ("gemma3-270m", "gemma3-270m-input-lens", "smollm2-rotated"):
        tried = [one for one in trials if one.name == name]
        assert len(tried) >= 3
        best = min(tried, key=lambda one: one.loss)
        assert find_reference(name).training["rate"] == best.rate


def test_the_readme_says_what_descriptions_showed() -> None:
    said, own = readme(), differences(FEATURES, "Pearson r", SELF)
    found = score(f"reference/{SELF}", "5,492")
    assert f"**Descriptions**: Pearson r {found}, of which {own[EXCHANGED]} goes when" in said
    assert f"above nearest neighbour, {own['nearest-neighbour']}" in said
    assert f"that of any layer, {own['nearest-neighbour-pooled']}, below `base" in said
    assert f"`baseline/input-lens`, {own['input-lens']}, which" in said
    twelfth = differences(FEATURES, "Pearson r", "smollm2-input-lens-12")
    best = differences(FEATURES, "Pearson r", "smollm2-input-lens-12-tuned")
    found, tuned = (one["gemma3-270m-input-lens-12"] for one in (twelfth, best))
    entry = next((TOP / "submissions").glob("*/introspect-bench__smollm2-input-lens-12__*"))
    result = ib.score(entry / f"{FEATURES}.jsonl")
    own_score = result["overall"]["metrics"][result["headline"]]["value"]
    assert f"at 659 features it scores {own_score:.3f}, less" in said
    assert f"sees tokens of its own, {found}, or {tuned} at the learning rate" in said
    others = {name for name in own if not name.startswith("smollm2")}
    assert others - beaten(FEATURES, "Pearson r") == {"input-lens", "nearest-neighbour-pooled"}


def test_the_readme_says_what_ablations_showed() -> None:
    said, own = readme(), differences(ABLATIONS, "exact match", SELF)
    found = score(f"reference/{SELF}, whole-reply")
    assert f"**Ablations**, which have no vectors: {found}, as the control;" in said
    blind = score(f"reference/{CONTROL}, whole-reply")
    assert blind.split(" ")[0] == found.split(" ")[0]
    untrained = {name for name in own if not name.startswith("smollm2")}
    assert beaten(ABLATIONS, "exact match") == untrained
    nearest = min(untrained, key=lambda name: float(own[name].split(" ")[0]))
    assert f"above every baseline, of which `baseline/{nearest}` comes nearest" in said
    assert f"nearest, {own[nearest]}." in said
