"""The key-value cache by the name that the installed transformers has for it.

transformers 5.24 renamed `past_key_values` to `cache`, in arguments and outputs alike; it takes the
old argument with a warning and says that 5.40 no longer will.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from transformers.modeling_outputs import BaseModelOutputWithPast

NAMES = ("cache", "past_key_values")  # new and old name


def name_in(output: type) -> str:
    """Which of the names a class of outputs has."""
    there = {field.name for field in fields(output)}
    return next(name for name in NAMES if name in there)


NAME = name_in(BaseModelOutputWithPast)  # the name in the installed version


def with_cache(cache: object) -> dict[str, Any]:
    """The argument that hands a cache, or None, to a model."""
    return {NAME: cache}


def cache_of(output: Any) -> Any:
    """The cache that a model's output holds."""
    return getattr(output, NAME)
