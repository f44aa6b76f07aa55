"""Runs in the forms of others, read back by the libraries they are for."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from program import PATCHING, Call, one_run, refused
from tiny_entries import Rows, unfinished
from tiny_features import NAME

import introspect_bench as ib
from introspect_bench.benchmark.errors import MissingPartError, UsageError
from introspect_bench.benchmark.export.export import FORMS, FORMULA

FORMULAS = [f"{sign}cmd|' /C calc'!A0" for sign in FORMULA]
STRANGE = ['a,"b"\nc', "plain", "\ud800 x", "", "a\x00b", "'", "nul\u2028l", "x" * 4000]


@pytest.fixture
def described(words: Path, call: Call) -> Path:
    """A run of descriptions."""
    asked = ("-m", "baseline/nearest-neighbour", "--suite", words.name, "-t", NAME)
    assert call("run", *asked)[0] == 0
    return Path("runs") / f"baseline-nearest-neighbour.toy.{NAME}.test.jsonl"


def with_replies(run: Path, replies: list[str]) -> Path:
    """Write the run again, unfinished, with other replies."""

    def say(rows: Rows) -> None:
        for row, reply in zip(rows[1:], replies, strict=False):
            row["raw"] = reply

    return unfinished(run, say)


def files_below(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_csv_holds_every_query_as_show_does(call: Call) -> None:
    run = one_run(call, task=PATCHING)
    code, out, err = call("export", str(run), "--to", "csv", "--suite", "toy")
    assert (code, out, err) == (0, f"{run.stem}.csv\n", "")
    with Path(f"{run.stem}.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    shown = ib.show(str(run), suite="toy")
    assert len(rows) == len(shown) == 12
    for row, said in zip(rows, shown, strict=True):
        for name in ("id", "group", "kind", "query", "truth", "raw", "answer"):
            assert row[name] == said[name]
        assert row["exact"] == str(said["exact"]).lower()
        assert int(row["tokens_in"]) >= 0


def csv_of(run: Path, suite: str) -> list[dict[str, str]]:
    path = ib.export(run, "csv", suite=suite, out=f"{run.stem}-again.csv")
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_no_cell_of_a_csv_is_a_formula(call: Call) -> None:
    run = with_replies(one_run(call, task=PATCHING), FORMULAS)
    rows = csv_of(run, "toy")
    assert not [cell for row in rows for cell in row.values() if cell.startswith(FORMULA)]
    raw = {row["raw"] for row in rows}
    assert raw >= {f"'{text}" for text in FORMULAS}


def test_strange_texts_come_back_from_a_csv(call: Call) -> None:
    run = with_replies(one_run(call, task=PATCHING), STRANGE)
    raw = {row["raw"] for row in csv_of(run, "toy")}
    assert raw >= {text.replace("\ud800", "\\ud800") for text in STRANGE}


def test_numbers_below_zero_stay_numbers(described: Path) -> None:
    rows = csv_of(described, "words")
    shown = ib.show(str(described), suite="words")
    assert [float(row["weighted_r"]) for row in rows] == [row["weighted_r"] for row in shown]
    assert min(float(row["weighted_r"]) for row in rows) < 0
    for name in ("matched_auroc", "mapped"):  # a feature of kind token has no matched tokens
        said = ["" if row[name] is None else str(row[name]) for row in shown]
        assert [row[name] for row in rows] == said


def test_parquet_keeps_types_and_header(call: Call) -> None:
    run = with_replies(one_run(call, task=PATCHING), FORMULAS)
    ib.export(run, "parquet", suite="toy", out="r.parquet")
    table = pq.read_table("r.parquet")
    rows = table.to_pylist()
    shown = ib.show(str(run), suite="toy")
    assert [row["exact"] for row in rows] == [row["exact"] for row in shown]
    assert [row["says_changed"] for row in rows] == [row["says_changed"] for row in shown]
    # nothing that reads Parquet takes text for a formula
    assert [row["raw"] for row in rows] == [row["raw"] for row in shown]
    header = json.loads(table.schema.metadata[b"introspect_bench.header"])
    assert header == ib.load(run).header.to_json()


def test_datasets_reads_the_folder_back(call: Call, described: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    for run, suite in ((one_run(call), "toy"), (described, "words")):
        folder = ib.export(run, "hf", suite=suite)
        assert folder == Path(f"{run.stem}.hf")
        found = datasets.load_dataset(str(folder), cache_dir=f"cache-{suite}")
        assert list(found) == ["test"]
        shown = ib.show(str(run), suite=suite)
        assert found["test"]["id"][:] == [row["id"] for row in shown]
        assert found["test"]["raw"][:] == [row["raw"] for row in shown]
        assert found["test"]["truth"][:] == [row["truth"] for row in shown]
        card = (folder / "README.md").read_text()
        assert ib.load(run).header.task.data_sha256 in card


def test_latex_is_the_table_of_score(call: Call) -> None:
    run = one_run(call)
    ib.export(run, "latex", suite="toy")
    text = Path(f"{run.stem}.tex").read_text()
    result = ib.score(run, suite="toy")
    assert text.startswith(f"% run {result['body_sha256']} of ")
    assert result["data_sha256"] in text
    low, high = result["overall"]["metrics"]["kind_mean"]["interval_95"]
    value = result["overall"]["metrics"]["kind_mean"]["value"]
    cell = f" & {100 * value:.1f} {{[}}{100 * low:.1f}, {100 * high:.1f}{{]}} & "
    assert cell.replace("-", "$-$") in text
    assert r"\toprule" in text
    assert text.count("{") == text.count("}")


@pytest.fixture
def validator() -> Any:
    """The validator of the published package; see `.ci/run` for how it is installed."""
    package = pytest.importorskip(
        "every_eval_ever",
        reason="pip install --no-deps --ignore-requires-python every-eval-ever==0.3.0",
    )
    assert package
    from every_eval_ever.validator import validation_core

    return validation_core


def findings(validator: Any, folder: Path) -> dict[str, list[Any]]:
    """Errors and warnings of their validator by file, with its checks between files."""
    names = files_below(folder)
    found = {}
    for name in names:
        aggregate = name.endswith(".json")
        check = validator.validate_aggregate if aggregate else validator.validate_instance_file
        report = check(
            folder / name,
            repo_path=name,
            available_files=names,
            read_repo_file=lambda other: (folder / other).read_text(),
            run_semantic_checks=True,
        )
        found[name] = [*report.errors, *report.warnings]
        assert report.valid or report.errors
    return found


def test_every_eval_ever_accepts_its_form(validator: Any, call: Call, described: Path) -> None:
    runs = [(one_run(call), "toy", 2), (one_run(call, task=PATCHING), "toy", 2)]
    evil = with_replies(runs[1][0], STRANGE)
    for run, suite, n in (*runs, (evil, "toy", 2), (described, "words", 1)):
        folder = ib.export(run, "every-eval-ever", suite=suite)
        found = findings(validator, folder)
        assert len(found) == n
        assert [some for some in found.values() if some] == []
        (record,) = (json.loads((folder / name).read_text()) for name in found if "_s" not in name)
        metrics = ib.score(run, suite=suite)["overall"]["metrics"]
        scores = {
            row["metric_config"]["metric_name"]: row["score_details"]["score"]
            for row in record["evaluation_results"]
        }
        assert scores == {name: metric["value"] for name, metric in metrics.items()}


def test_their_validator_sees_what_is_wrong(validator: Any, call: Call) -> None:
    folder = ib.export(one_run(call), "every-eval-ever", suite="toy")
    name = next(name for name in files_below(folder) if "_samples" not in name)
    record = json.loads((folder / name).read_text())
    record["evaluation_results"][0]["score_details"]["score"] = 1.5
    (folder / name).write_text(json.dumps(record))
    assert "outside" in str(findings(validator, folder)[name])


@pytest.mark.parametrize(
    "name", ["con/aux", "../../etc/passwd", "a b/c\nd", "unknown/data", "ÄÖ/模型", "x" * 200, "."]
)
def test_no_name_leads_out_of_the_folder(validator: Any, call: Call, name: str) -> None:
    run = unfinished(one_run(call), lambda rows: rows[0]["explainer"].update(name=name))
    before = files_below(Path())
    folder = ib.export(run, "every-eval-ever", suite="toy")
    assert all(new.startswith(f"{folder}/data/") for new in files_below(Path()) - before)
    assert [some for some in findings(validator, folder).values() if some] == []


@pytest.mark.parametrize("form", FORMS)
def test_the_same_run_gives_the_same_bytes_and_nothing_else(call: Call, form: str) -> None:
    run = one_run(call)
    before = files_below(Path())
    written = [ib.export(run, form, suite="toy", out=f"out-{number}/x") for number in range(2)]
    assert call("export", str(run), "--to", form, "--suite", "toy", "--json")[0] == 0
    new = {name for name in files_below(Path()) - before if not name.startswith(run.stem)}
    assert all(name.startswith(("out-0/x", "out-1/x")) for name in new)
    assert not [name for name in new if "partial" in name]
    contents = []
    for path in written:
        folder = files_below(path) if path.is_dir() else {""}
        contents.append({name: (path / name if name else path).read_bytes() for name in folder})
    assert contents[0] == contents[1]
    assert contents[0]


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_overwritten(call: Call, form: str) -> None:
    run = one_run(call)
    before = run.read_bytes()
    Path("link").symlink_to("nowhere")
    for there in (str(run), "runs", "link"):
        assert "is there already" in refused(
            call("export", str(run), "--to", form, "--suite", "toy", "-o", there), 2
        )
    assert run.read_bytes() == before


def test_a_place_that_cannot_be_written_is_said_and_left_clean(call: Call) -> None:
    run = one_run(call)
    Path("file").write_text("")
    before = files_below(Path())
    for form in FORMS:
        with pytest.raises(MissingPartError, match="cannot write"):
            ib.export(run, form, suite="toy", out="file/x")
    assert files_below(Path()) == before


def test_unknown_forms_and_runs_are_refused(call: Call) -> None:
    run = one_run(call)
    with pytest.raises(UsageError, match="choose from csv, parquet"):
        ib.export(run, "xls", suite="toy")
    assert "nowhere.jsonl" in refused(call("export", "nowhere.jsonl", "--to", "csv"), 2)
    assert not list(Path().glob("nowhere*"))


def test_a_part_says_that_it_is_one(call: Call) -> None:
    folder = ib.export(one_run(call, "--limit", "8"), "hf", suite="toy")
    assert '"partial": true' in (folder / "README.md").read_text()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("odd", ["", "\x1b[31m\n% x", "2026-13-45T00:00:00Z"])
def test_odd_headers_end_in_a_sentence_or_a_file(call: Call, form: str, odd: object) -> None:
    def edit(rows: Rows) -> None:
        rows[0] |= {"run_id": odd, "created": odd}
        rows[0]["explainer"] |= {"revision": odd, "name": odd}
        rows[0]["package"] |= {"version": odd, "commit": odd}
        rows[0]["target"]["name"] = odd

    run = str(unfinished(one_run(call), edit))
    code, out, err = call("export", run, "--to", form, "--suite", "toy")
    assert (code, "Traceback" in err) in ((0, False), (4, False))
    assert (code == 4) is (form == "every-eval-ever")  # which needs the date
    assert Path(out.strip() or "nothing").exists() is (code == 0)


@pytest.mark.parametrize("count", ["3.5", "1e300", "99999999999999999"])
def test_what_is_no_count_of_tokens_is_refused(call: Call, count: str) -> None:
    run = unfinished(one_run(call), lambda rows: rows[1].update(n_in=json.loads(count)))
    for form in ("csv", "parquet", "hf"):
        assert "expected a whole number" in refused(
            call("export", str(run), "--to", form, "--suite", "toy"), 4
        )
