"""Builds the features of a suite: text, autoencoders, activations, descriptions, windows, splits.

Owns the order of the work and its sizes. Every stage keeps what it made in the work folder, so a
killed build goes on; describing is the one stage that starts again, some minutes of work. Writing
the files is `benchmark/freeze_features.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.freeze_features import MeasuredFeature
from introspect_bench.tasks.feature_descriptions import sae_train, vectors
from introspect_bench.tasks.feature_descriptions.corpus import make_corpus
from introspect_bench.tasks.feature_descriptions.describe import (
    LEAST_PREDICATES,
    Description,
    useful_predicates,
)
from introspect_bench.tasks.feature_descriptions.features import (
    SaeFeatures,
    centring,
    public_sae,
    trained_sae,
)
from introspect_bench.tasks.feature_descriptions.finder import Finder, Text
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import shipped_lexicon
from introspect_bench.tasks.feature_descriptions.prose import SOURCES, Source
from introspect_bench.tasks.feature_descriptions.sampling import Settings
from introspect_bench.tasks.feature_descriptions.shipped_text import FOLDER, unpack_batches
from introspect_bench.tasks.feature_descriptions.splitting import split_features
from introspect_bench.tasks.feature_descriptions.windows import (
    SAMPLED,
    Windows,
    bos_id,
    halves,
    load_windows,
    save_windows,
)

BUILD = 1
"""Version of what is measured; it is part of the name of a work folder."""
DEPTHS = (0.2, 0.4, 0.6, 0.8)
"""Layers with autoencoders, as shares of the target's depth."""

