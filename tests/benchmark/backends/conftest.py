"""Toy suites and a model as wide as their vectors, made once; nothing writes into them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_suites import make_suite_folder
from tiny_training import make_base


@pytest.fixture(scope="session")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_suite_folder(tmp_path_factory.mktemp("suites") / "toy")


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "base")
