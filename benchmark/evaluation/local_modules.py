"""Which local modules a user's module imports, from their text alone: nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from .. import files


def local_imports(module: str, source: Path) -> dict[str, str]:
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
    return {name: files.sha256_file(path) for name, path in sorted(found.items())}


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
    for path in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")):
        if path.is_file():
            return path
    return None
