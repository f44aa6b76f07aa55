"""Modes that quote, with another way for queries that name no token: placed, trained, run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_input_lens import NEAREST
from test_places_in_layers import TEXT, feature, lesson_of, patching
from test_projection_training import TEXTS, save_model
from tiny_features import NAME, make_feature_suite
from tiny_models import D_MODEL, make_model, make_tokenizer
from tiny_suites import D_TARGET, make_suite_folder

import introspect_bench as ib
from introspect_bench.__main__ import main
from introspect_bench.benchmark.backends.explainer_lessons import (
    collate,
    lessons_sha256,
    plan_batches,
)
from introspect_bench.benchmark.backends.explainer_model import TrainedExplainer
from introspect_bench.benchmark.backends.generation import LocalExplainer
from introspect_bench.benchmark.backends.injection import Injection
from introspect_bench.benchmark.backends.learned import Learned
from introspect_bench.benchmark.backends.loading import load_local
from introspect_bench.benchmark.backends.projection import Projection, random_projection
from introspect_bench.benchmark.backends.rows import joined
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import Prompt, Turn
from introspect_bench.injections import parse_injection

LENS = Injection(slots=3, projection=NEAREST)
PLAIN = Injection(mode="replay", scaling="natural")
BOTH = replace(PLAIN, otherwise=LENS)
NAMED = [
    patching(TEXT, 8, (0, 1), 1, "What comes next, in a word or two?"),
    patching(TEXT, 17, (1, 1), 2, "What?"),
]
UNNAMED = [feature(0, 3), feature(1, 4)]


def maps() -> Projection:
    return random_projection(NEAREST, D_MODEL, seed=5)


def explainer(injection: Injection) -> LocalExplainer:
    tokenizer = make_tokenizer()
    learned = Learned(projection=None if injection.maps is None else maps())
    return LocalExplainer(
        make_model("llama", tokenizer), tokenizer, injection=injection, learned=learned
    )


def test_it_is_declared_as_it_is_recorded() -> None:
    kept = json.loads(json.dumps(BOTH.as_json()))
    assert Injection.from_json(kept) == BOTH
    assert kept["otherwise"]["projection"]["nearest"] is True
    assert PLAIN.as_json()["otherwise"] == "own-layers"
    assert "otherwise" not in LENS.as_json()
    assert BOTH.maps is NEAREST
    assert replace(PLAIN, otherwise=Injection(slots=3)).with_maps(NEAREST) == BOTH


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "add", "layer": 1, "otherwise": "own-layers"}, "injection key 'otherwise'"),
        ({"mode": "replay", "otherwise": {"mode": "quoted-copy"}}, "a mode that does not quote"),
        ({"mode": "replay", "otherwise": "embedding"}, "a mode that does not quote"),
        ({"mode": "replay", "otherwise": {"mode": "add"}}, "needs a layer"),
        ({"mode": "replay", "otherwise": {"scaling": "learned"}}, "no learned scale there"),
        ({"mode": "replay", "otherwise": {"otherwise": {}}}, "injection key 'otherwise'"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Injection.from_json(values)


def test_only_modes_that_quote_have_it() -> None:
    for mode in ("own-layers", "embedding"):
        with pytest.raises(UsageError, match="otherwise is for injection modes quoted-token"):
            Injection(mode=mode, otherwise=Injection())
    with pytest.raises(UsageError, match="no projection here"):
        replace(PLAIN, otherwise=Injection(), projection=replace(NEAREST, nearest=False))


@pytest.mark.parametrize(("prompts", "alone"), [(NAMED, PLAIN), (UNNAMED, LENS)])
@pytest.mark.parametrize("otherwise", [LENS, Injection(mode="replace", layer=1, scaling="raw")])
def test_every_query_is_asked_as_by_the_injection_that_is_for_it(
    prompts: list[Prompt], alone: Injection, otherwise: Injection
) -> None:
    expected = explainer(alone if prompts is NAMED else otherwise)
    both = explainer(replace(PLAIN, otherwise=otherwise))
    torch.testing.assert_close(
        both.first_logits(prompts), expected.first_logits(prompts), rtol=0, atol=0
    )
    assert both.encoder.questions(prompts)[0].otherwise == (prompts is UNNAMED)
    if prompts is UNNAMED:
        usual = explainer(PLAIN).first_logits(prompts)
        assert not torch.allclose(both.first_logits(prompts), usual)


@pytest.mark.parametrize("prompts", [NAMED, UNNAMED])
def test_training_sees_what_a_run_sees(prompts: list[Prompt]) -> None:
    both = explainer(BOTH)
    logits = both.first_logits(prompts)
    module = TrainedExplainer(make_model("llama", make_tokenizer()), BOTH, projection=maps())
    lessons = [lesson_of(both.encoder, prompt) for prompt in prompts]
    batch = collate(
        [replace(one, ids=one.ids[: one.n_prompt + 1]) for one in lessons],
        pad=0,
    )
    assert bool(batch["otherwise"]) == (prompts is UNNAMED)
    answers = torch.tensor([one.ids[one.n_prompt] for one in lessons])
    expected = torch.nn.functional.cross_entropy(logits, answers)
    torch.testing.assert_close(module(**batch)["loss"], expected, atol=1e-4, rtol=1e-4)


def test_one_batch_takes_its_vectors_in_one_way() -> None:
    both = explainer(BOTH)
    with pytest.raises(UsageError, match="cannot be asked beside others"):
        both.first_logits([*NAMED, *UNNAMED])
    shots = [
        Turn(question=one.question, answer="A", vector=one.vector, fields=one.query.fields)
        for one in (NAMED[0], UNNAMED[0])
    ]
    with pytest.raises(UsageError, match="cannot be shown beside others"):
        both.encoder.head(replace(NAMED[1], shots=shots))
    heads = [both.encoder.head(replace(NAMED[1], shots=[shot])) for shot in shots]
    (asked,) = both.encoder.questions(UNNAMED[:1])
    with pytest.raises(UsageError, match="cannot be shown beside others"):
        joined(heads[0], asked)
    assert joined(heads[1], asked).otherwise
    lessons = [lesson_of(both.encoder, prompt) for prompt in [*NAMED, *UNNAMED] * 3]
    with pytest.raises(ValueError, match="in the same way"):
        collate(lessons, pad=0)
    other = [replace(one, otherwise=not one.otherwise) for one in lessons]
    assert lessons_sha256(other) != lessons_sha256(lessons)
    steps = plan_batches(lessons, batch_size=4, epochs=1, seed=0)
    assert {len({lessons[i].otherwise for i in step}) for step in steps} == {1}


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patching, ablations and features, about one target."""
    root = make_suite_folder(tmp_path_factory.mktemp("suites") / "toy")
    make_feature_suite(root / NAME / "v1")
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
        "injection": replace(PLAIN, otherwise=Injection(slots=3)),
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
    assert record["injection"]["mode"] == "replay"
    assert record["injection"]["otherwise"]["projection"]["layers"] == [0, 1]
    assert set(record["training"]["lessons"]["n_train"]) == {
        "activation-patching",
        "feature-descriptions",
        "input-ablations",
    }
    loaded, _ = load_local(str(folder))
    assert loaded.injector.injection == Injection.from_json(record["injection"])
    runs = ib.run(str(folder), suite=str(suites), output=tmp_path / "runs", simulate=False)
    told = {run.header["task"]["id"]: run.header["explainer"]["settings"] for run in runs}
    assert told["input-ablations"]["decoding"] == "whole-reply"
    assert told["activation-patching"]["decoding"] == "compared"
    assert told["feature-descriptions"]["decoding"] == "greedy"
    assert all(one["injection"] == record["injection"] for one in told.values())
    for run in runs:  # one after the other, or each alone: the same
        (alone,) = ib.run(
            str(folder),
            suite=str(suites),
            tasks=[run.header["task"]["id"]],
            output=tmp_path / "alone",
            simulate=False,
        )
        assert alone.rows.keys() == run.rows.keys()
        assert all(alone.rows[qid]["raw"] == row["raw"] for qid, row in run.rows.items())
    with pytest.raises(UsageError, match="holds a training with another"):
        ib.train(str(base), folder, **{**options, "injection": BOTH.with_maps(None)}, seed=1)


