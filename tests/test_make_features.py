"""A whole suite of features from nothing: text, autoencoders, descriptions, simulator, manifest."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_feature_builds import SIZES, WORDS, save_target
from tiny_features import Letters
from tiny_saes import sae_lens

from introspect_bench.benchmark.backends.target_model import load_target_model
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.suite import open_suite
from introspect_bench.benchmark.suite_features import arrays
from introspect_bench.tasks import get_task
from introspect_bench.tasks.feature_descriptions import make
from introspect_bench.tasks.feature_descriptions.judges import open_simulator
from introspect_bench.tasks.feature_descriptions.predicates.evaluate import evaluate_named
from introspect_bench.tasks.make import make_suite
from introspect_bench.tasks.order import NotFrozenError, Order
from introspect_bench.verifying import verify_suite

NAME = "feature-descriptions"


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    root = tmp_path_factory.mktemp("features")
    prose = root / "prose.txt"
    lines = (" ".join(WORDS[(7 * i + 3 * j) % len(WORDS)] for j in range(200)) for i in range(20))
    prose.write_text("\n\n".join(lines))
    folder = save_target(root / "target")
    return Order(
        suite="tiny",
        task=NAME,
        target={"name": "target", "source": "local", "location": str(folder), "d_model": 32},
        folder=folder,
        seed=0,
        out=root / NAME / "v1",
        work=root / "work",
        sizes=SIZES | {"sources": [prose]},
        draft=True,
    )


def run(order: Order, told: list[str] | None = None) -> dict[str, Any]:
    assert order.folder is not None
    folder = order.folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "fetch_embedder", lambda: Path())
        patch.setattr(make, "load_embedder", lambda _folder: Letters())
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
    assert suite.describes
    assert not suite.frozen  # four features are no benchmark
    counts = {split: row["queries"] for split, row in made["splits"].items()}
    assert counts["validation"] == 4
    assert counts["test"] == 4 + 2 + 2
    assert counts["train"] > 8
    kinds = {query.kind for query in suite.queries("test")}
    assert kinds == {"sae", "activation", "difference"}
    assert made["statistics"]["text"]["predicates_searched"] > 100
    assert made["judges"]["simulator"].startswith("simulator/tiny-v1@")
    assert set(made["doctor"].values()) == {"pass"}


def test_descriptions_hold_on_the_windows_that_ship(order: Order, made: dict[str, Any]) -> None:
    suite = open_suite(order.out)
    assert suite.data_sha256 == made["data_sha256"]
    tokenizer = load_target_model(order.folder).tokenizer  # type: ignore[arg-type]
    told, windows = arrays(suite, "test", "activations"), arrays(suite, "test", "windows")["ids"]
    for row, truth in enumerate(suite.feature_truth("test").values()):
        values = evaluate_named([truth.predicate], windows[row], tokenizer).toarray().ravel()
        active = told["activations"][row].astype(np.float64).ravel()
        assert np.corrcoef(values, active)[0, 1] == pytest.approx(truth.window_r, abs=0.01)
        assert truth.r_held_out >= 0.5 or suite.queries("test")[row].kind == "difference"


def test_its_simulator_lies_beside_it_and_loads(order: Order, made: dict[str, Any]) -> None:
    suite = open_suite(order.out)
    simulator = open_simulator(suite)
    assert made["judges"]["simulator"] == f"simulator/tiny-v1@{simulator.sha256[:12]}"
    windows = arrays(suite, "test", "windows")["ids"]
    silent = arrays(suite, "test", "silent")["predicted"]
    np.testing.assert_allclose(simulator.silent(windows), silent, atol=1e-2)  # type: ignore[attr-defined]


def test_a_build_that_is_asked_again_measures_nothing_twice(
    order: Order, made: dict[str, Any]
) -> None:
    told: list[str] = []
    again = replace(order, out=order.out.with_name("again"))
    assert run(again, told)["data_sha256"] == made["data_sha256"]
    assert not {"sampled tokens", "tokens trained on", "windows read"} & set(told)
    shutil.rmtree(again.out)


def published(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    """Write an autoencoder that was trained here in SAELens's layout, as a stranger would."""
    shape = weights["W_dec"].shape
    return sae_lens(
        folder,
        {
            "W_enc": weights["encoder.weight"].T.contiguous(),
            "b_enc": weights["encoder.bias"],
            "W_dec": weights["W_dec"].contiguous(),
            "b_dec": weights["b_dec"],
        },
        architecture="topk",
        k=1,
        d_in=shape[1],
        d_sae=shape[0],
        apply_b_dec_to_input=True,
        metadata={"hook_name": "blocks.1.hook_resid_post", "sae_lens_version": "6.54.12"},
    )


def test_public_autoencoders_take_the_place_of_trained_ones(
    order: Order, made: dict[str, Any], tmp_path: Path
) -> None:
    assert made
    own = load_file(order.work / "autoencoders" / "layers.1" / "sae.safetensors")
    folder = published(tmp_path / "public", own)
    sizes = {**(order.sizes or {}), "features": (str(folder),), "drawn": 2, "vectors": 1}
    told: list[str] = []
    other = replace(
        order, out=tmp_path / NAME / "v1", work=tmp_path / "work", sizes=sizes, suite="public"
    )
    shutil.copytree(order.work / "sampled", other.work / "sampled")
    manifest = run(other, told)
    assert "autoencoders loaded" in told
    assert "tokens trained on" not in told
    layers = {query.fields["layer"] for query in open_suite(other.out).queries("test")}
    assert layers == {1}
    assert manifest["statistics"]["test"]["sae"]["queries"] == 2
    twice = replace(other, out=tmp_path / "v2", sizes={**sizes, "features": (str(folder),) * 2})
    with pytest.raises(UsageError, match="two of the named autoencoders read the same layer"):
        run(twice)


def test_what_misses_its_bars_is_not_frozen(order: Order, made: dict[str, Any]) -> None:
    assert made
    strict = replace(order, out=order.out.with_name("strict"), draft=False)
    with pytest.raises(NotFrozenError, match=r"train: queries is .*, allowed 4000") as caught:
        run(strict)
    assert caught.value.statistics["test"]["sae"]["queries"] == 4
    assert not strict.out.exists()


def test_sizes_are_checked_before_anything_is_measured(order: Order, tmp_path: Path) -> None:
    wrong = replace(order, out=tmp_path / "v1", sizes={"colours": 5})
    with pytest.raises(UsageError, match="unknown size 'colours': choose from at_least"):
        run(wrong)
    with pytest.raises(UsageError, match="need the folder of the target's weights"):
        make_suite(
            replace(order, out=tmp_path / "v1", folder=None),
            lambda: load_target_model(order.folder),  # type: ignore[arg-type]
            lambda: None,
            lambda _stage, _n: None,
        )
