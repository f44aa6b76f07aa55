"""Input ablations as tasks of lm-eval: replies and metrics are those of `run` and `score`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from program import environment
from tiny_answerers import save_answerer
from tiny_suites import make_suite_folder

import introspect_bench as ib
from introspect_bench.baselines import reference_folder
from introspect_bench.benchmark.backends.lm_eval_tasks import ablations
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.export.lm_eval_tasks import (
    DEFAULT_SUITE,
    INCLUDED,
    MAX_NEW_TOKENS,
    task_file,
)
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.runs.run import Run
from introspect_bench.benchmark.suite.select import find_suite

pytest.importorskip("lm_eval", reason="pip install 'introspect-bench[lm-eval]'")

N = 60
TASK = "introspect_bench_input_ablations_validation_{form}"


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ib.export(tmp_path_factory.mktemp("tasks") / "own", "lm-eval", split="validation")


def lm_eval(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The program lm-eval in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lm_eval", *words],
        cwd=cwd,
        env=environment(HF_HUB_OFFLINE="1"),
        capture_output=True,
        text=True,
        check=False,
    )


def evaluated(tasks: Path, form: str, cwd: Path, *words: str) -> tuple[Any, list[Any]]:
    """What lm-eval writes of one form: its results, and its samples in order."""
    chat = ("--apply_chat_template",) if form == "chat" else ()
    more = ("--include_path", str(tasks), "--tasks", TASK.format(form=form), "--device", "cpu")
    done = lm_eval("--output_path", "out", "--log_samples", *more, *chat, *words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    (results,) = (cwd / "out").rglob("results_*.json")
    (samples,) = (cwd / "out").rglob("samples_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    return json.loads(results.read_text(), parse_constant=lambda _: None), rows


def same_as_ours(results: Any, samples: list[Any], run: Path) -> None:
    """Check replies, metrics and interval against a run file."""
    ours = ib.load(run).rows
    theirs = {row["doc"]["id"]: row for row in samples}
    assert theirs.keys() == ours.keys()
    for key, row in theirs.items():
        (metric, *_) = (row[name] for name in row["metrics"])
        assert metric[3] == ours[key]["raw"]
        # nothing but the end of what lm-eval keeps is left out
        assert row["resps"][0][0].startswith(ours[key]["raw"])
    (found,) = results["results"].values()
    score = ib.score(run)
    metrics = score["overall"]["metrics"]
    values = {name: one["value"] for name, one in metrics.items()}
    ends = metrics[score["headline"]]["interval_95"] or (None, None)
    values |= zip((f"{score['headline']}_low", f"{score['headline']}_high"), ends, strict=True)
    # NaN is no JSON, so it is read as what `score` writes
    assert {name.removesuffix(",none"): one for name, one in found.items() if "," in name} == {
        **values,
        **{f"{name}_stderr": "N/A" for name in values},
    }


@pytest.mark.parametrize("form", ["chat", "plain"])
def test_replies_and_metrics_are_ours(tasks: Path, tmp_path: Path, form: str) -> None:
    model = save_answerer(tmp_path / form, chat=form == "chat")
    words = ("--model", "hf", "--model_args", f"pretrained={model}", "--limit", str(N))
    results, samples = evaluated(tasks, form, tmp_path, *words, "--batch_size", "16")
    (run,) = ib.run(
        str(model), tasks=("input-ablations",), split="validation", limit=N, output=tmp_path
    )
    assert len(run.rows) == N
    counts = ib.score(run.path)["counts"]
    assert min(counts["scored"], counts["unparsed"]) > 0
    same_as_ours(results, samples, run.path)
    (config,) = results["configs"].values()
    suite = find_suite(DEFAULT_SUITE, ablations.TASK)
    assert config["metadata"]["data_sha256"] == suite.data_sha256


@pytest.mark.slow
@pytest.mark.parametrize(("adapted", "n"), [(False, 24), (True, 80)])
def test_the_real_models_with_lm_eval(tasks: Path, tmp_path: Path, adapted: bool, n: int) -> None:
    """The target, and its adapter that is shipped, whose thresholds of verdicts are ours alone."""
    from introspect_bench.benchmark.models.fetch import prepare_target
    from introspect_bench.benchmark.models.targets import SMOLLM2_135M

    given, model = f"pretrained={prepare_target(SMOLLM2_135M)},dtype=float32", "smollm2-135m"
    if adapted:
        folder = shutil.copytree(reference_folder("smollm2-self"), tmp_path / "adapter")
        said = json.loads((folder / "explainer.json").read_text())
        assert said.pop("verdict_thresholds")
        (folder / "explainer.json").write_text(json.dumps(said))
        given, model = f"{given},peft={folder}", str(folder)
    words = ("--model", "hf", "--model_args", given, "--limit", str(n), "--batch_size", "4")
    results, samples = evaluated(tasks, "chat", tmp_path, *words)
    (run,) = ib.run(model, tasks=("input-ablations",), split="validation", limit=n, output=tmp_path)
    assert len(samples) == n
    same_as_ours(results, samples, run.path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("form", "flag", "said"),
    [("chat", False, "add --apply_chat_template"), ("plain", True, "leave out --apply_chat_t")],
)
def test_the_wrong_form_is_refused(
    tasks: Path, tmp_path: Path, form: str, flag: bool, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        evaluate_here(tasks, save_answerer(tmp_path / "m", chat=True), form, flag)


@pytest.mark.filterwarnings("ignore")
def test_a_template_without_system_turns_is_refused(tasks: Path, tmp_path: Path) -> None:
    model = save_answerer(tmp_path / "m", chat=True)
    template = model / "chat_template.jinja"
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    template.write_text(refuses + template.read_text())
    with pytest.raises(UsageError, match="leaves the instructions out"):
        evaluate_here(tasks, model, "chat", True)


def evaluate_here(tasks: Path, model: Path, form: str, flag: bool) -> Any:
    """Two queries in this process."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    return simple_evaluate(
        model="hf",
        model_args={"pretrained": str(model)},
        device="cpu",
        tasks=[TASK.format(form=form)],
        limit=2,
        apply_chat_template=flag,
        task_manager=manager,
    )


