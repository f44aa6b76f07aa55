"""Who writes the text of a suite: the target itself.

Owns opening a target for that. What it is asked is `sampling.py`'s.
"""

from __future__ import annotations

from pathlib import Path

from introspect_bench.benchmark.targets import weight_files
from introspect_bench.tasks.feature_descriptions.sampling import (
    Sampler,
    Settings,
    fact_subjects,
)


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
