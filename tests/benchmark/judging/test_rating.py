"""Descriptions rated by a language model over HTTP: appended to the run, shown, never ranking."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from program import Call, the_sentence
from tiny_descriptions import TASK, always, answered, edit, judged, scored, truth_of
from tiny_features import NAME, WORDS, make_feature_suite
from tiny_judges import rated
from tiny_models import make_model, make_tokenizer
from tiny_servers import KEY, VARIABLE, Reply, Server, server

import introspect_bench as ib
from introspect_bench.benchmark.cache import CACHE_VARIABLE
from introspect_bench.benchmark.errors import CheckFailedError, IntegrityError, UsageError
from introspect_bench.benchmark.runs.run import read_run
from introspect_bench.benchmark.suite.suite import Suite

__all__ = ["server"]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return make_feature_suite(tmp_path / "words" / NAME / "v2")


def rate(path: Path, suite: Suite, server: Server, **more: Any) -> int:
    return ib.rate(
        path,
        suite=str(suite.root.parents[1]),
        endpoint=server.url,
        model="org/toy judge",
        key_variable=VARIABLE,
        **more,
    )


def five_if_right(suite: Suite) -> Any:
    references = {one.descriptions[0] for one in suite.feature_truth("test").values()}
    return lambda answer, _n: Reply(text=rated(5 if answer in references else 2))


def test_ratings_are_appended_and_shown_beside_the_metrics(
    suite: Suite, server: Server, tmp_path: Path
) -> None:
    server.script = five_if_right(suite)
    path = judged(suite, tmp_path / "run.jsonl", truth_of(suite))
    before = scored(suite, path)
    assert before["descriptions"]["ratings"] == {}
    assert rate(path, suite, server) == 9
    result = scored(suite, path)
    (name,) = result["descriptions"]["ratings"]
    assert name.startswith("judge/org-toy-judge@")
    assert result["descriptions"]["ratings"][name] == {
        "value": 1.0,
        "interval_95": [1.0, 1.0],
        "malformed": 0,
    }
    assert result["overall"] == before["overall"]
    assert rate(path, suite, server) == 0
    assert KEY not in path.read_text()
    assert "Bearer" not in path.read_text()


def test_no_answer_rates_zero_and_is_not_sent(suite: Suite, server: Server, tmp_path: Path) -> None:
    truth, first = truth_of(suite), suite.queries("test")[0].id
    server.script = five_if_right(suite)
    path = judged(suite, tmp_path / "run.jsonl", lambda p: "" if p.query.id == first else truth(p))
    assert rate(path, suite, server) == 8
    (found,) = scored(suite, path)["descriptions"]["ratings"].values()
    assert found["value"] == pytest.approx(8 / 9, abs=1e-6)
    assert "" not in server.answers()


def test_too_many_malformed_replies_append_nothing(
    suite: Suite, server: Server, tmp_path: Path
) -> None:
    server.script = lambda _answer, _n: Reply(text="a clear 5")
    path = judged(suite, tmp_path / "run.jsonl", always(WORDS[0]))
    before = path.read_bytes()
    with pytest.raises(CheckFailedError, match="replies are malformed"):
        rate(path, suite, server)
    assert path.read_bytes() == before


def test_a_rating_its_reply_does_not_say_is_refused(
    suite: Suite, server: Server, tmp_path: Path
) -> None:
    path = answered(suite, tmp_path / "run.jsonl", always(WORDS[0]))
    assert rate(path, suite, server) == 9
    edit(path, lambda row: row.update(value=1.0))
    with pytest.raises(IntegrityError, match=r"value is 1.0, the reply says 0.5"):
        read_run(path)


def test_incomplete_runs_and_local_judges(suite: Suite, tmp_path: Path) -> None:
    folder = tmp_path / "judge"
    tokenizer = make_tokenizer()
    make_model("llama", tokenizer, max_position_embeddings=8192).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = answered(suite, tmp_path / "run.jsonl", always(WORDS[0]))
    # a random model writes no JSON: said, and nothing is made of it
    with pytest.raises(CheckFailedError, match="replies are malformed"):
        ib.rate(path, suite=str(suite.root.parents[1]), model=str(folder))
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(UsageError, match="not complete"):
        ib.rate(torn, suite=str(suite.root.parents[1]), model=str(folder))
    assert TASK.name == NAME


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    from introspect_bench.__main__ import main

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(words)
        out, err = capfd.readouterr()
        return code, out, err

    return run


def test_the_verb(suite: Suite, server: Server, tmp_path: Path, call: Call) -> None:
    path = judged(suite, tmp_path / "run.jsonl", truth_of(suite))
    copy = Path(shutil.copy(path, tmp_path / "copy.jsonl"))
    words = ("--suite", str(suite.root.parents[1]), "-m", "toy", "--endpoint", server.url)
    code, out, _ = call("judge", str(path), *words, "--json")
    assert code == 0
    assert json.loads(out) == {"runs": [{"path": str(path), "ratings": 9}]}
    code, out, _ = call("judge", str(copy), *words, "--no-schema")
    assert (code, out) == (0, f"{copy}: 9 ratings appended\n")
    assert "response_format" in server.requests[0]
    assert "response_format" not in server.requests[-1]
    code, out, _ = call("score", str(path), "--suite", words[1], "--details")
    assert code == 0
    assert "mean rating 0.500" in out
    assert "0 cut off" in out
    code, _, err = call(
        "judge", str(path), "--suite", words[1], "-m", "toy", "--endpoint", "ftp://x"
    )
    assert code == 2
    assert "address must be http(s)" in the_sentence(err)
