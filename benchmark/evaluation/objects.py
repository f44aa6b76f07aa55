"""An explainer that is a Python object: what its run is called, and what tells it from others."""

from __future__ import annotations

import ast
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ..errors import UsageError
from ..explainer import Explainer, ExplainerCard
from ..files import canonical_json, sha256_bytes, sha256_file

_PROCESS = uuid.uuid4().hex


def object_name(explainer: object) -> str:
    """Return what would be typed after `--model`; an object must have a method `complete`."""
    kind = type(explainer)
    if not callable(getattr(explainer, "complete", None)) or isinstance(explainer, type):
        raise UsageError(
            f"{explainer!r:.80} has no method complete(prompts); give the name of a model, or an "
            "explainer that was made, such as MyExplainer()"
        )
    return f"py:{kind.__module__}:{kind.__name__}"


def object_card(explainer: Explainer, name: str) -> ExplainerCard:
    """Say who answers: hashes of its code and of what its public attributes hold.

    Attributes go into a hash, never into the run file: one may be the key of somebody's server.
    What cannot be hashed, such as a model, is told apart by being this very object, unless the
    explainer says what it holds in `identity`.
    """
    if not (named := declared_identity(explainer)):
        state = [[key, _plain(value, True)] for key, value in sorted(_public(explainer).items())]
        named = {"state_sha256": sha256_bytes(canonical_json(state).encode())}
    return ExplainerCard(name=name, kind="custom", settings=code_of(type(explainer)) | named)


def declared_identity(explainer: Explainer) -> dict[str, Any]:
    """Return what a class says its replies depend on besides its code, such as weights."""
    identity = getattr(explainer, "identity", None)
    if identity is None:
        return {}
    return {"declared_identity": identity() if callable(identity) else identity}


def _public(explainer: object) -> dict[str, Any]:
    slots = [getattr(kind, "__slots__", ()) for kind in type(explainer).__mro__]
    names = {name for own in slots for name in ([own] if isinstance(own, str) else own)}
    names |= set(getattr(explainer, "__dict__", ()))
    return {name: getattr(explainer, name, None) for name in names if not name.startswith("_")}


def code_of(kind: Any, module: ModuleType | None = None) -> dict[str, Any]:
    """Hash the file of a class, or of the `module` that gave it, and the local files it imports.

    A class of a notebook or a prompt has no file: hashed is what it compiled to.
    """
    module = module or sys.modules.get(str(getattr(kind, "__module__", "")))
    source = Path(getattr(module, "__file__", None) or "")
    if module is None or not source.is_file():
        own = [one for one in getattr(kind, "__mro__", (kind,)) if one is not object]
        compiled = canonical_json([list(_parts(one)) for one in own])
        return {"source_sha256": sha256_bytes(compiled.encode())}
    settings: dict[str, Any] = {"source_sha256": sha256_file(source)}
    name = getattr(module.__spec__, "name", None) or source.stem  # a script is called __main__
    if source.suffix == ".py" and (others := _local_imports(name, source)):
        settings["imports_sha256"] = others
    return settings


def _parts(value: Any) -> Iterator[str]:
    """Yield what a class or function is made of, the same in every process."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if isinstance(value, type):
        for name, own in sorted(vars(value).items()):
            if not name.startswith("__") or isinstance(own, FunctionType):
                yield name
                yield from _parts(own)
    elif isinstance(value, property):
        yield from _parts(value.fget)
    elif isinstance(value, FunctionType):
        yield from _parts(value.__code__)
        yield str(_plain([value.__defaults__, value.__kwdefaults__], False))
    elif isinstance(value, CodeType):
        yield from (value.co_code.hex(), *value.co_names, *value.co_varnames)
        for constant in value.co_consts:
            yield from _parts(constant)
    else:
        yield str(_plain(value, False))


def _plain(value: Any, exact: bool) -> Any:
    """Return a value as JSON; of what is none its type, `exact`ly also which object it is."""
    if isinstance(value, str | int | None):
        return value
    if isinstance(value, float | Path):
        return str(value)
    if isinstance(value, dict):
        return [[str(key), _plain(own, exact)] for key, own in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(own, exact) for own in value]
    if isinstance(value, FunctionType):
        return list(_parts(value))
    if hasattr(value, "tobytes"):  # an array
        return sha256_bytes(value.tobytes())
    return [type(value).__qualname__, *((_PROCESS, id(value)) if exact else ())]


def _local_imports(module: str, source: Path) -> dict[str, str]:
    """Return the sha256 of every other local file that a module comes to import, by module name.

    Imports inside functions count, those made from a computed name cannot be seen. Local is what
    lies in the folder that the module is imported from; where packages are installed, in its own
    package.
    """
    depth = module.count(".") + (source.name == "__init__.py")
    root = source.absolute().parents[depth]
    installed = {"site-packages", "dist-packages"} & {*root.parts}
    own = module.partition(".")[0]
    found: dict[str, Path] = {}
    todo = [(module, source)]
    while todo:
        name, path = todo.pop()
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for other in _imported(path.read_bytes(), package):
            place = _place(root, other)
            if place is None or other == module or other in found:
                continue
            if installed and other.partition(".")[0] != own:
                continue
            found[other] = place
            todo.append((other, place))
    return {name: sha256_file(path) for name, path in sorted(found.items())}


def _imported(source: bytes, package: str) -> Iterator[str]:
    """Every dotted name that a source may import, with the packages around it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # it can't be imported either
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}".lstrip(".") for alias in node.names]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:n]) for n in range(1, len(parts) + 1))


def _place(root: Path, name: str) -> Path | None:
    stem = root.joinpath(*name.split("."))
    places = (stem / "__init__.py", stem.with_name(f"{stem.name}.py"))
    return next((path for path in places if path.is_file()), None)
