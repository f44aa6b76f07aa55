"""Loads the wordings of predicates from ``wordings.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

Wording = tuple[str, str, str]
"""Noun phrase for one thing that a predicate holds for, and two noun phrases for all of them."""


@cache
def _tables() -> Mapping[str, Any]:
    """All tables of the file."""
    package = "introspect_bench.tasks.feature_descriptions.predicates"
    return tomllib.loads(resources.files(package).joinpath("wordings.toml").read_text("utf-8"))


@cache
def wordings(table: str) -> Mapping[str, Wording]:
    """Wordings or templates of one table.

    Tables: ``unit`` and ``token`` (places by name), ``property`` (properties by name), ``family``,
    ``relation`` and ``topic`` (templates).
    """
    return {name: (one, many, also) for name, (one, many, also) in _tables()[table].items()}


def shown(family: str) -> Mapping[str, str]:
    """How arguments of a family are shown, where their name will not do."""
    found: Mapping[str, str] = _tables()["shown"].get(family, {})
    return found
