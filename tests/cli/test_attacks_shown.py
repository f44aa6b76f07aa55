"""What `validate` and the built page say of attacks that no check can refuse, or that one does."""

from __future__ import annotations

import base64
import html
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from program import Call
from tiny_entries import as_model, forge, set_field
from tiny_submissions import commit_all, edit, folder_of

from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.features import arrays
from introspect_bench.benchmark.suite.select import find_suite, shipped_suite

SHIPPED = Path(__file__).parents[2] / "submissions" / "smollm2-135m"
NEW = "globex__new__00000000"
Rows = list[dict[str, Any]]


def new_entry(source: Path, change: Callable[[Rows, str], object], **fields: object) -> Path:
    """A copy of an entry by another organisation, its run files changed, task by task."""
    place = source.parent if source.parent.parent != SHIPPED.parent else Path("submissions/toy")
    folder = Path(shutil.copytree(source, place / NEW))
    for name, value in {"org": "globex", "name": "New", **fields}.items():
        set_field(folder, name, value)
    for path in sorted(folder.glob("*.jsonl")):

        def own(rows: Rows, task: str = path.stem) -> None:
            change(rows, task)

        folder = forge(folder, own, name=path.name)
    return folder


def unchanged(_rows: Rows, _task: str) -> None:
    """No change of a run file."""


@pytest.fixture
def said(call: Call, here: Path) -> Callable[..., tuple[int, str, str]]:
    """Exit code and words of `validate` for a folder, and the row's part of the page."""

    def words(folder: Path, *suite: str) -> tuple[int, str, str]:
        code, out, err = call("validate", str(folder), *suite)
        root = str(folder.parents[1])
        assert call("board", "build", root, "-o", "site", *suite)[0] == 0
        page = html.unescape((here / "site" / "index.html").read_text("utf-8"))
        at = page.index(f'id="entry-{folder.parent.name}-{folder.name}"')
        return code, out + err, page[at : page.index("</details>", at)]

    return words


Said = Callable[..., tuple[int, str, str]]
TOY = ("--suite", "toy")


@pytest.mark.parametrize(("access", "garbled"), [("words", 0.0), ("words", 0.5), ("replays", 0.0)])
def test_the_calculator_is_too_good_for_words(
    submissions: Path, said: Said, access: str, garbled: float
) -> None:
    def calculated(rows: Rows, task: str) -> None:
        truth, form = find_suite("toy", task).truth("test"), get_task(task).format_answer
        rows[0]["access"] = access
        answers = [row for row in rows if row["kind"] == "pred"]
        for place, row in enumerate(answers):
            spoilt = place % 4 < 4 * garbled  # of each group as many
            row["raw"] = "what?" if spoilt else form(truth[row["qid"]].answer)

    model = as_model(folder_of(submissions, "constant"))
    code, text, page = said(new_entry(model, calculated, access=access), *TOY)
    assert code == 0 or access == "replays"  # which the run of a model can't say
    for shown in (text, page):
        warned = f"no explainer of class {access} is known to reach 33%" in shown
        assert warned is (access == "words")


@pytest.mark.parametrize("date", ["2026-11-29", "2020-01-01"])
def test_the_copy_with_blanks_and_the_backdated_one(
    submissions: Path, said: Said, date: str
) -> None:
    original = as_model(folder_of(submissions, "nearest-neighbour"))
    commit_all(submissions)

    def blanks(rows: Rows, _task: str) -> None:
        for row in rows:
            row |= {"raw": f" {row['raw']} "} if row["kind"] == "pred" else {}

    folder = new_entry(original, blanks, date=date)
    commit_all(submissions)
    code, _, page = said(folder, *TOY)
    assert code == 0  # labels come from comparing: `check` of a pull request, and the page
    assert f"are those of {original.name}" in page
    assert "copy: 100.0% of" in page
    original_page = said(original, *TOY)[2]
    assert folder.name not in original_page
    shutil.rmtree(submissions.parent / ".git")  # nobody knows any more
    for one in (folder, original):
        assert "which came first is not known" in said(one, *TOY)[2]


def test_the_false_base(submissions: Path, said: Said) -> None:
    weights = edit(weights_sha256={"x.safetensors": "ef" * 32})
    model = as_model(folder_of(submissions, "constant"))
    folder = new_entry(model, lambda rows, _: weights(rows), base="toy-target")
    code, _, page = said(folder, *TOY)
    assert code == 0
    assert "says that it was made from toy-target, but loaded none of its weight files" in page


def test_official_names_are_refused(submissions: Path, call: Call) -> None:
    folder = new_entry(as_model(folder_of(submissions, "constant")), unchanged)
    assert call("validate", str(folder), *TOY)[0] == 0
    for name in ("Calculator", "ca1culator", "baseline/constant", "Smollm2-Self"):
        set_field(folder, "name", name)
        code, out, err = call("validate", str(folder), *TOY)
        assert code == 1
        assert f"the name {name} is easily taken for" in out + err
    set_field(folder, "name", "New")
    for path in sorted(folder.glob("*.jsonl")):
        folder = forge(folder, edit(name="Baseline/constant"), name=path.name)
    code, out, err = call("validate", str(folder), *TOY)
    assert code == 1
    assert "'Baseline/constant' is easily taken for constant, which it is not" in out + err
    words = ("--name", "globex/Calculator", "--contact", "ann@example.org", "--declare")
    said = ("--kind", "trained", "--trained-on", "Toy queries.", "-o", "new")
    code, out, err = call("submit", *map(str, folder.glob("*.jsonl")), *words, *said, *TOY)
    assert (code, Path("new").exists()) == (1, False)
    assert "the name Calculator is easily taken for calculator" in out + err


@pytest.fixture
def described(here: Path) -> Path:
    """An entry of descriptions alone, from those that ship."""
    source = here / "source" / "smollm2-135m" / "introspect-bench__input-lens__00000000"
    shutil.copytree(next(SHIPPED.glob("*__input-lens__*")), source)
    return as_model(source, base="another-model")


def test_forged_judgements(described: Path, said: Said) -> None:
    suite = shipped_suite("smollm2-135m", "feature-descriptions")
    truth = arrays(suite, "test", "activations")["activations"].astype(np.float64)
    peaks = truth.max(axis=(1, 2), keepdims=True)
    scaled = np.round(255 * truth / np.where(peaks > 0, peaks, 1)).astype(np.uint8)
    at = {query.id: row for row, query in enumerate(suite.queries("test"))}

    def forged(rows: Rows, _task: str) -> None:
        for row in rows:
            if row["kind"] == "judgement":
                row["predicted"] = base64.b64encode(scaled[at[row["qid"]]].tobytes()).decode()

    code, text, page = said(new_entry(described, forged))
    assert code == 0
    for shown in (text, page):
        assert "above the best oracle, which reaches 0.6" in shown
    assert "computed from the predictions that the run file holds; no judge was run again" in page


def test_a_judge_that_the_suite_does_not_name_is_refused(described: Path, call: Call) -> None:
    def another(rows: Rows, _task: str) -> None:
        own = [row for row in rows if row["kind"] == "judgement"]
        rows += [row | {"judge": "exact-predicates/mine@000000000000"} for row in own[:3]]

    code, out, err = call("validate", str(new_entry(described, another)))
    assert code == 1
    assert "exact-predicates/mine@000000000000, a judge that the suite does not name" in out + err
