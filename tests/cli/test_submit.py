"""submit: runs become one new folder, or one sentence says why not."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from program import ABLATIONS, PATCHING, Call, one_run, refused, succeeded, the_sentence
from tiny_entries import CONTACT, rows_of, write_rows

import introspect_bench as ib
from introspect_bench.benchmark.errors import CheckFailedError, UsageError
from introspect_bench.leaderboard.submissions.entries import find_entries, read_entry
from introspect_bench.leaderboard.submissions.submit import Statement, read_text

WORDS = ("--name", "Acme/Model-1", "--contact", CONTACT, "--declare", "--suite", "toy")


def only_entry() -> Path:
    (folder,) = Path("submissions/toy").iterdir()
    return folder


def test_runs_become_a_folder_that_validates_and_scores_the_same(call: Call) -> None:
    runs = [one_run(call, task=task) for task in (ABLATIONS, PATCHING)]
    before = [run.read_bytes() for run in runs]
    more = ("--author", "Ann Ångström", "--code-url", CONTACT, "--parameters", "135000000")
    code, out, err = call("submit", *map(str, runs), *WORDS, *more)
    assert code == 0
    assert "error" not in err  # a changed checkout is a warning
    folder = only_entry()
    assert str(folder) == out.splitlines()[0]
    assert f"git add -- {folder}" in out
    entry = read_entry(folder)
    assert entry.suite == "toy"
    assert [path.name for path in entry.runs] == [f"{PATCHING}.jsonl", f"{ABLATIONS}.jsonl"]
    assert entry.fields.kind == "baseline"
    assert entry.fields.authors == ["Ann Ångström"]
    assert [run.read_bytes() for run in runs] == before
    copy = next(path for path in entry.runs if path.stem == ABLATIONS)
    assert ib.score(copy, suite="toy") == ib.score(runs[0], suite="toy")
    assert call("validate", "--strict", "submissions", "--suite", "toy")[0] == 0
    assert find_entries(Path("submissions")) == [entry]


@pytest.mark.parametrize("control", ["--no-vector", "--shuffle-vectors"])
def test_a_control_of_all_tasks_is_one_explainer(call: Call, control: str) -> None:
    """Only the tasks with vectors leave them out or exchange them, as their headers say."""
    words = ("run", "-m", "baseline/constant", "--suite", "toy", "--no-score", control)
    assert call(*words)[0] == 0
    runs = sorted(map(str, Path("runs").glob("*.jsonl")))
    assert len(runs) == 2
    succeeded(call("submit", *runs, *WORDS))
    assert call("validate", "--strict", "submissions", "--suite", "toy")[0] == 0
    first = read_entry(only_entry()).runs[0]
    explainer = ib.load(first).header.explainer
    assert explainer.no_vector or explainer.shuffled_vectors


def test_a_control_is_named_when_its_explainer_is_submitted(call: Call) -> None:
    """Its runs are looked at beside the draft: another recipe is no control."""
    ids = {}
    for name, more in (("own", ()), ("blind", ("--no-vector",)), ("fewer", ("--n-train", "4"))):
        run = one_run(call, "--no-score", *more, task=PATCHING, out=name)
        if name == "own":
            continue
        assert call("submit", str(run), *WORDS, "--name", f"Acme/{name}")[0] == 0
        ids[name] = next(path.name for path in Path("submissions/toy").glob(f"*__{name}__*"))
    named = ("submit", "own", *WORDS, "--name", "Acme/own", "--vector-use")
    assert "which was run with vectors" in refused(call(*named, ids["fewer"]), 1)
    assert call(*named, ids["blind"])[0] == 0
    assert call("validate", "submissions", "--suite", "toy")[0] == 0


def test_nothing_that_exists_is_changed(call: Call) -> None:
    run = str(one_run(call))
    Path("submissions").mkdir()
    Path("submissions/README.md").write_text("Entries.\n")
    assert call("submit", run, *WORDS)[0] == 0
    before = {path: path.stat().st_mtime_ns for path in Path("submissions").rglob("*")}
    assert "exists: these replies were submitted" in refused(call("submit", run, *WORDS), 2)
    assert {path: path.stat().st_mtime_ns for path in Path("submissions").rglob("*")} == before
    assert not any(path.stat().st_mode & stat.S_IXUSR for path in only_entry().iterdir())


def test_json_is_one_document_and_python_does_the_same(call: Call) -> None:
    run = one_run(call)
    out = succeeded(call("submit", str(run), *WORDS, "--json", "-o", "a"))
    said = json.loads(out)
    described = Statement(name="Acme/Model-1", contact=CONTACT, declared=True)
    made = ib.submit([run], described, output=Path("b"), suite="toy")
    assert said["id"] == made.id
    assert said["pull_request"] is None
    for name in ("entry.json", f"{ABLATIONS}.jsonl"):
        assert (Path(said["folder"]) / name).read_bytes() == (made.folder / name).read_bytes()


def test_partial_and_incomplete_runs_are_refused_in_a_plain_sentence(call: Call) -> None:
    part = one_run(call, "--limit", "3")
    assert "a partial run cannot be submitted: it answers 3 queries" in refused(
        call("submit", str(part), *WORDS), 1
    )
    part.unlink()
    run = one_run(call)
    run.write_text("".join(run.read_text().splitlines(keepends=True)[:-3]))
    assert "2 of 15 queries have no row" in refused(call("submit", str(run), *WORDS), 5)
    assert not Path("submissions").exists()


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--name", "Model"), 2, "ORG/NAME"),
        (("--name", "../x"), 2, "ORG/NAME"),
        (("--name", "a/b/../../c"), 2, "ORG/NAME"),
        (("--name", "Acme/<b>"), 4, "field name"),
        (("--contact", "me"), 4, "field contact"),
        (("--code-url", "http://github.com/a"), 4, "field links"),
        (("--kind", "trained"), 4, "field trained_on"),
        (("--kind", "untrained"), 1, "the run says 'baseline'"),
        (("--kind", "nonsense"), 4, "field kind"),
        (("--attempts", "0"), 4, "field attempts"),
        (("--date", "yesterday"), 4, "field date"),
        (("--licence", "do what you like"), 4, "field licence"),
        (("--notes", "nowhere.txt"), 2, "nowhere.txt"),
        (("--bibtex", "nowhere.bib"), 2, "nowhere.bib"),
        (("--vector-use", "a__b__00000000"), 1, "not here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_ci_would_refuse_is_refused_here(
    call: Call, words: tuple[str, ...], code: int, part: str
) -> None:
    assert part in refused(call("submit", str(one_run(call)), *WORDS, *words), code, out="")
    assert not list(Path().glob("submissions/**/*.jsonl"))


def test_a_submission_states_what_it_states(call: Call) -> None:
    words = [word for word in WORDS if word != "--declare"]
    code, _, err = call("submit", str(one_run(call)), *words)
    assert code == 1
    stated = "nothing was trained on validation or test queries, or chosen on test queries"
    assert stated in the_sentence(err)


def test_runs_that_do_not_belong_together_are_refused(call: Call) -> None:
    run = one_run(call)
    copy = shutil.copy(run, "copy.jsonl")
    assert "answer the same task" in refused(call("submit", str(run), copy, *WORDS), 2)
    other = one_run(call, task=PATCHING)
    rows = rows_of(other)
    rows[0]["explainer"]["name"] = "somebody/else"
    write_rows(other, rows)
    assert "several explainers" in refused(call("submit", str(run), str(other), *WORDS), 1)


def test_a_tool_that_is_missing_is_exit_3_and_the_folder_stays(
    call: Call, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    run = str(one_run(call))
    monkeypatch.setenv("PATH", str(here))
    assert "gh is not installed; type the git commands by hand" in refused(
        call("submit", run, *WORDS, "--open-pr"), 3
    )
    assert read_entry(only_entry())


def test_a_pull_request_is_opened_with_the_tools_that_are_there(
    call: Call, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    run = str(one_run(call))
    tools = here / "tools"
    tools.mkdir()
    for name in ("git", "gh"):
        tool = tools / name
        tool.write_text(
            f'#!/bin/sh\necho "{name} $*" >> "{here}/said"\necho https://pr.example/1\n'
        )
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    out = succeeded(call("submit", run, *WORDS, "--open-pr"))
    assert "https://pr.example/1" in out
    folder = only_entry()
    said = (here / "said").read_text().splitlines()
    assert said[1] == f"git switch -c submit/{folder.name}"
    assert said[2] == f"git add -- {folder}"
    assert said[-1].startswith("gh pr create --title Submit acme__model-1__")


def test_a_full_disk_leaves_no_half_entry(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    run = one_run(call)

    def full(*_paths: object, **_more: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(OSError, match="no disk space left"):
        ib.submit([run], Statement(name="a/b", contact=CONTACT, declared=True), suite="toy")
    assert not list(Path("submissions/toy").iterdir())


def test_statements_are_asked_for_in_python_too(call: Call) -> None:
    with pytest.raises(CheckFailedError, match="--declare"):
        ib.submit([one_run(call)], Statement(name="a/b", contact=CONTACT), suite="toy")


def test_a_text_that_is_too_long_is_not_said_to_be_of_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "cite.bib"
    path.write_text("\u00e9" * 10_001, "utf-8")  # 20,002 bytes; a limit cuts a character in two
    with pytest.raises(UsageError, match="more than 20000 bytes"):
        read_text(path)


def test_a_report_is_written_and_names_line_expectation_and_fix(call: Call) -> None:
    assert call("submit", str(one_run(call)), *WORDS)[0] == 0
    folder = only_entry()
    words = ("validate", str(folder), "--suite", "toy", "--report", "report.json", "--json")
    out = succeeded(call(*words))
    assert json.loads(out) == json.loads(Path("report.json").read_text())
    assert json.loads(out) == ib.validate_all([folder], suite="toy")
    path = folder / "entry.json"
    path.write_text(path.read_text().replace('"attempts": 1', '"attempts": -1'))
    code, out, err = call(*words)
    assert code == 4
    (finding,) = json.loads(out)["entries"][0]["findings"]
    line = path.read_text().splitlines()[finding["line"] - 1]
    assert line.strip() == '"attempts": -1,'
    assert finding["fix"]
    assert finding["expected"]
    assert f"{path}:{finding['line']}: field attempts" in the_sentence(err)
