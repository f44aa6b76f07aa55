"""Stages of a build on a tiny target: kept, resumed, and computed again from the target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from tiny_targets import make_target

from introspect_bench.benchmark.backends.autoencoder import (
    TokenizedSettings,
    input_embeddings,
)
from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.tasks.feature_descriptions.build import stages
from introspect_bench.tasks.feature_descriptions.build.build import records
from introspect_bench.tasks.feature_descriptions.build.draft import (
    ContextFeature,
    derive,
    write_split,
)
from introspect_bench.tasks.feature_descriptions.build.matched import Side
from introspect_bench.tasks.feature_descriptions.build.search import Described
from introspect_bench.tasks.feature_descriptions.build.splits import FeatureCandidate
from introspect_bench.tasks.feature_descriptions.build.stages import Layer

LAYERS = (0, 2)
SETTINGS = TokenizedSettings(latents=32, k=4, epochs=3, batch=128, dead_after=2000)


def silent(_stage: str, _done: int) -> None:
    pass


def windows(n: int = 150, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(2, 14, (n, 32)).astype(np.int32)


def fitted(folder: Path, target: Any, ids: np.ndarray) -> list[Layer]:
    stages.read_residuals(target, ids, folder, bos=0, layers=LAYERS, report=silent)
    embeddings, tokens = input_embeddings(target), ids.ravel()
    return [
        stages.fit_layer(folder, number, tokens, embeddings, settings=SETTINGS, seed=0)
        for number in LAYERS
    ]


def test_reading_goes_on_where_it_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, ids = make_target(), windows(160)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    stages.read_residuals(target, ids, whole, bos=0, layers=LAYERS, report=silent)

    def killed(_stage: str, _done: int) -> None:
        raise KeyboardInterrupt

    common: dict[str, Any] = {"bos": 0, "layers": LAYERS}
    with pytest.raises(KeyboardInterrupt):
        stages.read_residuals(target, ids, parts, **common, report=killed)
    read: list[int] = []
    original = target.model.forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        read.append(len(kwargs["input_ids"]))
        return original(*args, **kwargs)

    monkeypatch.setattr(target.model, "forward", counted)
    for _ in range(2):
        stages.read_residuals(target, ids, parts, **common, report=silent)
        assert read == [64, 32]
    for layer in LAYERS:
        np.testing.assert_array_equal(
            stages.load_residuals(whole, layer), stages.load_residuals(parts, layer)
        )


def test_stages_are_kept_and_activations_computed_again_from_the_target(tmp_path: Path) -> None:
    target, ids = make_target(), windows()
    layers = fitted(tmp_path, target, ids)
    again = fitted(tmp_path, target, ids)
    for one, other in zip(layers, again, strict=True):
        assert one.share == other.share
        assert (one.activations != other.activations).nnz == 0
        assert 0 < one.activations.nnz < one.activations.shape[0] * 32 / 2
    text = windows(100, seed=1)
    scored = stages.scored_activations(target, text, tmp_path, bos=0, layers=layers, report=silent)
    sides = {name: Side(text, matrix) for name, matrix in scored.items()}
    found, splits = features(layers)
    made = records(
        found,
        splits,  # type: ignore[arg-type]
        layers,
        fitted={one.name: Side(ids, one.activations) for one in layers},
        scored=sides,
        seed=0,
    )
    assert len(made["test"]) >= 5
    for feature in made["test"]:
        _same_activations(target, feature)
    _written(tmp_path, made["test"])


def features(
    layers: list[Layer],
) -> tuple[list[FeatureCandidate], dict[str, list[tuple[int, str]]]]:
    """Every latent active often enough, as if it had been described."""
    found: list[FeatureCandidate] = []
    for layer in layers:
        for latent in np.flatnonzero(np.diff(layer.activations.indptr) > 100).tolist():
            described = Described(
                feature=latent,
                name=f"all(word:{('to', 'of')[len(found) % 2]};previous-list:question-word)",
                r_search=0.5,
                r_held_out=0.5,
                token_r=0.1,
                bigram_r=0.2,
                active=100,
                token_auroc=0.8,
                token_pairs=8,
                bigram_auroc=float("nan"),
                bigram_pairs=0,
            )
            direction = layer.weights["directions"][latent]
            found.append(
                FeatureCandidate(
                    layer=layer.number, direction=direction, described=described, windows={}
                )
            )
    rows = [(place, "context-token") for place in range(len(found))]
    return found, {"test": rows[::2], "train": rows[1::2]}


def _same_activations(target: Any, one: ContextFeature) -> None:
    """From the target's own hidden states, by transformers and by what is shipped."""
    rows = torch.tensor([[0, *row] for row in one.ids.tolist()])
    with torch.inference_mode():
        states = target.model(rows, output_hidden_states=True).hidden_states
    residuals = states[one.layer + 1][:, 1:].reshape(-1, target.d_model).numpy()
    if one.layer == target.n_layers - 1:
        return  # behind the last layer transformers shows normed states
    found = derive(residuals, one.definition, one.definition.token.ravel())
    expected = one.activations.ravel().astype(np.float32)
    near = np.abs(found - one.definition.threshold) < 1e-3
    np.testing.assert_allclose(found[~near], expected[~near], rtol=2e-3, atol=2e-3)


def _written(folder: Path, features: list[ContextFeature]) -> None:
    from safetensors.numpy import load_file

    root = folder / "suite" / "test"
    counts = write_split(root, "feature-descriptions", features)
    assert counts["queries"] == len(features)
    queries = [json.loads(line) for line in (root / "queries.jsonl").read_text().splitlines()]
    truth = [json.loads(line) for line in (root / "truth.jsonl").read_text().splitlines()]
    assert [row["id"] for row in queries] == [row["id"] for row in truth]
    assert truth[0]["bigram_auroc"] is None
    arrays = {name: load_file(root / f"{name}.safetensors") for name in ("windows", "activations")}
    by_id = {one.qid("feature-descriptions"): one for one in features}
    for row, query in enumerate(queries):
        one = by_id[query["id"]]
        np.testing.assert_array_equal(arrays["windows"]["ids"][row], one.ids)
        np.testing.assert_array_equal(arrays["activations"]["activations"][row], one.activations)


@pytest.mark.parametrize("name", ["table.safetensors", "autoencoder.safetensors", "fitted.npz"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    target, ids = make_target(), windows(20)
    fitted(tmp_path, target, ids)
    path = tmp_path / "layers.0" / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(IntegrityError, match="delete it"):
        fitted(tmp_path, target, ids)


def test_a_build_killed_while_it_writes_activations_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, ids = make_target(), windows(20)
    save = sparse.save_npz

    def killed(file: Any, matrix: Any) -> None:
        save(file, matrix)
        if isinstance(file, Path):
            file.write_bytes(file.read_bytes()[:20])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sparse, "save_npz", killed)
        with pytest.raises(KeyboardInterrupt):
            fitted(tmp_path, target, ids)
    assert [layer.activations.nnz > 0 for layer in fitted(tmp_path, target, ids)] == [True, True]
