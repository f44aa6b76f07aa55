"""Who samples text: batches belong to the weights that wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_models import make_model, make_tokenizer

from introspect_bench.tasks.feature_descriptions.build.sampling import (
    SamplingSettings,
    open_sampler,
)


@pytest.fixture(scope="module")
def target_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("target")
    tokenizer = make_tokenizer()
    make_model("llama", tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_batches_of_other_weights_are_not_reused(target_folder: Path, tmp_path: Path) -> None:
    settings = SamplingSettings(seed=0, max_new_tokens=4, batch_size=2)
    other = tmp_path / "other"
    tokenizer = make_tokenizer()
    make_model("llama", tokenizer, seed=1).save_pretrained(other)
    tokenizer.save_pretrained(other)
    for folder, n_files in ((target_folder, 1), (target_folder, 1), (other, 2)):
        open_sampler(folder, tmp_path, settings=settings).batch(0)
        assert len(list((tmp_path / "sampled").glob("*.json"))) == n_files
