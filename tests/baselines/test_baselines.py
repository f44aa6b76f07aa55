"""Baselines on small suites of known make: what each says, and what it may open."""

from __future__ import annotations

from pathlib import Path
from statistics import mode

import pytest
from tiny_lessons import (
    ABLATIONS,
    PATCHING,
    ablation_splits,
    exact,
    make_suite,
    patched,
    patching_splits,
    prompts_of,
    unit,
)
from tiny_models import save_model

from introspect_bench.baselines import BASELINES, make_baseline
from introspect_bench.baselines.registry import CAUSAL
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.registry import find_baseline
from introspect_bench.benchmark.suite.freeze import Measured
from introspect_bench.benchmark.suite.select import shipped_suite
from introspect_bench.benchmark.suite.suite import Suite


@pytest.fixture
def patching_suite(tmp_path: Path) -> Suite:
    return make_suite(tmp_path / "patching", PATCHING, patching_splits())


@pytest.fixture
def ablation_suite(tmp_path: Path) -> Suite:
    return make_suite(tmp_path / "ablations", ABLATIONS, ablation_splits())


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make files of the suite unreadable."""
    read = Suite.read

    def refuse(self: Suite, name: str) -> bytes:
        assert name not in names, f"{name} was opened"
        return read(self, name)

    monkeypatch.setattr(Suite, "read", refuse)


LEARNT = ("constant", "input-only", "nearest-neighbour", "unchanged", "source-oracle")
ABLATIONS_ONLY = ("rule-of-thumb",)


def test_the_list() -> None:
    causal = {spec.name for spec in BASELINES if set(spec.tasks) & set(CAUSAL)}
    assert causal == {*LEARNT, *ABLATIONS_ONLY, "zero-shot", "few-shot", "calculator"}
    assert {s.name for s in BASELINES if s.kind == "oracle"} == {
        "source-oracle",
        "reference-description",
    }
    for spec in BASELINES:
        assert ("oracle" in spec.needs) == (spec.access in ("oracle", "runs-target"))
        assert (spec.access == "oracle") == (spec.kind == "oracle")
        assert find_baseline(spec.name) is spec
        assert spec.summary.endswith(".")
    assert find_baseline("few-shot").shots > 0 == find_baseline("zero-shot").shots
    with pytest.raises(UsageError, match=r"unknown baseline 'best'.*input-only"):
        find_baseline("best")


@pytest.mark.parametrize("name", LEARNT)
def test_what_is_opened_is_what_is_said(
    name: str, patching_suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = find_baseline(name)
    closed = ["test/truth.jsonl", "validation/truth.jsonl"]
    if "oracle" not in spec.needs:
        closed += ["test/oracle.jsonl", "train/oracle.jsonl"]
    if "train" not in spec.needs:
        closed += ["train/truth.jsonl", "train/queries.jsonl"]
    if "vectors" not in spec.needs:
        closed += ["train/vectors.safetensors", "test/vectors.safetensors"]
    queries = prompts_of(PATCHING, patching_suite)
    forbid(monkeypatch, *closed)
    explainer, card = make_baseline(name, task=PATCHING, suite=patching_suite, split="test")
    assert len(explainer.complete(queries)) == len(queries)
    assert (card.name, card.kind) == (f"baseline/{name}", spec.kind)


@pytest.mark.parametrize("name", LEARNT)
def test_answers_are_the_same_every_time_and_in_any_order(name: str, patching_suite: Suite) -> None:
    prompts = prompts_of(PATCHING, patching_suite)
    first, _ = make_baseline(name, task=PATCHING, suite=patching_suite, split="test")
    second, _ = make_baseline(name, task=PATCHING, suite=patching_suite, split="test")
    assert first.complete(prompts) == second.complete(prompts[::-1])[::-1]
    assert first.complete([]) == []


def test_constant_takes_the_commonest_full_answer(patching_suite: Suite) -> None:
    explainer, card = make_baseline("constant", task=PATCHING, suite=patching_suite, split="test")
    assert set(explainer.complete(prompts_of(PATCHING, patching_suite))) == {"unchanged: Kyoto"}
    assert card.settings == {"reply": "unchanged: Kyoto"}


def test_constant_names_the_commonest_part_where_one_is_asked_for() -> None:
    suite = shipped_suite("smollm2-135m", ABLATIONS.name)
    explainer, _ = make_baseline("constant", task=ABLATIONS, suite=suite, split="test")
    train = suite.truth("train")
    asked = [train[q.id].part for q in suite.queries("train") if q.kind == "which"]
    prompts = prompts_of(ABLATIONS, suite)
    replies = {
        prompt.query.kind: reply
        for prompt, reply in zip(prompts, explainer.complete(prompts), strict=True)
    }
    assert replies.pop("which") == f"part: {mode(sorted(map(str, asked)))}"
    assert len(set(replies.values())) == 1
    assert all(str(reply).startswith(("changed: ", "unchanged: ")) for reply in replies.values())


def test_unchanged_repeats_what_it_is_told(patching_suite: Suite, ablation_suite: Suite) -> None:
    explainer, _ = make_baseline("unchanged", task=PATCHING, suite=patching_suite, split="test")
    assert set(explainer.complete(prompts_of(PATCHING, patching_suite))) == {"unchanged: Bonn"}
    assert exact("unchanged", PATCHING, patching_suite) == 0.5
    # hints: only the one for A is not followed to another letter; contexts never change
    assert exact("unchanged", ABLATIONS, ablation_suite, "hint") == 0.25
    assert exact("unchanged", ABLATIONS, ablation_suite, "context") == 1.0


def test_source_oracle_learns_where_the_source_comes_out(patching_suite: Suite) -> None:
    assert exact("source-oracle", PATCHING, patching_suite) == 1.0
    _, card = make_baseline("source-oracle", task=PATCHING, suite=patching_suite, split="test")
    assert card.settings == {"source_comes_out_in": ["last-subject 0-5"]}


def test_source_oracle_says_unchanged_where_both_outputs_are_equal(tmp_path: Path) -> None:
    splits = patching_splits()
    splits["test"] = [patched(1, clean="Bern", outcome="Bern", vector=unit(0))]
    suite = make_suite(tmp_path / "suite", PATCHING, splits)
    assert exact("source-oracle", PATCHING, suite) == 1.0


def test_source_oracle_needs_sources_and_patching(tmp_path: Path, ablation_suite: Suite) -> None:
    splits = patching_splits()
    one = splits["train"][0]
    splits["train"] = [Measured(**{n: getattr(one, n) for n in one.__slots__} | {"source": None})]
    suite = make_suite(tmp_path / "suite", PATCHING, splits)
    with pytest.raises(IntegrityError, match="source prompt's output is missing"):
        make_baseline("source-oracle", task=PATCHING, suite=suite, split="test")
    with pytest.raises(UsageError, match="answers activation-patching, not input-ablations"):
        make_baseline("source-oracle", task=ABLATIONS, suite=ablation_suite, split="test")


def test_an_empty_training_split_is_refused(tmp_path: Path) -> None:
    splits = patching_splits() | {"train": []}
    suite = make_suite(tmp_path, PATCHING, splits)
    with pytest.raises(UsageError, match="training split is empty"):
        make_baseline("constant", task=PATCHING, suite=suite, split="test")


@pytest.mark.parametrize("name", ["zero-shot", "few-shot"])
def test_the_untrained_target_explains_itself(name: str, tmp_path: Path) -> None:
    target = str(save_model(tmp_path / "target"))
    suite = make_suite(tmp_path / "suite", PATCHING, patching_splits(), target=target)
    injection = Injection(mode="add", layer=1)
    explainer, card = make_baseline(
        name, task=PATCHING, suite=suite, split="test", injection=injection, batch_size=3
    )
    assert (card.name, card.kind) == (f"baseline/{name}", "baseline")
    assert list(card.weights_sha256) == ["model.safetensors"]
    assert card.settings["injection"]["layer"] == 1
    assert card.settings["batch_size"] == 3
    # all templates in one call do not share instructions; the runner asks template by template
    prompts = [p for p in prompts_of(PATCHING, suite) if p.template == f"{PATCHING.name}/1"]
    assert len(explainer.complete(prompts)) == len(prompts) > 0
