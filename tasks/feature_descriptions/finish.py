"""From written features to a whole suite: references by its judges, quality, statistics, manifest.

Owns what the judges make of the reference descriptions, and what a suite of features says of
itself. Reads the files of the splits as they will be shipped, so that numbers are about these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.correlations import signed_r
from introspect_bench.benchmark.files import read_jsonl, write_jsonl_atomic
from introspect_bench.benchmark.freeze_features import write_reference
from introspect_bench.benchmark.suite_features import WORDINGS
from introspect_bench.tasks.feature_descriptions.describe import Description, explained
from introspect_bench.tasks.feature_descriptions.judges import (
    KNOWN,
    TextEmbedder,
    quantise_embedding,
)
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import Lexicon
from introspect_bench.tasks.feature_descriptions.predicates.phrases import reversed_phrases
from introspect_bench.tasks.feature_descriptions.simulate import quantise, simulator_quality
from introspect_bench.tasks.statistics import Bar

JUDGED = ("validation", "test")
"""Splits whose descriptions are scored."""
SAE = "sae"
"""Kind of the features that a simulator's quality is measured on."""
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles in a split's statistics."""
BARS: Mapping[str, tuple[Bar, ...]] = {
    "train": (Bar(name="queries", low=4000),),
    "validation": (Bar(name="sae.queries", low=400),),
    "test": (
        Bar(name="sae.queries", low=400),
        Bar(name="sae.distinct_predicates", low=200),
        Bar(name="sae.share_commonest_predicate", high=0.03),
        Bar(name="activation.queries", low=100),
        Bar(name="difference.queries", low=100),
    ),
    "simulator": (
        Bar(name="auroc.value", low=0.85),
        Bar(name="gain.value", low=0.25),
        Bar(name="r.shuffled.mean", low=-0.03, high=0.03),
    ),
}
"""What a suite must reach to be frozen, by part of its statistics."""

Progress = Callable[[str, int], None]
Ids = npt.NDArray[np.int32]


class WithSilence:
    """A simulator that is told what it predicts without a description."""

    def __init__(self, simulator: Any, silent: npt.NDArray[np.float16]) -> None:
        """Bind a simulator with `contrast` to the windows that `silent` is about."""
        self.name, self.sha256 = simulator.name, simulator.sha256
        self._simulator, self._silent = simulator, silent

    def predict(self, descriptions: Sequence[str], windows: Ids) -> npt.NDArray[np.float32]:
        """Predict, without asking for silence again."""
        found: npt.NDArray[np.float32] = self._simulator.predict(
            descriptions, windows, silent=self._silent
        )
        return found


def add_references(root: Path, simulator: Any, embedder: TextEmbedder, report: Progress) -> None:
    """Write what the judges make of the reference descriptions of the splits that are scored.

    Args:
        root: folder of the suite.
        simulator: the suite's own (`benchmark.backends.simulator.Simulator`), with `contrast`.
        embedder: the suite's own.
        report: progress callback.

    Raises:
        MissingPartError: the disk is full.
    """
    for split in JUDGED:
        folder = root / split
        truth = _truth(folder)
        windows = _arrays(folder, "windows")["ids"]
        silent = simulator.silent(windows)
        report("features simulated without a description", len(truth))
        first = [row["descriptions"][0] for row in truth]
        predicted = quantise(simulator.predict(first, windows, silent=silent))
        report("features simulated", len(truth))
        wordings = [
            quantise_embedding(embedder.embed([row["descriptions"][k] for row in truth]))
            for k in range(WORDINGS)
        ]
        write_reference(folder, predicted, np.stack(wordings, axis=1), silent)


def measure_quality(
    folder: Path, simulator: Any, lexicon: Lexicon, *, seed: int = 0
) -> dict[str, Any]:
    """Measure the simulator on a split's autoencoder features.

    Args:
        folder: folder of the split, whose truth is read.
        simulator: the suite's own, with `contrast`.
        lexicon: what is known about words.
        seed: pairs features with others' descriptions, and draws the bootstrap.

    Returns:
        What `simulate.simulator_quality` says, with `split` and `kind`.
    """
    kinds = [row["kind"] for _, row in read_jsonl(folder / "queries.jsonl")]
    rows = [place for place, kind in enumerate(kinds) if kind == SAE]
    truth = [_truth(folder)[row] for row in rows]
    told = WithSilence(simulator, _arrays(folder, "silent")["predicted"][rows])
    found = simulator_quality(
        told,
        descriptions=[row["descriptions"][0] for row in truth],
        opposites=[reversed_phrases(row["predicate"], lexicon)[0] for row in truth],
        names=[row["predicate"] for row in truth],
        windows=_arrays(folder, "windows")["ids"][rows],
        activations=_arrays(folder, "activations")["activations"][rows].astype(np.float32),
        rng=np.random.default_rng(seed),
    )
    return {"split": folder.name, "kind": SAE, **found}


def write_known(root: Path, names: Sequence[str]) -> None:
    """Write the names of the predicates that were searched, simple ones first."""
    write_jsonl_atomic(root / KNOWN, [{"name": name} for name in names])


def describe_split(folder: Path) -> dict[str, Any]:
    """Say what a split looks like, by kind of feature.

    Returns:
        `queries`, `layers` and, for each kind, `queries`, `distinct_predicates`,
        `share_commonest_predicate`, quantiles of the correlations and of the largest cosine with a
        training vector, and, for splits that are scored, `r_of_reference`: the mean signed
        correlation that the simulator reaches with the reference descriptions.
    """
    queries = [row for _, row in read_jsonl(folder / "queries.jsonl")]
    truth = _truth(folder)
    layers = Counter(row["fields"]["layer"] for row in queries)
    found: dict[str, Any] = {
        "queries": len(queries),
        "layers": {str(layer): layers[layer] for layer in sorted(layers)},
    }
    reference = None
    if (folder / "reference.safetensors").is_file():
        predicted = _arrays(folder, "reference")["predicted"]
        reference = signed_r(_arrays(folder, "activations")["activations"], predicted)[0]
    for kind in sorted({row["kind"] for row in queries}):
        rows = [place for place, row in enumerate(queries) if row["kind"] == kind]
        found[kind] = _describe_kind([truth[row] for row in rows])
        if reference is not None:
            found[kind]["r_of_reference"] = round(float(reference[rows].mean()), 6)
    return found


def _describe_kind(truth: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = Counter(row["predicate"] for row in truth)
    return {
        "queries": len(truth),
        "distinct_predicates": len(names),
        "share_commonest_predicate": max(names.values()) / len(truth),
        **{
            f"{name}_quantiles": {
                str(q): round(float(np.quantile([row[name] for row in truth], q)), 6)
                for q in QUANTILES
            }
            for name in ("r_held_out", "window_r", "nearest_train")
        },
    }


def describe_search(descriptions: Mapping[str, Sequence[Description]]) -> dict[str, Any]:
    """Say which share of the live features has a description, by kind and layer and threshold."""
    return {
        name: {"live": len(found), "explained": explained(found)}
        for name, found in descriptions.items()
        if found
    }


def _truth(folder: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(folder / "truth.jsonl")]


def _arrays(folder: Path, part: str) -> dict[str, npt.NDArray[Any]]:
    from safetensors.numpy import load_file

    found: dict[str, npt.NDArray[Any]] = load_file(folder / f"{part}.safetensors")
    return found
