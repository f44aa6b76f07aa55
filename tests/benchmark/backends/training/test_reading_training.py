"""Explainers that are taught to read vectors: when, how much, what is logged, what is opened."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_models import make_tokenizer
from tiny_reading import PATCHING, make_reading_suite
from tiny_training import assert_same_weights, make_base, stop_at, train

import introspect_bench as ib
from introspect_bench.__main__ import main
from introspect_bench.benchmark.backends.explainer.chat import Encoder
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.backends.training.dataset import (
    Lesson,
    make_lessons,
    make_reading_lessons,
    plan_batches,
)
from introspect_bench.benchmark.backends.training.spec import ExplainerSettings, Reading
from introspect_bench.benchmark.backends.training.trainer import Patience
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.suite import Suite, open_suite

OWN = Injection(mode="own-layers", scaling="natural", slots=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("suites")
    make_reading_suite(where)
    return where


@pytest.fixture(scope="module")
def suite(folder: Path) -> Suite:
    return open_suite(folder / PATCHING / get_task(PATCHING).version)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "base", num_hidden_layers=12)


def lessons_of(suite: Suite, reading: Reading, **more: Any) -> list[Lesson]:
    encoder = Encoder(make_tokenizer(), use_vectors=True, injection=OWN)
    return make_reading_lessons(get_task(PATCHING), suite, encoder, reading, **more)


def test_lessons_have_vector_layers_and_reply(suite: Suite) -> None:
    tokenizer = make_tokenizer()
    queries = {query.id: query for query in suite.queries("train")}
    vectors, told = suite.vectors("train"), suite.oracle("train")
    lessons = lessons_of(suite, Reading(share=3.0), n=20)
    assert len(lessons) == 60
    assert len({lesson.qid for lesson in lessons}) == 60
    for lesson in lessons:
        query = queries[lesson.qid.partition(":")[0]]
        assert lesson.layers == (tuple(query.fields["layers"]),) * 3
        for sent in lesson.vectors:
            np.testing.assert_array_equal(sent, vectors[query.vector].astype(np.float32))
        if lesson.reading == "token":
            said = tokenizer.decode(lesson.ids[lesson.n_prompt : -1]).strip()
            assert said == told[query.id]["origin"]["token"]
            assert f"{lesson.kind}" == f"{PATCHING}/reading/token"
    blind = Encoder(tokenizer, use_vectors=False, injection=OWN)
    same = make_reading_lessons(get_task(PATCHING), suite, blind, Reading(share=3.0), n=20)
    assert [(one.qid, one.ids) for one in same] == [(one.qid, one.ids) for one in lessons]
    assert not any(one.vectors for one in same)


def test_a_continued_text_has_no_turns_and_ends_in_the_reply(suite: Suite) -> None:
    tokenizer = make_tokenizer()
    reading = Reading(share=0.3, kinds=("answer-continued",))
    told = suite.oracle("train")
    for lesson in lessons_of(suite, reading):
        whole = tokenizer.decode(lesson.ids[:-1])
        answer = told[lesson.qid.partition(":")[0]]["source"]
        assert whole.startswith("The capital of Peru is Lima")
        assert whole.endswith(f" {answer}")
        assert "Answer:" not in whole


def test_early_lessons_come_first_and_once(suite: Suite) -> None:
    encoder = Encoder(make_tokenizer(), use_vectors=True, injection=OWN)
    task = make_lessons(get_task(PATCHING), suite, encoder, n=20)
    for when, early in (("before", 40), ("both", 22), ("beside", 0)):
        lessons = task + lessons_of(suite, Reading(when=when, share=2.0), n=20)
        assert sum(one.early for one in lessons) == pytest.approx(early, abs=4 * bool(early))
        steps = plan_batches(lessons, batch_size=3, epochs=2, seed=0)
        order = [lessons[place].early for step in steps for place in step]
        assert order == sorted(order, reverse=True)
        assert len(order) == sum(1 if one.early else 2 for one in lessons)
        assert all(len({lessons[place].template for place in step}) == 1 for step in steps)


def test_patience_counts_only_what_comes_behind_the_early_phase() -> None:
    control = SimpleNamespace(should_training_stop=False)
    rows = [{"step": step, "eval_loss": float(step)} for step in (2, 4, 6)]
    state = SimpleNamespace(log_history=rows)
    Patience(1, since=4).on_evaluate(None, state, control)
    assert not control.should_training_stop
    Patience(1).on_evaluate(None, state, control)
    assert control.should_training_stop


OPTIONS: dict[str, Any] = {
    "injection": OWN,
    "reading": Reading(when="both", share=1.0),
    "epochs": 1,
    "accumulation": 1,
    "n_train": 20,
}


@pytest.fixture(scope="module")
def trained(
    folder: Path, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, set[str]]:
    """An explainer, and the files of the suite that its training opened."""
    read, opened = Suite.read, set()

    def watch(self: Suite, name: str) -> bytes:
        opened.add(name)
        return read(self, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Suite, "read", watch)
        return train(base, folder, tmp_path_factory.mktemp("whole"), **OPTIONS), opened


def logged(explainer: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (explainer / "training.jsonl").read_text().splitlines()]


def test_no_oracle_rows_but_those_of_train_are_read(trained: tuple[Path, set[str]]) -> None:
    _, opened = trained
    assert {name for name in opened if "oracle" in name} == {"train/oracle.jsonl"}
    assert not [name for name in opened if name.startswith("test/")]


def test_a_killed_training_with_reading_ends_as_the_whole_one(
    trained: tuple[Path, set[str]],
    folder: Path,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, _ = trained
    stop_at(monkeypatch, 14)
    with pytest.raises(KeyboardInterrupt):
        train(base, folder, tmp_path / "part", **OPTIONS)
    part = train(base, folder, tmp_path / "part", **OPTIONS)
    assert_same_weights(whole, part)
    told = [[row["losses"] for row in logged(path) if "loss" in row] for path in (whole, part)]
    assert told[0] == told[1]


def test_losses_are_logged_by_what_is_asked(trained: tuple[Path, set[str]]) -> None:
    rows = [row for row in logged(trained[0]) if "loss" in row]
    kinds = {kind for row in rows for kind in row["losses"]}
    assert {PATCHING, f"{PATCHING}/reading/token", f"{PATCHING}/reading/which"} <= kinds
    alone = [row for row in rows if len(row["losses"]) == 1]
    assert alone
    for row in alone:
        (own,) = row["losses"].values()
        assert row["loss"] == pytest.approx(own, rel=1e-3)


def test_an_explainer_says_what_reading_it_was_taught(
    trained: tuple[Path, set[str]], folder: Path, base: Path, tmp_path: Path
) -> None:
    whole, _ = trained
    record = json.loads((whole / "explainer.json").read_text())["training"]
    assert record["settings"]["reading"] == {"when": "both", "share": 1.0, "kinds": []}
    assert record["lessons"]["n_train"] == {PATCHING: 20}
    assert sum(record["lessons"]["reading"].values()) == 20
    (run,) = ib.run(str(whole), suite=str(folder), split="mini", output=tmp_path / "runs")
    settings = run.header.explainer.settings
    assert settings["reading"] == record["settings"]["reading"]
    assert settings["n_train"] == {PATCHING: 20}
    with pytest.raises(UsageError, match="holds a training with another settings"):
        train(base, folder, whole, **{**OPTIONS, "reading": Reading(when="both", share=2.0)})


def test_reading_is_asked_for_in_words_and_refused_where_it_cannot_be(
    folder: Path, base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "-b", str(base), "--suite", str(folder), "--rank", "2", "--n-train", "4"]
    words += ["--precision", "float32", "--injection", "own-layers", "-o", str(tmp_path / "one")]
    chosen = ["--reading", "before", "--reading-share", "1.5", "--reading-kind", "layers"]
    assert main([*words, *chosen, "--reading-kind", "position", "--no-vector"]) == 0
    record = json.loads((tmp_path / "one" / "explainer.json").read_text())["training"]
    assert record["settings"]["reading"]["kinds"] == ["layers", "position"]
    assert record["lessons"]["reading"] == {"layers": 3, "position": 3}
    assert main([*words, "--reading-share", "2"]) == 2
    assert "--reading-share and --reading-kind go with --reading" in capfd.readouterr().err
    quoting = {"injection": Injection(mode="replay", scaling="natural"), "reading": Reading()}
    with pytest.raises(UsageError, match="choose own-layers or embedding"):
        train(base, folder, tmp_path / "two", **quoting)


@pytest.mark.parametrize("wrong", [{"when": "after"}, {"share": 0.0}, {"share": float("nan")}])
def test_impossible_reading_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ExplainerSettings(reading=Reading(**wrong))
