"""A calculator of one's own that declares `words`: shown, not ranked, and why; and who is ranked.

The plug-in runs the target with the patch. Its suite is measured on a tiny target that lies in a
folder, by the tests' own slow way.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_suites
from program import PACKAGES, PATCHING, Call, one_run, refused, succeeded
from scratch_git import Scratch
from tiny_entries import forge, make_entry, set_field
from tiny_plugins import LOADS, calculator, measured, reader
from tiny_submissions import edit
from tiny_targets import SAYS, make_target

import introspect_bench as ib
from introspect_bench.benchmark.models.targets import weight_files
from introspect_bench.benchmark.registry import get_task
from introspect_bench.leaderboard.site.board import Row
from introspect_bench.leaderboard.site.build import make_board
from introspect_bench.leaderboard.submissions.comment import render_comment
from introspect_bench.leaderboard.submissions.pull_request import check_pull_request
from introspect_bench.leaderboard.submissions.validate import check_entry
from introspect_bench.leaderboard.verification.ledger import read_ledger

LEDGER = Path("submissions/ledger.jsonl")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target in a folder, and a frozen suite that was measured on it."""
    root = tmp_path_factory.mktemp("world")
    target = make_target(seed=4, talkative=SAYS)
    target.model.save_pretrained(root / "target")
    target.tokenizer.save_pretrained(root / "target")
    about = {
        "name": "tiny",
        "source": "local",
        "location": str(root / "target"),
        "d_model": target.d_model,
        "weights_sha256": weight_files(root / "target"),
    }
    task = get_task(PATCHING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            tiny_suites, "_group", lambda _task, split, group: measured(target, split, group)
        )
        tiny_suites.make_suite(root / "tiny" / PATCHING / task.version, task, target=about)
    return root


