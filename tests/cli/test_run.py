"""Running, and the same from Python: files, resuming, dry runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import ABLATIONS, CONSTANT, PATCHING, Call, one_run, refused, succeeded

import introspect_bench as ib
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.registry import get_task
from introspect_bench.leaderboard.verification.rerun import Recheck, request_again


def test_run_writes_one_file_a_task_and_prints_scores(call: Call) -> None:
    out = succeeded(call(*CONSTANT, "--suite", "toy"))
    names = sorted(path.name for path in Path("runs").glob("*.jsonl"))
    assert names == [f"baseline-constant.toy.{task}.test.jsonl" for task in (PATCHING, ABLATIONS)]
    assert "exact match" in out
    assert "12 queries answered" in out
    assert "15 queries answered" in out


def test_json_is_one_document_and_nothing_else(call: Call) -> None:
    code, out, err = call(*CONSTANT, "--suite", "toy", "--split", "mini", "--json")
    assert code == 0
    document = json.loads(out)
    assert [run["rows"] for run in document["runs"]] == [4, 5]
    assert [result["split"] for result in document["results"]] == ["mini", "mini"]
    assert out.count("\n") == 1
    assert "answering" in err


def test_the_same_command_again_changes_nothing(call: Call) -> None:
    path = one_run(call)
    before = path.read_bytes()
    assert one_run(call).read_bytes() == before


def test_a_baseline_that_looks_replies_up_knows_no_device(call: Call) -> None:
    path = one_run(call, "--device", "cuda", "--dtype", "bfloat16")
    before = path.read_bytes()
    assert ib.load(path).header.env.device is None
    assert one_run(call, "--device", "cpu").read_bytes() == before


def test_run_does_without_the_truth_of_its_split(call: Call) -> None:
    for path in Path("toy").rglob("test/truth.jsonl"):
        path.unlink()
    code, out, err = call(*CONSTANT, "--suite", "toy")
    assert code == 0
    assert "12 queries answered" in out
    assert "15 queries answered" in out
    assert err.count("not scored: the ground truth") == 2


def test_no_score_prints_no_score(call: Call) -> None:
    out = succeeded(call(*CONSTANT, "--suite", "toy", "--no-score"))
    assert "exact match" not in out


def test_options_may_be_written_with_underscores(call: Call) -> None:
    words = ("--suite", "toy", "--batch_size", "3", "--dry_run", "--no_vector")
    out = succeeded(call(*CONSTANT, *words))
    assert "queries" in out
    assert not Path("runs").exists()


def test_shuffled_vectors_have_a_file_of_their_own_and_are_no_vectors_withheld(call: Call) -> None:
    path = one_run(call, "--shuffle-vectors", task=PATCHING)
    assert path.name == f"baseline-constant.shuffled.toy.{PATCHING}.test.jsonl"
    assert ib.load(path).header.explainer.shuffled_vectors is True
    assert ib.score(path, suite="toy")["explainer"]["shuffled_vectors"] is True
    words = (*CONSTANT, "--suite", "toy", "-t", PATCHING, "--shuffle-vectors", "--no-vector")
    assert "both withheld and shuffled" in refused(call(*words), 2)


def test_a_part_of_train_has_a_file_of_its_own_and_is_told(call: Call) -> None:
    words = ("run", "-m", "baseline/nearest-neighbour", "--suite", "toy", "-t", PATCHING)
    path = one_run(call, "--n-train", "50%", model=words[2], task=PATCHING)
    assert path.name == f"baseline-nearest-neighbour.n-50pc.toy.{PATCHING}.test.jsonl"
    learnt = ib.load(path).header.explainer.settings["n_train"]
    assert learnt == 8  # half of sixteen
    again = request_again(ib.load(path), Recheck(suite="toy"), output=Path("again"))
    assert again.n_train == learnt
    for part, more in {
        "there are 16": (*words, "--n-train", "17"),
        "such as 512 or 12%": (*words, "--n-train", "x"),
        "for baselines only": ("run", "-m", "nowhere", "--suite", "toy", "--n-train", "4"),
    }.items():
        assert part in refused(call(*more), 2)


def test_a_dry_run_says_queries_tokens_time_and_disk(call: Call) -> None:
    words = ("run", "-m", "baseline/few-shot", "--suite", "toy", "--dry-run")
    out = succeeded(call(*words))
    assert out.splitlines()[0].split("  ")[0] == "task"
    assert not Path("runs").exists()
    few = json.loads(call(*words, "--json")[1])["plans"]
    zero = json.loads(call(*words, "--shots", "0", "--json")[1])["plans"]
    assert [plan["queries"] for plan in few] == [12, 15]
    assert few[0]["prompt_tokens"] > zero[0]["prompt_tokens"] > 0
    assert few[0]["disk_bytes"] > 0


def test_a_dry_run_of_the_embedded_target_names_the_download(
    call: Call, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setenv("INTROSPECT_BENCH_CACHE", str(here / "cache"))
    out = succeeded(call("run", "-m", "smollm2-135m", "--suite", "toy", "--dry-run"))
    assert "download of 93 MB, 650 MB of cache" in out


def test_a_baseline_made_for_one_task_answers_that_one(call: Call) -> None:
    out = succeeded(call("run", "-m", "baseline/source-oracle", "--suite", "toy"))
    assert out.count("queries answered") == 1


def test_every_public_name_is_there() -> None:
    for name in ib.__all__:
        assert getattr(ib, name)
    assert set(ib.__all__) <= set(dir(ib))  # what an editor offers
    with pytest.raises(AttributeError, match="nobody"):
        _ = ib.nobody


def test_the_python_functions_do_what_the_verbs_do() -> None:
    runs = ib.run("baseline/constant", suite="toy", split="mini")
    assert [len(run.rows) for run in runs] == [4, 5]
    assert ib.validate(runs[0].path)["complete"]
    assert [plan.queries for plan in ib.plan("baseline/constant", suite="toy")] == [12, 15]
    with pytest.raises(UsageError, match="unknown baseline"):
        ib.run("baseline/nobody", suite="toy")


def test_a_local_folder_is_not_named_by_its_path(here: Path) -> None:
    from introspect_bench.benchmark.evaluation.spec import RunSpec
    from introspect_bench.benchmark.suite.select import find_suite

    (here / "models" / "my model").mkdir(parents=True)
    request = RunSpec(model=str(here / "models" / "my model"))
    path = request.path(get_task(ABLATIONS), find_suite("toy", ABLATIONS))
    assert path == Path("runs") / f"my-model.toy.{ABLATIONS}.test.jsonl"
