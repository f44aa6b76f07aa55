"""The package's layout: four links, nothing lost in a wheel, no bare and no backward imports.

Each rule has a control that shows the rule failing.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from pathspec import GitIgnoreSpec

TOP = Path(__file__).parents[2]
FOLDERS = ("benchmark", "tasks", "baselines", "leaderboard")
MAY_IMPORT = {
    "benchmark": set(),
    "tasks": {"benchmark"},
    "baselines": {"benchmark", "tasks"},
    "leaderboard": {"benchmark"},
}
"""Which folders a folder may import, besides itself and the bare package (its version)."""
HEAVY = {"torch", "transformers", "nnsight", "peft", "accelerate", "gguf", "datasets"}
"""Imported only in `benchmark/backends`, also inside functions."""
BUILD = "build"
"""Folders of modules that measure a target, imported only to make suites."""


def relative(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


def sources(folder: Path) -> Iterator[Path]:
    """Source files of a folder; links are not followed."""
    return (path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts)


def copy_checkout(where: Path) -> Path:
    """Copy what a clone holds, links as links, without the suites' bulk."""
    skip = shutil.ignore_patterns("__pycache__", "suites", "wikidata_facts.jsonl")
    where.mkdir()
    for name in (*FOLDERS, "src"):
        shutil.copytree(TOP / name, where / name, symlinks=True, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(TOP / name, where / name)
    # data files of the kinds that a task ships, so that their way into the wheel is tested
    data = where / "tasks" / "toy_task"
    (data / "suites").mkdir(parents=True)
    for name in ("a.jsonl", "b.safetensors", "c.jinja", "README.md", "suites/d.json"):
        (data / name).write_text("data")
    (data / "__init__.py").write_text('"""A new task."""\n')
    return where


def build(checkout: Path, *what: str) -> Path:
    """Build without fetching anything; returns the folder of what was built."""
    out = checkout / "built"
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *what, "--outdir", str(out), "."],
        cwd=checkout,
        check=True,
        capture_output=True,
    )
    return out


def in_wheel(out: Path) -> set[str]:
    """Files of the package in the built wheel."""
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    return {name for name in names if ".dist-info/" not in name}


def in_folders(checkout: Path) -> set[str]:
    """The same as it should be, from the folders."""
    found = set()
    for folder in (*(checkout / name for name in FOLDERS), checkout / "src" / "introspect_bench"):
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(folder.parent).as_posix()
                found.add(
                    name if name.startswith("introspect_bench/") else f"introspect_bench/{name}"
                )
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with its sdist and the wheel made from that."""
    checkout = copy_checkout(tmp_path_factory.mktemp("layout") / "checkout")
    build(checkout)  # an sdist, and a wheel from the sdist
    return checkout


def test_wheel_by_way_of_sdist_holds_exactly_the_folders(built: Path) -> None:
    expected = in_folders(built)
    assert "introspect_bench/tasks/toy_task/b.safetensors" in expected
    assert "introspect_bench/benchmark/records.py" in expected
    assert in_wheel(built / "built") == expected


def test_sdist_holds_files_not_links(built: Path) -> None:
    (sdist,) = (built / "built").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert not [member.name for member in members if member.issym() or member.islnk()]
    names = {member.name.partition("/")[2] for member in members}
    assert {"pyproject.toml", "README.md", "LICENSE"} <= names
    assert "src/introspect_bench/benchmark/records.py" in names


def test_a_missing_link_shows_in_the_wheel(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    (checkout / "src" / "introspect_bench" / "leaderboard").unlink()
    missing = in_folders(checkout) - in_wheel(build(checkout, "--wheel"))
    assert missing
    assert all(name.startswith("introspect_bench/leaderboard/") for name in missing)


def test_an_ignored_pattern_shows_in_the_wheel(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    with (checkout / ".gitignore").open("a") as stream:
        stream.write("a.jsonl\n")
    missing = in_folders(checkout) - in_wheel(build(checkout, "--wheel"))
    assert missing == {"introspect_bench/tasks/toy_task/a.jsonl"}


def test_without_only_include_the_sdist_loses_the_folders(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    settings = checkout / "pyproject.toml"
    text = settings.read_text()
    settings.write_text(text.replace("only-include", "# only-include"))
    assert settings.read_text() != text
    missing = in_folders(checkout) - in_wheel(build(checkout))
    assert "introspect_bench/benchmark/records.py" in missing


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


def imported(source: str) -> set[str]:
    """Full names of everything a source imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def bare(source: str) -> set[str]:
    """Imports of a folder by its bare name."""
    return {name for name in imported(source) if name.split(".")[0] in FOLDERS}


