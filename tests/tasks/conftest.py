"""Whole tiny suites of both causal tasks, made once for all modules that read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def small_world() -> Iterator[None]:
    import tiny_builds  # imports torch, which few modules here need

    with tiny_builds.small_world():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by task; for modules that use `small_world` throughout."""
    import tiny_builds

    return tiny_builds.made_once(tmp_path_factory.getbasetemp() / "made")[0]
