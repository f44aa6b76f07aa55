"""Training explainers: what is learnt, from what, and how a killed training goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import make_tokenizer
from tiny_training import assert_same_weights, stop_at, train
from told import Told

import introspect_bench as ib
from introspect_bench.benchmark.backends.explainer.chat import Encoder
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.backends.training import checkpoints
from introspect_bench.benchmark.backends.training.dataset import make_lessons, plan_batches
from introspect_bench.benchmark.backends.training.module import TrainedExplainer, collate
from introspect_bench.benchmark.backends.training.spec import ExplainerSettings
from introspect_bench.benchmark.backends.training.trainer import loss_curve
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.records import Answer
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.subset import draw_groups
from introspect_bench.benchmark.suite.suite import Suite, open_suite

PATCHING, ABLATIONS = "activation-patching", "input-ablations"


def suite_of(suites: Path, task: str) -> Suite:
    return open_suite(suites / task / get_task(task).version)


def test_a_lesson_is_the_prompt_of_a_run_and_the_right_answer(suites: Path) -> None:
    tokenizer = make_tokenizer()
    encoder = Encoder(tokenizer, use_vectors=True)
    task, suite = get_task(PATCHING), suite_of(suites, PATCHING)
    lessons = make_lessons(task, suite, encoder)
    assert len(lessons) == len(suite.queries("train"))
    for lesson in lessons:
        answer = task.format_answer(suite.truth("train")[lesson.qid].answer)
        said = tokenizer.decode(lesson.ids[lesson.n_prompt : -1])
        assert said.strip() == answer
        assert lesson.ids[-1] == tokenizer.eos_token_id
        assert [lesson.ids[column] for column in lesson.columns] == [encoder.placeholder]
        query = next(q for q in suite.queries("train") if q.id == lesson.qid)
        np.testing.assert_array_equal(lesson.vectors[0], suite.vectors("train")[query.vector])
    without = make_lessons(task, suite, Encoder(tokenizer, use_vectors=False))
    assert all(not lesson.vectors for lesson in without)


def test_a_lesson_of_a_replay_goes_on_from_the_text_with_output_and_verdict(
    suites: Path,
) -> None:
    tokenizer = make_tokenizer()
    task, suite = get_task(PATCHING), suite_of(suites, PATCHING)
    queries = {query.id: query for query in suite.queries("train")}
    for use_vectors in (True, False):
        encoder = Encoder(tokenizer, use_vectors=use_vectors, injection=Injection(mode="replay"))
        for lesson in make_lessons(task, suite, encoder):
            answer = suite.truth("train")[lesson.qid].answer
            assert isinstance(answer, Answer)
            whole = tokenizer.decode(lesson.ids[:-1])
            text = queries[lesson.qid].fields["text"]
            verdict = "change to" if answer.changed else "remain unchanged from"
            said = f" {answer.content}, so the output would {verdict} <<<{answer.content}>>>"
            assert whole.endswith(text + said)
            assert tokenizer.decode(lesson.ids[lesson.n_prompt : -1]) == said
            assert task.parse(said) == answer


def test_smaller_draws_are_parts_of_larger_ones_and_keep_groups(suites: Path) -> None:
    queries = suite_of(suites, PATCHING).queries("train")
    every = draw_groups(queries, None, seed=1)
    assert [q.id for q in draw_groups(queries, 8, seed=1)] == [q.id for q in every[:8]]
    assert len({q.group for q in every[:8]}) == 2
    assert [q.id for q in draw_groups(queries, None, seed=2)] != [q.id for q in every]
    with pytest.raises(UsageError, match="99 training queries: there are 16"):
        draw_groups(queries, 99, seed=0)


def test_every_epoch_sees_every_lesson_once_with_little_padding(suites: Path) -> None:
    lessons = make_lessons(
        get_task(ABLATIONS),
        suite_of(suites, ABLATIONS),
        Encoder(make_tokenizer(), use_vectors=True),
    )
    steps = plan_batches(lessons, batch_size=3, epochs=2, seed=0)
    assert all(len({lessons[place].template for place in step}) == 1 for step in steps)
    seen = [place for step in steps for place in step]
    assert sorted(seen) == sorted([*range(len(lessons))] * 2)
    assert steps == plan_batches(lessons, batch_size=3, epochs=2, seed=0)
    assert steps != plan_batches(lessons, batch_size=3, epochs=2, seed=1)


def test_the_loss_is_of_answer_tokens_alone_whatever_is_padded(suites: Path, base: Path) -> None:
    from introspect_bench.benchmark.backends.models.pretrained import load_model

    tokenizer = make_tokenizer()
    model = load_model(base, torch.float32).eval()
    injection = Injection(scaling="raw", multiplier=3.0)
    module = TrainedExplainer(model, injection)
    task, suite = get_task(PATCHING), suite_of(suites, PATCHING)
    every = make_lessons(task, suite, Encoder(tokenizer, use_vectors=True))
    lessons = [one for one in every if one.template == every[0].template][:3]
    assert len({len(lesson.ids) for lesson in lessons}) > 1
    assert lessons[0].n_head > 0
    with pytest.raises(ValueError, match="the same head"):
        collate(every, pad=0)
    with torch.no_grad():
        together = module(collate(lessons, pad=0))
        total, count = 0.0, 0
        for lesson in lessons:
            ids = torch.tensor([lesson.ids])
            embedded = model.get_input_embeddings()(ids).clone()
            embedded[0, lesson.columns[0]] = 3 * torch.from_numpy(lesson.vectors[0])
            logits = model(inputs_embeds=embedded).logits[0].log_softmax(-1)
            for place in range(lesson.n_prompt, len(lesson.ids)):
                total -= float(logits[place - 1, lesson.ids[place]])
                count += 1
    assert int(together["n"]) == count
    assert float(together["loss"]) == pytest.approx(total / count, rel=1e-5)


def test_a_trained_explainer_learns_runs_and_says_what_it_is(
    suites: Path, base: Path, tmp_path: Path
) -> None:
    told = Told()
    folder = train(base, suites, tmp_path / "explainer", progress=told)
    losses = [float(note.removeprefix("loss ")) for note in told.notes if note]
    assert losses[-1] < losses[0]
    record = json.loads((folder / "explainer.json").read_text())
    assert record["training"]["lessons"]["n"] == 36
    assert {row["task"] for row in record["training"]["about"]["suites"]} == {PATCHING, ABLATIONS}
    log = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    assert sum("eval_loss" in row for row in log) >= 4
    assert all(row["tokens_per_second"] > 0 for row in log if "loss" in row)
    picture = (folder / "training.svg").read_text()
    assert picture == loss_curve(log)
    assert picture.count("<polyline") == 2
    assert record["validation_loss"] == min(r["eval_loss"] for r in log if "eval_loss" in r)
    runs = ib.run(str(folder), suite=str(suites), split="mini", output=tmp_path / "runs")
    assert [len(run.rows) for run in runs] == [4, 5]
    assert runs[0].header.explainer.settings["injection"] == record["injection"]
    before = {path.name: path.read_bytes() for path in folder.glob("*.*")}
    (folder / "checkpoints" / "checkpoint-1").mkdir(parents=True)  # a kill left it
    assert train(base, suites, folder) == folder  # done: nothing is trained again
    assert not (folder / "checkpoints").exists()
    assert {path.name: path.read_bytes() for path in folder.glob("*.*")} == before
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(before[weights.name][:-1] + b"?")
    with pytest.raises(IntegrityError, match=r"adapter_model.safetensors: not as .* wrote it"):
        train(base, suites, folder)


def test_a_training_killed_twice_ends_as_the_uninterrupted_one(
    suites: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(base, suites, tmp_path / "whole")
    stop_at(monkeypatch, 9, 20)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(base, suites, tmp_path / "part")
    # and a checkpoint and a line of the log that were being written
    with (tmp_path / "part" / "training.jsonl").open("ab") as log:
        log.write(b'{"step":')
    torn = tmp_path / "part" / "checkpoints" / "checkpoint-999"
    shutil.copytree(next((tmp_path / "part" / "checkpoints").glob("checkpoint-*")), torn)
    (torn / checkpoints.STATE).unlink()
    part = train(base, suites, tmp_path / "part")
    assert not torn.exists()
    assert_same_weights(whole, part)
    logs = [(path / "training.jsonl").read_text().splitlines() for path in (whole, part)]
    losses = [[json.loads(row).get("loss") for row in log] for log in logs]
    assert losses[0] == losses[1]
    assert len(logs[0]) == len(logs[1])
    assert "train_loss" not in logs[1][-1]  # of the steps since the last start alone


def test_the_verb_prints_one_document_and_shows_progress(
    suites: Path, base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from introspect_bench.__main__ import main

    out = tmp_path / "one"
    words = ["train", "--base", str(base), "--suite", str(suites), "--n-train", "8", "-o", str(out)]
    assert main([*words, "--rank", "2", "--task", PATCHING, "--json"]) == 0
    found = capfd.readouterr()
    assert json.loads(found.out) == {"explainer": str(out)}
    assert "training one ..." in found.err
    assert not (out / "checkpoints").exists()
    assert main([*words, "--rank", "0"]) == 2
    assert "rank: give 1 or more" in capfd.readouterr().err


def test_another_training_in_the_folder_is_refused_by_what_differs(
    suites: Path, base: Path, tmp_path: Path
) -> None:
    train(base, suites, tmp_path / "one", epochs=1)
    with pytest.raises(UsageError, match="holds a training with another settings"):
        train(base, suites, tmp_path / "one", epochs=2)
    with pytest.raises(UsageError, match="holds a training with another lessons"):
        train(base, suites, tmp_path / "one", epochs=1, n_train=8)


def test_the_test_split_is_never_opened(
    suites: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, opened = Suite.read, set()

    def watch(self: Suite, name: str) -> bytes:
        opened.add(name)
        return read(self, name)

    monkeypatch.setattr(Suite, "read", watch)
    train(base, suites, tmp_path / "one", epochs=1)
    assert not [name for name in opened if name.startswith("test/")]
    assert "train/truth.jsonl" in opened


def test_a_training_keeps_the_precision_it_began_with(
    suites: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from introspect_bench.benchmark.backends.training import train as module

    monkeypatch.setattr(module, "bfloat16_is_faster", lambda _device: True)
    folder = train(base, suites, tmp_path / "one", epochs=1, precision="auto")
    record = json.loads((folder / "explainer.json").read_text())
    assert record["training"]["settings"]["bfloat16"] is True
    monkeypatch.setattr(module, "bfloat16_is_faster", lambda _device: False)
    assert train(base, suites, folder, epochs=1, precision="auto") == folder
    assert isinstance(module.bfloat16_is_faster("cpu"), bool)
    with pytest.raises(UsageError, match="precision 'int8': choose from auto"):
        train(base, suites, tmp_path / "two", precision="int8")


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "qlora"},
        {"rank": 0},
        {"learning_rate": 0.0},
        {"epochs": 0},
        {"learning_rate": float("nan")},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ExplainerSettings(**wrong)