def backward(folder: str, source: str) -> set[str]:
    """Imports of ours that a folder must not have."""
    found = set()
    for name in imported(source):
        package, _, rest = name.partition(".")
        part = rest.split(".")[0]
        allowed = MAY_IMPORT[folder] | {folder, "", "__version__"}
        if package == "introspect_bench" and part not in allowed:
            found.add(name)
    return found


def statements(tree: ast.Module) -> Iterable[ast.stmt]:
    """The statements of a module, without those for type checkers only."""
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node


def heavy(source: str) -> set[str]:
    """Heavy packages that a module imports."""
    found = set()
    for node in statements(ast.parse(source)):
        for name in imported(ast.unparse(node)):
            if name.split(".")[0] in HEAVY:
                found.add(name)
    return found


@pytest.mark.parametrize(
    "path", [p for f in (*FOLDERS, "src", "tests") for p in sources(TOP / f)], ids=relative
)
def test_no_bare_imports(path: Path) -> None:
    assert bare(path.read_text()) == set()


@pytest.mark.parametrize("line", ["import benchmark.records", "from tasks import x"])
def test_a_bare_import_is_seen(line: str) -> None:
    assert bare(f"def f():\n    {line}")


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_go_one_way(folder: str) -> None:
    found = {str(path): backward(folder, path.read_text()) for path in sources(TOP / folder)}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("benchmark", "from introspect_bench.tasks import TASKS"),
        ("benchmark", "from introspect_bench import baselines"),
        ("tasks", "import introspect_bench.baselines.constant"),
        ("leaderboard", "from introspect_bench.tasks import TASKS"),
        ("baselines", "from introspect_bench.api import run"),
    ],
)
def test_a_backward_import_is_seen(folder: str, line: str) -> None:
    assert backward(folder, f"def f():\n    {line}")


def test_heavy_packages_are_imported_in_backends_only() -> None:
    found = {}
    for folder in (*FOLDERS, "src"):
        for path in sources(TOP / folder):
            exempt = "backends" in path.parts or BUILD in path.parts
            if not exempt and (names := heavy(path.read_text())):
                found[str(path)] = names
    assert found == {}


def test_a_heavy_import_is_seen() -> None:
    assert heavy("from torch import nn") == {"torch.nn"}
    assert heavy("def f():\n    import torch") == {"torch"}
    assert heavy("if TYPE_CHECKING:\n    import torch") == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_links_are_links_to_the_folders(folder: str) -> None:
    link = TOP / "src" / "introspect_bench" / folder
    assert link.is_symlink()
    assert link.resolve() == TOP / folder
    assert not link.readlink().is_absolute()


def test_a_checkout_without_links_is_explained_in_one_sentence(tmp_path: Path) -> None:
    shutil.copytree(
        TOP / "src", tmp_path / "src", symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    link = tmp_path / "src" / "introspect_bench" / "benchmark"
    target = link.readlink()
    link.unlink()
    link.write_text(str(target))  # what git writes where it may not make links
    done = subprocess.run(
        [sys.executable, "-m", "introspect_bench", "--version"],
        cwd=tmp_path / "src",
        env={"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "git config core.symlinks true && git checkout -- src" in done.stderr


@pytest.mark.parametrize(
    "path", [p for f in (*FOLDERS, "src", "tests") for p in sources(TOP / f)], ids=relative
)
def test_modules_and_functions_stay_small(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 300
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            start = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node
            assert (node.end_lineno or 0) - start.lineno < 50, node.name
