"""Null models: what scores without reading the vector, or without knowing the model."""

from __future__ import annotations

import importlib.util

from ...benchmark.errors import MissingPartError


def check_installed() -> None:
    """Say what is missing before anything is measured.

    Raises MissingPartError: scikit-learn is not installed.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise MissingPartError(
            "null models need scikit-learn; install it with pip install 'introspect-bench[build]'"
        )