def test_without_descriptions_nothing_is_mapped(
    base: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    tasks = ["activation-patching", "input-ablations"]
    folder = ib.train(str(base), tmp_path / "patching", tasks=tasks, n_train=4, **options)
    record = json.loads((folder / "explainer.json").read_text())
    assert "projection" not in record["injection"]["otherwise"]
    assert "projection" not in record["training"]["about"]
    with pytest.raises(UsageError, match="a projection needs tasks with vectors"):
        ib.train(str(base), tmp_path / "no", tasks=["input-ablations"], **options)


def test_vectors_that_stand_at_quoted_tokens_are_not_mapped(
    options: dict[str, Any], tmp_path: Path
) -> None:
    wide = save_model(tmp_path / "wide", num_hidden_layers=12)
    with pytest.raises(UsageError, match="the vectors have width 4 but wide has width"):
        ib.train(str(wide), tmp_path / "no", **options)
    narrow = replace(NEAREST, d_target=D_TARGET)
    both = explainer(PLAIN)
    both.injector.injection = replace(PLAIN, otherwise=Injection(projection=narrow))
    with pytest.raises(UsageError, match="brings no projection for them"):
        both.check_width(D_TARGET)


def test_it_is_said_on_the_command_line(
    base: Path, suites: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = parse_injection("replay", "natural", 3, "embedding")
    assert chosen == replace(PLAIN, otherwise=Injection(slots=3))
    assert parse_injection("replay", "natural", None, "replace:2") == replace(
        PLAIN, otherwise=Injection(mode="replace", layer=2)
    )
    words = ["run", "-m", str(base), "--suite", str(suites), "-o", str(tmp_path)]
    assert main([*words, "--otherwise", "embedding"]) == 2
    assert "otherwise is for injection modes quoted-token" in capsys.readouterr().err
