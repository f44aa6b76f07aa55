"""What the package's modules import of each other, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

TOP = Path(__file__).parents[2]
NAME = "introspect_bench"
FOLDERS = ("benchmark", "tasks", "baselines", "leaderboard")
FACE = f"src/{NAME}"


def sources(folder: Path) -> Iterator[Path]:
    """Source files of a folder."""
    return (path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts)


def package_of(path: Path) -> tuple[str, ...]:
    """The package that a module of ours is in; nothing for a file that is in none."""
    parts = path.relative_to(TOP).parts
    if parts[0] in FOLDERS:
        return (NAME, *parts[:-1])
    return parts[1:-1] if path.is_relative_to(TOP / FACE) else ()


def name_of(path: Path) -> str:
    """Full name of a module of ours."""
    stem = () if path.stem == "__init__" else (path.stem,)
    return ".".join((*package_of(path), *stem))


def modules() -> dict[str, Path]:
    """Every module of ours by its full name."""
    return {name_of(path): path for top in (*FOLDERS, FACE) for path in sources(TOP / top)}


def nodes(tree: ast.AST, *, types: bool = True) -> Iterator[ast.AST]:
    """Every node at any depth; with `types=False` those for type checkers are left out."""
    yield tree
    if not types and isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
        return
    for child in ast.iter_child_nodes(tree):
        yield from nodes(child, types=types)


def imported(source: str, package: tuple[str, ...] = (), *, types: bool = True) -> set[str]:
    """Full names of everything that a source imports at any depth, in functions too."""
    found = set()
    for node in nodes(ast.parse(source), types=types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: max(0, len(package) - node.level + 1)] if node.level else ()
            place = ".".join((*above, *([node.module] if node.module else [])))
            found |= {f"{place}.{alias.name}" for alias in node.names}
    return found


def graph(*, types: bool = True) -> dict[str, set[str]]:
    """Which modules of ours each module of ours imports, at any depth."""
    known = modules()
    found = {}
    for name, path in known.items():
        names = imported(path.read_text(), package_of(path), types=types)
        found[name] = {known_part(one, known) for one in names} & known.keys() - {name}
    return found


def known_part(name: str, known: Mapping[str, object]) -> str:
    """The module that an imported name is, or is in."""
    return name if name in known else name.rpartition(".")[0]


def circles(edges: Mapping[str, set[str]]) -> list[set[str]]:
    """Groups of modules that import each other (strongly connected, two or more; Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(edges.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = set(stack[stack.index(name) :])
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(group)

    for name in sorted(edges):
        if name not in index:
            visit(name)
    return found
