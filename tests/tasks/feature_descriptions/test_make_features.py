"""A whole suite of features from nothing: text, tables, autoencoders, descriptions, manifest."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from features_again import derived
from tiny_embedders import LetterEmbedder
from tiny_feature_builds import SIZES, save_target

from introspect_bench.benchmark.backends.models.target_model import load_target_model
from introspect_bench.benchmark.errors import CheckFailedError, UsageError
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.features import arrays
from introspect_bench.benchmark.suite.suite import open_suite
from introspect_bench.tasks.build.make import make_suite
from introspect_bench.tasks.build.order import NotFrozenError, Order
from introspect_bench.tasks.build.verify import verify_suite
from introspect_bench.tasks.feature_descriptions.build import suite as make
from introspect_bench.tasks.feature_descriptions.build.sampling import check_disjoint
from introspect_bench.tasks.feature_descriptions.judge import judges

NAME = "feature-descriptions"


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    root = tmp_path_factory.mktemp("features")
    folder = save_target(root / "target")
    return Order(
        suite="tiny",
        task=NAME,
        target={"name": "target", "source": "local", "location": str(folder), "d_model": 32},
        folder=folder,
        seed=0,
        out=root / NAME / "v2",
        work=root / "work",
        sizes=SIZES,
        draft=True,
    )


def run(order: Order, told: list[str] | None = None) -> dict[str, Any]:
    assert order.folder is not None
    folder = order.folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "fetch_embedder", lambda: Path())
        patch.setattr(make, "load_embedder", lambda _folder: LetterEmbedder())
        patch.setattr(judges, "cache_dir", lambda: order.work / "cache")
        threads = torch.get_num_threads()
        order.out.parent.mkdir(parents=True, exist_ok=True)
        try:
            return make_suite(
                order,
                lambda: load_target_model(folder),
                lambda: load_target_model(folder),
                lambda stage, _n: told.append(stage) if told is not None else None,
            )
        finally:
            torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def made(order: Order) -> dict[str, Any]:
    return run(order)


def test_the_suite_is_whole_and_says_what_it_is(order: Order, made: dict[str, Any]) -> None:
    suite = open_suite(order.out)
    verify_suite(get_task(NAME), suite)
    assert suite.data_sha256 == made["data_sha256"]
    assert suite.describes
    assert not suite.frozen  # eight features are no benchmark
    counts = {split: row["queries"] for split, row in made["splits"].items()}
    drawn = {split: sum(kinds.values()) for split, kinds in SIZES["drawn"].items()}
    assert counts == {**drawn, "train": counts["train"]}
    assert counts["train"] >= 4
    assert {query.kind for query in suite.queries("mini")} == {"bigram", "context-token", "token"}
    assert made["judges"]["exact-predicates"].startswith("exact-predicates/grammar-1@")
    assert set(made["doctor"].values()) == {"pass"}
    files = {name.partition("/")[2] for name in made["files"] if name.startswith("test/")}
    arrays_of = {f"{name}.safetensors" for name in ("vectors", "windows", "activations")}
    assert files == {"queries.jsonl", "truth.jsonl", "definitions.safetensors", *arrays_of}
    text = made["statistics"]["text"]
    assert text["least_r"] == SIZES["least_r"][-1]  # too few features have the first one
    assert text["fitted_windows"] > 100 < text["scored_windows"]
    for layer in made["statistics"]["layers"].values():
        assert 0 <= layer["table_share"] < layer["explained"] < 1
        assert layer["l0"] > 0


def test_readers_nulls_and_known_texts_are_measured(made: dict[str, Any]) -> None:
    for split in ("validation", "test"):
        readers, judged = (made["statistics"][part][split] for part in ("readers", "judge"))
        for kind in ("bigram", "context-token"):
            assert readers[kind]["token_reader"]["auroc"] == 0.5
            assert readers[kind]["exact"]["auroc"] > 0.5
        assert readers["bigram"]["bigram_reader"]["auroc"] == 0.5
        assert set(readers["token"]["exact"]) == {"r"}
        assert judged["headline"]["empty"]["auroc"] == 0.5
        assert judged["headline"]["exact"]["auroc"] > judged["headline"]["denied"]["auroc"]
        assert made["statistics"][split]["nearest_means_the_same"] == 0
        nulls = {row["name"]: row for row in made["nulls"][split]}
        assert {name for name, row in nulls.items() if row["access"] == "words"} == {
            "constant",
            "nearest-neighbour",
            "shuffled",
        }
        assert nulls["token_reader"]["metrics"]["matched_auroc"] == 0
        assert {name for name, row in nulls.items() if row["access"] == "oracle"} == {
            "token_reader",
            "bigram_reader",
            "exact-predicate",
            "calculator",
        }
        told = [nulls[name]["metrics"] for name in ("calculator", "exact-predicate")]
        assert told[0] == told[1]  # the grammar reads its own wordings


def test_activations_come_from_the_target_alone(order: Order, made: dict[str, Any]) -> None:
    assert made
    target = load_target_model(order.folder)  # type: ignore[arg-type]
    assert derived(open_suite(order.out), "test", target, n=50) == 50


def test_no_window_that_is_scored_fitted_anything(order: Order, made: dict[str, Any]) -> None:
    from introspect_bench.tasks.feature_descriptions.windows import load_windows

    assert made
    fitted = load_windows(order.work / "fitted.windows.safetensors").ids
    scored = arrays(open_suite(order.out), "test", "windows")["ids"].reshape(-1, 32)
    check_disjoint(fitted, scored)
    with pytest.raises(CheckFailedError, match="both fitted and scored"):
        check_disjoint(fitted, np.concatenate([scored, fitted[:1]]))


def test_a_build_that_is_asked_again_measures_nothing_twice(
    order: Order, made: dict[str, Any]
) -> None:
    told: list[str] = []
    again = replace(order, out=order.out.with_name("again"))
    assert run(again, told)["data_sha256"] == made["data_sha256"]
    assert not {"sampled tokens", "windows read", "latents searched"} & set(told)
    shutil.rmtree(again.out)


def test_what_misses_its_bars_is_not_frozen(order: Order, made: dict[str, Any]) -> None:
    strict = replace(order, out=order.out.with_name("strict"), draft=False)
    with pytest.raises(NotFrozenError, match=r"train.queries is .*, allowed 1500") as caught:
        run(strict)
    assert caught.value.statistics["test"]["bigram"]["queries"] == 2
    assert not strict.out.exists()
    assert any(miss.startswith("test.bigram.distinct is 2") for miss in made["bars_missed"])


def test_sizes_are_checked_before_anything_is_measured(order: Order, tmp_path: Path) -> None:
    wrong = replace(order, out=tmp_path / "v2", sizes={"colours": 5})
    with pytest.raises(UsageError, match="unknown size 'colours': choose from drawn"):
        run(wrong)
    with pytest.raises(UsageError, match="need the folder of the target's weights"):
        make_suite(
            replace(order, out=tmp_path / "v2", folder=None),
            lambda: load_target_model(order.folder),  # type: ignore[arg-type]
            lambda: None,
            lambda _stage, _n: None,
        )