def test_the_program_ends_with_the_sentence(tasks: Path, tmp_path: Path) -> None:
    model = save_answerer(tmp_path / "m", chat=True)
    more = ("--include_path", str(tasks), "--tasks", TASK.format(form="chat"), "--device", "cpu")
    words = ("--model", "hf", "--model_args", f"pretrained={model}", "--output_path", "out")
    done = lm_eval(*words, *more, "--limit", "2", cwd=tmp_path)
    assert done.returncode != 0
    assert "add --apply_chat_template" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_the_package_holds_what_is_written() -> None:
    suite = find_suite(DEFAULT_SUITE, ablations.TASK)
    for form in ablations.FORMS:
        written = task_file(suite, DEFAULT_SUITE, "test", form)
        assert (INCLUDED / f"{form}.yaml").read_bytes() == written


def test_longest_replies_are_as_long() -> None:
    from introspect_bench.benchmark.backends.explainer import local

    assert local.MAX_NEW_TOKENS == MAX_NEW_TOKENS


@pytest.mark.parametrize("name", ["data_sha256", "prompt_sha256", "metric_version"])
def test_a_file_for_other_data_is_refused(name: str) -> None:
    suite = find_suite(DEFAULT_SUITE, ablations.TASK)
    said = ablations.versions(suite) | {name: "0" * 64}
    with pytest.raises(IntegrityError, match=f"written for {name} '000.*export --to lm-eval"):
        ablations.documents(suite=DEFAULT_SUITE, split="mini", form="chat", **said)


def test_every_right_answer_scores_one() -> None:
    suite = find_suite(DEFAULT_SUITE, ablations.TASK)
    said = ablations.versions(suite)
    (docs,) = ablations.documents(suite=DEFAULT_SUITE, split="mini", form="plain", **said).values()
    found = [ablations.process_results(doc, [doc["target"]]) for doc in docs]
    for name in ablations.metric_names():
        aggregate = getattr(ablations, f"{ablations.AGGREGATE}{name}")
        assert aggregate([one[name] for one in found]) == 1


def test_every_metric_is_ours_on_mixed_replies(run_of: Callable[..., Run]) -> None:
    suite = find_suite(DEFAULT_SUITE, ablations.TASK)
    options: dict[str, Any] = {"suite": DEFAULT_SUITE, "form": "chat", **ablations.versions(suite)}
    docs = ablations.documents(split="validation", **options)["validation"]
    wrong = ("changed: A", "unchanged: B\nmore", "no answer", "part: A", "changed")
    replies = {
        doc["id"]: doc["target"] if number % 3 else wrong[number // 3 % len(wrong)]
        for number, doc in enumerate(docs)
    }
    run = run_of(get_task(ablations.TASK), suite, replies, split="validation")
    score = ib.score(run.path)
    metrics = score["overall"]["metrics"]
    values = {name: one["value"] for name, one in metrics.items()}
    assert all(0 < value < 1 for value in values.values())
    ends = metrics[score["headline"]]["interval_95"]
    values |= zip((f"{score['headline']}_low", f"{score['headline']}_high"), ends, strict=True)
    found = [ablations.process_results(doc, [replies[doc["id"]]]) for doc in docs]
    for name in ablations.metric_names():
        aggregate = getattr(ablations, f"{ablations.AGGREGATE}{name}")
        assert aggregate([one[name] for one in found]) == values.pop(name)
    assert values == {}


def test_a_folder_of_suites_can_be_written(tmp_path: Path) -> None:
    suites = make_suite_folder(tmp_path / "toy")
    folder = ib.export(tmp_path / "tasks", "lm-eval", suite=str(suites))
    assert {path.name for path in folder.iterdir()} == {"chat.yaml", "plain.yaml"}
    assert str(suites) in (folder / "chat.yaml").read_text()


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    for options in ({"out": "x"}, {"suite": "nowhere"}, {"split": "nowhere"}):
        with pytest.raises(UsageError):
            ib.export(tmp_path / "tasks", "lm-eval", **options)
    with pytest.raises(UsageError, match="is there already"):
        ib.export(tmp_path, "lm-eval")
    with pytest.raises(UsageError, match="tasks for lm-eval only"):
        ib.export(tmp_path / "run.jsonl", "csv", split="test")
    assert not list(tmp_path.iterdir())
