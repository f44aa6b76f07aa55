"""Users' own code as explainers: `py:module:Class`, whose module may lie in the current folder."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import IntrospectBenchError, UsageError
from ..explainer import Explainer, ExplainerCard
from ..files import sha256_file

CUSTOM = "py:"  # How the name of a user's own explainer starts


def check_custom(model: str) -> None:
    """Refuse a module that is not there; it is looked up, not run."""
    module, _ = _custom_names(model)
    with _users_code(model, module):
        found = importlib.util.find_spec(module)
    if found is None:
        raise UsageError(f"{model}: cannot import {module}: there is no such module")


def load_custom(model: str, arguments: Mapping[str, Any]) -> tuple[Explainer, ExplainerCard]:
    """Make the user's own explainer; `arguments` are keyword arguments of its class."""
    module_name, class_name = _custom_names(model)
    with _users_code(model, module_name):
        module = importlib.import_module(module_name)
    factory = getattr(module, class_name, None)
    if not callable(factory):
        raise UsageError(f"{model}: {module_name} has no class {class_name}")
    try:
        inspect.signature(factory).bind(**arguments)
    except (TypeError, ValueError) as error:  # ValueError: a type of C says nothing of itself
        raise UsageError(f"{model}: {error}; see --explainer-args") from error
    explainer: Explainer = factory(**arguments)
    if not callable(getattr(explainer, "complete", None)):
        raise UsageError(f"{model}: {class_name} has no method complete(prompts)")
    settings = dict(arguments)
    source = getattr(module, "__file__", None)
    if source:  # changed code is another explainer, so its run is not resumed
        settings["source_sha256"] = sha256_file(Path(source))
    return explainer, ExplainerCard(name=model, kind="custom", settings=settings)


def _custom_names(model: str) -> tuple[str, str]:
    module, _, name = model.removeprefix(CUSTOM).partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"{model!r}: expected py:module:Class")
    return module, name


@contextmanager
def _users_code(model: str, module: str) -> Iterator[None]:
    """Import from the current folder too; whatever a module does while imported is one error."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        yield
    except IntrospectBenchError:
        raise
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        # a module that is not there, or cannot be read, has no line of its own
        own = isinstance(error, SyntaxError) or last.filename.startswith("<frozen")
        place = "" if own else f" ({Path(last.filename).name}, line {last.lineno})"
        raise UsageError(
            f"{model}: cannot import {module}: {type(error).__name__}: {error}{place}"
        ) from error


def parse_arguments(words: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` words; a value that is JSON is read as such, anything else is text."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier() or key in found:
            raise UsageError(f"explainer argument {word!r}: expected key=value, each key once")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found
