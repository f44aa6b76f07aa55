"""A judge that is a local model: the same questions, read by its own chat template."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_judges import ATTACKS, compared
from tiny_models import save_model

from introspect_bench.benchmark.backends.explainer.local_judge import LocalJudge, load_judge
from introspect_bench.benchmark.errors import CheckFailedError, MissingPartError
from introspect_bench.benchmark.files import sha256_file
from introspect_bench.benchmark.judging.rubric import judge_answers, judge_messages


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("judges") / "toy-judge"
    return save_model(path, max_position_embeddings=8192)


@pytest.fixture(scope="module")
def judge(folder: Path) -> LocalJudge:
    return load_judge(str(folder), batch_size=2)


def test_it_says_which_weights_it_has_and_not_where(folder: Path, judge: LocalJudge) -> None:
    assert judge.name == "toy-judge"
    weights = {"model.safetensors": sha256_file(folder / "model.safetensors")}
    assert judge.settings["weights_sha256"] == weights
    assert judge.settings["decoding"] == "greedy"
    assert str(folder.parent) not in json.dumps(judge.settings)


def test_replies_are_those_of_each_question_alone(judge: LocalJudge) -> None:
    questions = [judge_messages(text, ["the word 'a'"]) for text in ("a", "bb", *ATTACKS)]
    found = dict(judge.replies(questions))
    assert sorted(found) == list(range(len(questions)))
    for index, question in enumerate(questions):
        assert list(judge.replies([question])) == [(0, found[index])]
        assert "\n" not in found[index].strip()


def test_a_model_that_does_not_reply_with_json_fails(judge: LocalJudge, tmp_path: Path) -> None:
    with pytest.raises(CheckFailedError, match="judge toy-judge: 1 of 3"):
        judge_answers(judge, compared("a", "b", "c"), cache=tmp_path)


def test_pickles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(MissingPartError, match="can run code"):
        load_judge(str(tmp_path))
