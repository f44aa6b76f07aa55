"""The two texts of a build: what everything is fitted on, and what features are scored on alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ....benchmark.errors import CheckFailedError
from ....benchmark.models.targets import weight_files
from ..shipped_text import FOLDER, unpack_batches
from ..windows import (
    Windows,
    concatenate,
    cut_documents,
    load_windows,
    save_windows,
    without_duplicates,
    word_starts,
)
from .sampling import Sampler, Settings, fact_subjects

Ids = npt.NDArray[np.int32]
Report = Callable[[str, int], None]


def fitted_text(
    target_folder: Path, work: Path, *, seed: int, report: Report, batches: Sequence[int]
) -> Windows:
    """Windows that everything is made on, sampled or from the package's archive.

    Raises:
        MissingPartError: weights or disk space are missing.
    """
    path = work / "fitted.windows.safetensors"
    if not path.is_file():
        sampled = _sampled(target_folder, work, batches, seed=seed, report=report)
        save_windows(path, without_duplicates(sampled))
    return load_windows(path)


def scored_text(
    target_folder: Path,
    work: Path,
    fitted: Windows,
    *,
    seed: int,
    report: Report,
    batches: Sequence[int],
) -> Ids:
    """Windows that are scored on alone, (n_windows, 32): later batches, less what was fitted.

    Raises:
        MissingPartError: weights or disk space are missing.
    """
    path = work / "scored.windows.safetensors"
    if not path.is_file():
        sampled = _sampled(target_folder, work, batches, seed=seed, report=report)
        whole = without_duplicates(concatenate([fitted, sampled]))
        save_windows(path, whole.take(np.arange(len(fitted), len(whole))))
    return load_windows(path).ids


def _sampled(
    target_folder: Path, work: Path, batches: Sequence[int], *, seed: int, report: Report
) -> Windows:
    for archive in sorted(FOLDER.glob("*.gz")):  # batches of another target are never used
        unpack_batches(archive, work / "sampled")
    sampler = open_sampler(target_folder, work, settings=Settings(seed=seed))
    starts = word_starts(sampler.target.tokenizer)
    parts = []
    for number in batches:
        documents = sampler.batch(number)
        parts.append(cut_documents(documents, sampler.target.tokenizer, starts=starts))
        report("sampled tokens", parts[-1].ids.size)
    return concatenate(parts)


def check_disjoint(fitted: Ids, scored: Ids) -> None:
    """Refuse windows of one text that stand in the other too.

    Raises:
        CheckFailedError: there are some.
    """
    both = {row.tobytes() for row in fitted} & {row.tobytes() for row in scored}
    if both:
        raise CheckFailedError(f"{len(both)} windows are both fitted and scored")


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
    from ....benchmark.backends.models.target_model import load_target_model

    return Sampler(
        load_target_model(target_folder, device=device),
        work / "sampled",
        weights=weight_files(target_folder),
        settings=settings,
        subjects=fact_subjects(),
    )