@pytest.fixture
def suite(world: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYTHONPATH", PACKAGES)  # of the process without the target
    return str(world / "tiny")


def submitted(call: Call, suite: str, model: str, **said: Any) -> Path:
    """Run an explainer of one's own on the suite, and submit what it replies."""
    own = model.rpartition(":")[2]
    run = one_run(call, "--no-score", model=model, task=PATCHING, suite=suite, out=own)
    said |= {"name": f"acme/my-{own}", "kind": "untrained"}
    return make_entry([run], Path("submissions"), Path(suite), **said)


def row_of(suite: str, name: str) -> Row:
    (table,) = make_board(Path("submissions"), suite=suite, use_cache=False)[0].suites
    return next(row for row in table.rows if row.name == name)


def test_a_calculator_that_declares_words_is_not_ranked_and_it_is_said_why(
    call: Call, suite: str, world: Path, here: Path
) -> None:
    folder = submitted(call, suite, calculator(world), access="words")
    result = ib.score(folder / f"{PATCHING}.jsonl", suite=suite)
    assert result["overall"]["metrics"]["balanced_exact_match"]["value"] == 1
    assert result["access"] == "undeclared"  # the harness knows nothing of it
    row = row_of(suite, "my-Calculator")
    assert (row.access, row.access_basis, row.rank) == ("words", "declared", None)
    assert row.overall is not None
    assert "ranked after a re-run in a process that holds no weights of the target" in row.unranked
    assert call("board", "build", "--suite", suite, "--no-cache")[0] == 0
    page = Path("site/index.html").read_text()
    assert f"Not ranked: {row.unranked}." in page
    assert "Not ranked: how the answers were come by is not said, or not confirmed" in page
    report = ib.board_report(suite=suite, use_cache=False)
    assert "test · words, not ranked" in report
    scratch = Scratch(here / "repository", submitted(call, suite, reader(), access="words"))

    def add(root: Path) -> None:
        shutil.copytree(folder, root / "submissions" / "toy" / folder.name)

    found = check_pull_request(
        scratch.root,
        base=scratch.base,
        head=scratch.pull_request(add),
        work=here / "work",
        suite=suite,
    )
    assert found["ok"]
    comment = render_comment(found, one_entry=True)
    assert "so it is not ranked: user code that declares words: it is ranked after" in comment


@pytest.mark.parametrize("way", sorted(LOADS))
def test_a_calculator_does_not_answer_without_the_target(
    call: Call, suite: str, world: Path, way: str
) -> None:
    model = calculator(world, way)
    folder = submitted(call, suite, model, access="words")
    sentence = refused(
        call("recheck", str(folder), "-m", model, "--suite", suite, "--without-target"), 1
    )
    assert "does not answer without the weights of the target" in sentence
    assert "the weights of tiny are withheld from this process" in sentence
    (line,) = read_ledger(LEDGER)
    assert (line.event, line.tasks) == ("rerun", {PATCHING: (0, 12)})
    assert line.details["without_target"] is True
    assert "withheld" in line.reason
    row = row_of(suite, "my-Calculator")
    assert row.rank is None
    assert "did not give its answers in a process that holds no weights" in row.unranked
    # with the target it is who it was: that it needs the target is no forgery
    assert call("recheck", str(folder), "-m", model, "--suite", suite, "--k", "12")[0] == 0
    assert row_of(suite, "my-Calculator").tier == 3


def test_a_reader_is_ranked_among_words_once_it_answered_without_the_target(
    call: Call, suite: str
) -> None:
    folder = submitted(call, suite, reader(), access="words")
    assert row_of(suite, "my-Reader").rank is None
    words = ("recheck", str(folder), "-m", "py:reading:Reader", "--suite", suite)
    # some of the queries show nothing: the others could have been looked up
    assert call(*words, "--without-target", "--k", "4")[0] == 0
    assert row_of(suite, "my-Reader").rank is None
    assert call(*words)[0] == 0
    assert row_of(suite, "my-Reader").rank is None
    out = succeeded(call(*words, "--without-target", "--json"))
    assert json.loads(out)["without_target"] is True
    row = row_of(suite, "my-Reader")
    assert (row.access, row.access_basis) == ("words", "declared and confirmed")
    assert (row.rank, row.unranked, row.tier) == ((1, 1), "", 3)
    # of other bytes nothing is known
    set_field(folder, "attempts", 2)
    assert row_of(suite, "my-Reader").rank is None


@pytest.mark.parametrize(
    ("access", "rank", "part"),
    [
        (None, None, "does not say how it comes by its answers"),
        ("runs-target", None, "no check tells it from code that replays"),
        ("replays", (1, 1), ""),
        ("oracle", None, "is told what no contestant has"),
    ],
)
def test_what_is_declared_of_other_code(
    call: Call, suite: str, access: str | None, rank: tuple[int, int] | None, part: str
) -> None:
    folder = submitted(call, suite, reader(), access=access)
    row = row_of(suite, "my-Reader")
    assert (row.access, row.rank) == (access or "undeclared", rank)
    assert part in row.unranked
    assert bool(row.unranked) == bool(part)
    findings = check_entry(folder, suite=suite).findings
    assert [one.level for one in findings] == ["warning"] * (access in (None, "runs-target"))


def test_the_class_of_what_the_harness_runs_is_not_for_declaring(call: Call, suite: str) -> None:
    run = one_run(call, "--no-score", model="baseline/unchanged", task=PATCHING, suite=suite)
    submit = ("submit", str(run), "--name", "acme/x", "--contact", "a@b.example", "--declare")
    assert "--access is for user code" in refused(
        call(*submit, "--suite", suite, "--access", "words"), 2
    )
    assert call(*submit, "--suite", suite)[0] == 0
    (folder,) = Path("submissions").glob("*/acme__x__*")
    assert json.loads((folder / "entry.json").read_text())["access"] == "runs-target"
    assert "--without-target is for user code" in refused(
        call("recheck", str(folder), "--suite", suite, "--without-target"), 2
    )


def test_an_entry_and_a_run_say_the_class_that_is_right(call: Call, suite: str) -> None:
    run = one_run(call, "--no-score", model="baseline/unchanged", task=PATCHING, suite=suite)
    folder = make_entry([run], Path("submissions"), Path(suite))
    set_field(folder, "access", "words")
    (finding,) = check_entry(folder, suite=suite).findings
    assert (finding.level, finding.expected) == (
        "error",
        "'runs-target', the widest class of its runs",
    )
    (finding,) = check_entry(forge(folder, edit(access="words")), suite=suite).findings
    assert "field access is 'words', which is 'runs-target' by the explainer's" in finding.found
