"""The package's layout: layers, no circles, no bare imports, nothing ignored, small modules.

Each rule has a control that shows the rule failing.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from import_graph import (
    FACE,
    FOLDERS,
    NAME,
    TOP,
    circles,
    graph,
    imported,
    known_part,
    modules,
    package_of,
    sources,
)
from pathspec import GitIgnoreSpec

MAY_IMPORT = {
    "benchmark": set(),
    "tasks": {"benchmark"},
    "baselines": {"benchmark", "tasks"},
    "leaderboard": {"benchmark"},
}
"""Which folders a folder may import, besides itself; what is in `src` may import all."""
HEAVY = {"torch", "transformers", "nnsight", "peft", "accelerate", "gguf", "datasets", "lm_eval"}
HEAVY.add("inspect_ai")
"""Imported only in `benchmark/backends`, also inside functions."""
BUILD = "build"
"""Folders of modules that measure a target, imported only to make suites."""


def shown(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


def test_the_real_ignore_file_ignores_no_data() -> None:
    ignored = GitIgnoreSpec.from_lines((TOP / ".gitignore").read_text().splitlines())
    names = [
        path.relative_to(TOP).as_posix()
        for folder in FOLDERS
        for path in (TOP / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert "tasks/facts/wikidata_facts.jsonl" in names
    assert [name for name in names if ignored.match_file(name)] == []


def bare(source: str, package: tuple[str, ...] = ()) -> set[str]:
    """Imports of a folder by its bare name, which is a second copy of every class."""
    return {name for name in imported(source, package) if name.split(".")[0] in FOLDERS}


def backward(folder: str, source: str, package: tuple[str, ...] = ()) -> set[str]:
    """Imports of ours that a folder must not have."""
    found = set()
    for name in imported(source, package):
        first, _, rest = name.partition(".")
        if first == NAME and rest.split(".")[0] not in MAY_IMPORT[folder] | {folder}:
            found.add(name)
    return found


def heavy(source: str) -> set[str]:
    """Heavy packages that a module imports, but for type checkers."""
    return {name for name in imported(source, types=False) if name.split(".")[0] in HEAVY}


@pytest.mark.parametrize(
    "path", [p for f in (*FOLDERS, "src", "tests") for p in sources(TOP / f)], ids=shown
)
def test_no_bare_imports(path: Path) -> None:
    assert bare(path.read_text(), package_of(path)) == set()


@pytest.mark.parametrize("line", ["import benchmark.records", "from tasks import x"])
def test_a_bare_import_is_seen(line: str) -> None:
    assert bare(f"def f():\n    {line}")


def test_the_package_imports_itself_by_relative_names() -> None:
    found = {
        name: [one for one in imported(path.read_text()) if one.split(".")[0] == NAME]
        for name, path in modules().items()
    }
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_go_one_way(folder: str) -> None:
    found = {
        shown(path): backward(folder, path.read_text(), package_of(path))
        for path in sources(TOP / folder)
    }
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("benchmark", "from introspect_bench.tasks import TASKS"),
        ("benchmark", "from ..baselines import specs"),
        ("benchmark", "from .. import baselines"),
        ("tasks", "import introspect_bench.baselines.constant"),
        ("leaderboard", "from ..tasks import TASKS"),
        ("baselines", "from ..api import run"),
        ("baselines", "from .. import __version__"),
    ],
)
def test_a_backward_import_is_seen(folder: str, line: str) -> None:
    assert backward(folder, f"def f():\n    {line}", (NAME, folder))


def test_no_imports_in_a_circle() -> None:
    assert circles(graph(types=False)) == []


def test_a_circle_is_seen() -> None:
    lines = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set[str]()}
    assert circles(lines) == [{"b", "c"}]
    known = {"p": None, "p.a": None, "p.b": None}
    assert known_part("p.a.name", known) == "p.a"
    late = imported("def f():\n    from . import b\n    from .a import name", ("p",))
    assert {known_part(one, known) for one in late} == {"p.a", "p.b"}


def test_mypy_meets_every_module() -> None:
    """It follows imports from `src` and the tests into the four folders."""
    known, edges = modules(), graph()
    todo = [name for name, path in known.items() if path.is_relative_to(TOP / FACE)]
    for path in sources(TOP / "tests"):
        todo += [known_part(one, known) for one in imported(path.read_text())]
    met: set[str] = set()
    while todo:
        name = todo.pop()
        if name in known and name not in met:
            met.add(name)
            todo += [*edges[name], name.rpartition(".")[0]]
    assert known.keys() - met == set()


def test_scripts_find_the_helpers_that_they_import() -> None:
    helpers = {path.stem for path in sources(TOP / "tests" / "helpers")}
    for path in sources(TOP / "tests" / "speed"):
        if {name.split(".")[0] for name in imported(path.read_text())} & helpers:
            assert 'parents[1] / "helpers"' in path.read_text(), path


def test_heavy_packages_are_imported_in_backends_only() -> None:
    found = {}
    for folder in (*FOLDERS, "src"):
        for path in sources(TOP / folder):
            exempt = {"backends", BUILD} & {*path.parts}
            if not exempt and (names := heavy(path.read_text())):
                found[str(path)] = names
    assert found == {}


def test_a_heavy_import_is_seen() -> None:
    assert heavy("from torch import nn") == {"torch.nn"}
    assert heavy("def f():\n    import torch") == {"torch"}
    assert heavy("if TYPE_CHECKING:\n    import torch") == set()


@pytest.mark.parametrize(
    "path", [p for f in (*FOLDERS, "src", "tests") for p in sources(TOP / f)], ids=shown
)
def test_modules_and_functions_stay_small(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 300
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            start = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node
            assert (node.end_lineno or 0) - start.lineno < 50, node.name
