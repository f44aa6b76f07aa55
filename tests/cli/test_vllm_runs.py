"""`run --engine vllm`, with a stand-in for vLLM."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_vllm
from program import ABLATIONS, CONSTANT, PATCHING, Call, refused, succeeded
from tiny_models import save_model
from tiny_suites import D_TARGET

import introspect_bench as ib
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.evaluation import run as running
from introspect_bench.benchmark.evaluation.run import RefusedTasksError
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite import select

RUN = ("run", "--suite", "toy", "--split", "mini", "-m", "same", "--injection", "embedding")
FILE = Path(f"runs/same.toy.{PATCHING}.mini.jsonl")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "same"
    return save_model(folder, hidden_size=D_TARGET, max_position_embeddings=2048)


@pytest.fixture(autouse=True)
def vllm(monkeypatch: pytest.MonkeyPatch, here: Path, model: Path) -> None:
    tiny_vllm.put_in(monkeypatch)
    monkeypatch.setenv("VLLM_LOGGING_STREAM", "")
    monkeypatch.delenv("VLLM_LOGGING_STREAM")
    shutil.copytree(model, here / "same")


def rows(path: Path) -> list[tuple[str, str]]:
    return [(qid, str(row["raw"])) for qid, row in ib.load(path).rows.items()]


def test_replies_are_those_of_this_package(call: Call) -> None:
    """Its log must not stand in the one JSON document."""
    Path("run.yaml").write_text("engine: vllm\nexplainer-args: {seed: 3}\n")
    json.loads(succeeded(call(*RUN, "--json", "--config", "run.yaml")))
    assert os.environ["VLLM_LOGGING_STREAM"] == "ext://sys.stderr"
    settings = ib.load(FILE).header.explainer.settings
    assert settings["engine"] == "vllm"
    assert settings["vllm"] == {"version": "0.0", "seed": 3}
    assert "settings.engine" in refused(call(*RUN), 4)
    found = rows(FILE)
    succeeded(call(*RUN, "-o", "ours"))
    assert found == rows(Path("ours") / FILE.name)


def test_a_task_whose_vectors_it_cannot_read_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first task says nothing of how the second one's vectors enter."""
    monkeypatch.setattr(select, "every", lambda: [get_task(ABLATIONS), get_task(PATCHING)])
    injection = {PATCHING: Injection(mode="add", layer=1)}
    options: dict[str, Any] = {"suite": "toy", "split": "mini", "injection": injection}
    with pytest.raises(RefusedTasksError, match=f"{PATCHING}: --engine vllm") as refusal:
        ib.run("same", tasks=[ABLATIONS, PATCHING], engine="vllm", **options)
    assert [run.header.task.id for run in refusal.value.runs] == [ABLATIONS]
    assert not FILE.exists()


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((*RUN, "--decoding", "compared"), "leave decoding compared"),
        ((*RUN, "--decoding", "whole-reply"), "leave decoding whole-reply"),
        ((*RUN, "--explainer-args", "max_logprobs=1"), "max_logprobs of vLLM can't be chosen"),
        ((*RUN, "--quantization", "8bit"), "tensor_parallel_size"),
        ((*CONSTANT, "--suite", "toy"), "for local language models only"),
        (("run", "-m", "lm-eval:dummy", "--suite", "toy", "-t", ABLATIONS), "language models only"),
        (("run", "-m", "openai:x", "--suite", "toy", "-t", ABLATIONS), "language models only"),
        (("run", "-m", "py:nope:Nope", "--suite", "toy"), "for local language models only"),
    ],
)
def test_what_it_cannot_do_is_refused_before_anything_is_loaded(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    part: str,
    dry: tuple[str, ...],
) -> None:
    def load(*_words: Any, **_more: Any) -> None:
        raise AssertionError("loaded before all arguments were checked")

    monkeypatch.setattr(running, "load_explainer", load)
    assert part in refused(call(*words, "--engine", "vllm", *dry), 2)
    assert not Path("runs").exists()
