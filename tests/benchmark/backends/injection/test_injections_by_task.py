"""One injection for each task: said, placed, trained, run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_features import NAME, make_feature_suite
from tiny_lens import NEAREST
from tiny_models import D_MODEL, make_model, make_tokenizer
from tiny_places import TEXT, feature, lesson_of, patching
from tiny_projections import TEXTS, save_model
from tiny_suites import D_TARGET, make_suite_folder

import introspect_bench as ib
from introspect_bench.__main__ import main
from introspect_bench.benchmark.backends.explainer.load import load_local
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.injection.learned import (
    Learned,
    Projection,
    random_projection,
)
from introspect_bench.benchmark.backends.injection.spec import (
    Injection,
    Injections,
    all_injections,
    injection_of,
    injections_as_json,
    injections_from_json,
    merged,
    parse_injection,
)
from introspect_bench.benchmark.backends.training.dataset import plan_batches
from introspect_bench.benchmark.backends.training.module import TrainedExplainer, collate
from introspect_bench.benchmark.errors import UsageError

PATCHING, FEATURES, ABLATIONS = "activation-patching", "feature-descriptions", "input-ablations"
LENS = Injection(slots=3, projection=NEAREST)
REPLAY = Injection(mode="replay", scaling="natural")
BOTH = {PATCHING: REPLAY, FEATURES: LENS}
PROMPTS = {
    PATCHING: [
        patching(TEXT, 8, (0, 1), 1, "What comes next, in a word or two?"),
        patching(TEXT, 17, (1, 1), 2, "What?"),
    ],
    FEATURES: [feature(0, 3), feature(1, 4)],
}


def maps() -> Projection:
    return random_projection(NEAREST, D_MODEL, seed=5)


def explainer(injection: Injections, task: str = "") -> LocalExplainer:
    tokenizer = make_tokenizer()
    mapped = any(way.projection for way in all_injections(injection))
    learned = Learned(projection=maps() if mapped else None)
    model = make_model("llama", tokenizer)
    return LocalExplainer(model, tokenizer, injection=injection, task=task, learned=learned)


def test_what_is_said_first_of_a_task_counts_and_the_empty_name_is_for_the_others() -> None:
    other = Injection(mode="own-layers")
    assert injection_of(PATCHING, None) == Injection()
    assert injection_of(PATCHING, REPLAY) == REPLAY
    assert injection_of(ABLATIONS, BOTH) == Injection()
    assert injection_of(ABLATIONS, {**BOTH, "": other}) == other
    assert merged(None, other) == other
    assert merged(REPLAY, BOTH, other) == REPLAY
    assert merged({PATCHING: other}, BOTH) == {PATCHING: other, FEATURES: LENS}
    assert merged({PATCHING: other}, REPLAY) == {PATCHING: other, "": REPLAY}
    assert merged({"": other, PATCHING: REPLAY}, LENS) == {"": other, PATCHING: REPLAY}


def test_it_is_read_as_it_is_recorded() -> None:
    for said in (BOTH, REPLAY, LENS):
        kept = json.loads(json.dumps(injections_as_json(said)))
        assert injections_from_json(kept) == said
    assert injections_as_json(BOTH)[PATCHING]["mode"] == "replay"
    with pytest.raises(UsageError, match="expected an object"):
        injections_from_json("replay")
    with pytest.raises(UsageError, match="injection mode 'quoted-copy'"):
        injections_from_json({PATCHING: {"mode": "quoted-copy"}})


def test_it_is_said_on_the_command_line(
    base: Path, suites: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"{PATCHING}=replay", f"{FEATURES}=embedding"]
    sizes = [f"{PATCHING}=natural"], [f"{FEATURES}=3"]
    assert parse_injection(words, *sizes) == {PATCHING: REPLAY, FEATURES: Injection(slots=3)}
    assert parse_injection(["replay"], ["natural"]) == REPLAY
    assert parse_injection() is None
    assert parse_injection(["replay", f"{FEATURES}=replace:2"], ["raw"], ["2"]) == {
        "": Injection(mode="replay", scaling="raw", slots=2),
        FEATURES: Injection(mode="replace", layer=2, scaling="raw", slots=2),
    }
    run = ["run", "-m", str(base), "--suite", str(suites), "-o", str(tmp_path)]
    for more, message in (
        (["--injection", "replays=embedding"], "unknown task 'replays'"),
        (["--injection", "add:1", "--injection", "add:2"], "all tasks got a value before"),
        (["--slots", "two"], "give a whole number"),
        (["--injection", f"{PATCHING}=quoted-copy"], "expected embedding, add, replace"),
    ):
        assert main([*run, *more]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("task", [PATCHING, FEATURES])
@pytest.mark.parametrize("lens", [LENS, Injection(mode="replace", layer=1, scaling="raw")])
def test_every_task_is_asked_as_by_the_injection_that_is_for_it(task: str, lens: Injection) -> None:
    both = {**BOTH, FEATURES: lens}
    prompts = PROMPTS[task]
    expected = explainer(both[task]).first_logits(prompts)
    first = explainer(both, task)
    turned = explainer(both, FEATURES if task == PATCHING else PATCHING)
    turned.first_logits(PROMPTS[FEATURES if task == PATCHING else PATCHING])
    for asked in (first, turned.for_task(task)):
        assert asked.settings()["injection"] == both[task].as_json()
        torch.testing.assert_close(asked.first_logits(prompts), expected, rtol=0, atol=0)
    assert first.for_task(task) is first


@pytest.mark.parametrize("task", [PATCHING, FEATURES])
def test_training_sees_what_a_run_sees(task: str) -> None:
    asked = explainer(BOTH, task)
    logits = asked.first_logits(PROMPTS[task])
    module = TrainedExplainer(make_model("llama", make_tokenizer()), BOTH, projection=maps())
    lessons = [replace(lesson_of(asked.encoder, one), task=task) for one in PROMPTS[task]]
    batch = collate(
        [replace(one, ids=one.ids[: one.n_prompt + 1]) for one in lessons],
        pad=0,
    )
    assert batch["task"] == task
    answers = torch.tensor([one.ids[one.n_prompt] for one in lessons])
    expected = torch.nn.functional.cross_entropy(logits, answers)
    torch.testing.assert_close(module(batch)["loss"], expected, atol=1e-4, rtol=1e-4)


def test_one_batch_is_of_one_task() -> None:
    lessons = [
        replace(lesson_of(explainer(BOTH, task).encoder, prompt), task=task)
        for task, prompts in PROMPTS.items()
        for prompt in prompts * 3
    ]
    with pytest.raises(ValueError, match="must be of one task"):
        collate(lessons, pad=0)
    steps = plan_batches(lessons, batch_size=4, epochs=1, seed=0)
    assert {len({lessons[i].task for i in step}) for step in steps} == {1}


def test_one_scale_is_learnt() -> None:
    two = {PATCHING: Injection(scaling="learned"), FEATURES: Injection(scaling="learned", slots=2)}
    with pytest.raises(UsageError, match="one learned scale is trained"):
        TrainedExplainer(make_model("llama", make_tokenizer()), two)
    one = {PATCHING: Injection(scaling="learned"), FEATURES: Injection()}
    assert TrainedExplainer(make_model("llama", make_tokenizer()), one).learned().log_scale == 0.0


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patching, ablations and features, about one target."""
    root = make_suite_folder(tmp_path_factory.mktemp("suites") / "toy")
    make_feature_suite(root / NAME / "v2")
    return root


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    narrow = {"hidden_size": D_TARGET, "num_attention_heads": 1, "num_key_value_heads": 1}
    return save_model(tmp_path_factory.mktemp("base"), num_hidden_layers=12, **narrow)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory, suites: Path, base: Path) -> dict[str, Any]:
    texts = tmp_path_factory.mktemp("texts") / "texts.txt"
    texts.write_text("\n".join(TEXTS))
    return {
        "suite": str(suites),
        "projection": "input-lens",
        "align": texts,
        "target": str(base),
        "injection": {PATCHING: REPLAY, FEATURES: Injection(slots=3)},
        "precision": "float32",
        "rank": 2,
        "batch_size": 4,
        "accumulation": 1,
    }