Progress = Callable[[str, int], None]
"""Told a stage and how many items it just finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    sampled_tokens: int = 320_000
    """Tokens of text the target writes; features are measured on it."""
    sae_tokens: int = 2_000_000
    """Tokens each autoencoder is trained on."""
    features: tuple[str, ...] = ()
    """Public autoencoders by name (`features.public_sae`) or folder, one a layer; train if none."""
    latents: int = 4096
    """Features of each autoencoder that is trained."""
    k: int = 32
    """Features active at a token."""
    sae_batch: int = 1024
    """Tokens of one step of their training."""
    drawn: int = 400
    """Autoencoder features in test, and in validation."""
    vectors: int = 100
    """Full activations in test, and differences."""
    tried: int = 60
    """Full activations of each layer to choose from, and differences."""
    predicate_cap: float = 0.03
    """Largest share of one predicate in a drawn split."""
    at_least: int = 50
    """Tokens of the searched half on which a predicate must hold."""
    least_predicates: int = LEAST_PREDICATES
    """Predicates that must be worth testing."""
    simulator_epochs: int = 2
    """Times that the simulator sees every training feature."""
    simulator_bfloat16: bool = True
    """Whether it is trained in bfloat16 where that is safe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Everything that was measured."""

    splits: Mapping[str, Sequence[MeasuredFeature]]
    """Features by split."""
    descriptions: Mapping[str, Sequence[Description]]
    """Descriptions of all live features, true or not, by `KIND:LAYER`."""
    text: Text
    """What they were measured on."""
    searched: Sequence[str]
    """Names of the predicates that were searched, simple ones first."""


def build(
    target: Any,
    target_folder: Path,
    work: Path,
    *,
    seed: int,
    report: Progress,
    sizes: Sizes | None = None,
    sources: Sequence[Source | Path] = SOURCES,
) -> Built:
    """Measure everything, or go on where a killed build was.

    Args:
        target: the target model (`benchmark.backends.target_model.TargetModel`), float32.
        target_folder: where its weights are.
        work: folder of the build.
        seed: decides all draws.
        report: progress callback.
        sizes: how much; the suite's own if None.
        sources: packages that hold prose, and text files.

    Raises:
        CheckFailedError: too few predicates or features; the text is too short or too uniform.
        UsageError: the work folder belongs to another build.
        MissingPartError: network, sparsify or disk space is missing.
        IntegrityError: a file of the work folder is damaged.
    """
    sizes = sizes or Sizes()
    windows = corpus(target_folder, work, seed=seed, report=report, sizes=sizes, sources=sources)
    text = _text(windows, target.tokenizer)
    found_sources, centres = (_public if sizes.features else _trained)(
        target, windows, text, work, seed, report, sizes
    )
    lexicon = shipped_lexicon()
    tested = useful_predicates(
        text.ids,
        text.searched,
        target.tokenizer,
        lexicon,
        at_least=sizes.at_least,
        least_predicates=sizes.least_predicates,
    )
    finder = Finder(
        target=target, text=text, tested=tested, lexicon=lexicon, seed=seed, report=report
    )
    found = finder.autoencoders(found_sources, work / "activations")
    splits = split_features(
        found,
        finder.vectors(centres, tried=sizes.tried),
        drawn=sizes.drawn,
        vectors=sizes.vectors,
        predicate_cap=sizes.predicate_cap,
        seed=seed,
    )
    return Built(splits=splits, descriptions=finder.all, text=text, searched=tested.names)


Sources = tuple[list[SaeFeatures], dict[int, vectors.Centring]]
"""Features of each autoencoder, and mean and cap of their layers."""


def _trained(
    target: Any,
    windows: Windows,
    text: Text,
    work: Path,
    seed: int,
    report: Progress,
    sizes: Sizes,
) -> Sources:
    """Train autoencoders on the whole corpus."""
    folders = sae_train.train(
        target,
        windows.ids,
        sae_train.SaeSettings(
            layers=layers_of(target.n_layers),
            latents=sizes.latents,
            k=sizes.k,
            batch=sizes.sae_batch,
            tokens=sizes.sae_tokens,
            seed=seed,
        ),
        work / "autoencoders",
        bos=text.bos,
        report=lambda done, _unexplained: report("tokens trained on", done),
    )
    sources = [trained_sae(folders[layer]) for layer in sorted(folders)]
    return sources, {layer: centring(folder) for layer, folder in folders.items()}


def _public(
    target: Any,
    windows: Windows,  # noqa: ARG001
    text: Text,
    work: Path,  # noqa: ARG001
    seed: int,  # noqa: ARG001
    report: Progress,
    sizes: Sizes,
) -> Sources:
    """Take autoencoders by name, or from folders."""
    device = str(target.device)
    sources = [
        trained_sae(Path(name), device=device)
        if Path(name).is_dir()
        else public_sae(name, device=device)
        for name in sizes.features
    ]
    layers = [source.layer for source in sources]
    if len(set(layers)) < len(layers):
        raise UsageError("two of the named autoencoders read the same layer; name one a layer")
    for source in sources:
        if source.layer >= target.n_layers or source.directions.shape[1] != target.d_model:
            raise UsageError(
                f"{source.name} reads layer {source.layer} of width {source.directions.shape[1]}, "
                f"the target has {target.n_layers} layers of width {target.d_model}"
            )
    report("autoencoders loaded", len(sources))
    centres = vectors.measured_centres(target, text.ids[text.searched], layers, bos=text.bos)
    return sorted(sources, key=lambda source: source.layer), centres


def corpus(
    target_folder: Path,
    work: Path,
    *,
    seed: int,
    report: Progress,
    sizes: Sizes,
    sources: Sequence[Source | Path] = SOURCES,
) -> Windows:
    """Windows of sampled text and prose, from the work folder if they are there.

    Raises:
        MissingPartError: network or disk space is missing.
        IntegrityError: a file is not the one that is expected.
    """
    path = work / "windows.safetensors"
    if not path.is_file():
        for archive in sorted(FOLDER.glob("*.gz")):  # batches of another target are never used
            unpack_batches(archive, work / "sampled")
        save_windows(
            path,
            make_corpus(
                target_folder,
                work,
                n_sampled_tokens=sizes.sampled_tokens,
                sources=sources,
                seed=seed,
                report=report,
                settings=Settings(seed=seed),
            ),
        )
    return load_windows(path)


def layers_of(n_layers: int) -> tuple[int, ...]:
    """Layers with autoencoders in a target of so many, ascending."""
    return tuple(sorted({min(n_layers - 1, round(n_layers * share)) for share in DEPTHS}))


def _text(windows: Windows, tokenizer: Any) -> Text:
    sampled = np.array([source == SAMPLED for source in windows.source], dtype=np.bool_)
    rows = np.flatnonzero(sampled)
    searched = halves(windows)[rows]  # halves of the whole corpus, before windows are chosen
    return Text(ids=windows.take(rows).ids, searched=searched, bos=bos_id(tokenizer))