def test_an_explainer_learns_all_tasks_each_in_its_way(
    suites: Path, base: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    folder = ib.train(str(base), tmp_path / "both", decoding="compared", **options)
    record = json.loads((folder / "explainer.json").read_text())
    assert record["injection"][PATCHING]["mode"] == "replay"
    assert record["injection"][FEATURES]["projection"]["layers"] == [0, 1]
    assert set(record["training"]["lessons"]["n_train"]) == {PATCHING, FEATURES, ABLATIONS}
    loaded, _ = load_local(str(folder), task=FEATURES)
    kept = injections_from_json(record["injection"])
    assert loaded.injector.injection == injection_of(FEATURES, kept)
    runs = ib.run(str(folder), suite=str(suites), output=tmp_path / "runs", judge=False)
    told = {run.header.task.id: run.header.explainer.settings for run in runs}
    assert told["input-ablations"]["decoding"] == "whole-reply"
    assert told["activation-patching"]["decoding"] == "compared"
    assert told["feature-descriptions"]["decoding"] == "greedy"
    assert told[PATCHING]["injection"] == record["injection"][PATCHING]
    assert told[FEATURES]["injection"] == record["injection"][FEATURES]
    for run in runs:  # one after the other, or each alone: the same
        (alone,) = ib.run(
            str(folder),
            suite=str(suites),
            tasks=[run.header.task.id],
            output=tmp_path / "alone",
            judge=False,
        )
        assert alone.rows.keys() == run.rows.keys()
        assert all(alone.rows[qid]["raw"] == row["raw"] for qid, row in run.rows.items())
    with pytest.raises(UsageError, match="holds a training with another"):
        ib.train(str(base), folder, **options, seed=1)


def test_without_descriptions_nothing_is_mapped(
    base: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    tasks = ["activation-patching", "input-ablations"]
    folder = ib.train(str(base), tmp_path / "patching", tasks=tasks, n_train=4, **options)
    record = json.loads((folder / "explainer.json").read_text())
    assert record["injection"] == REPLAY.as_json()
    assert "projection" not in record["training"]["about"]
    with pytest.raises(UsageError, match="a projection needs tasks with vectors"):
        ib.train(str(base), tmp_path / "no", tasks=["input-ablations"], **options)


def test_vectors_that_stand_at_quoted_tokens_are_not_mapped(
    options: dict[str, Any], tmp_path: Path
) -> None:
    wide = save_model(tmp_path / "wide", num_hidden_layers=12)
    with pytest.raises(UsageError, match="the vectors have width 4 but wide has width"):
        ib.train(str(wide), tmp_path / "no", **options)
    with pytest.raises(UsageError, match="brings no projection for them"):
        explainer(BOTH, PATCHING).check_width(D_TARGET)
