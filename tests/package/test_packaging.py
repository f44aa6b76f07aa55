"""The package is the same however it is checked out and built.

Everything is built from a clone made as a machine makes it that has no symbolic links and writes
carriage returns: `core.symlinks=false`, `core.autocrlf=true`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from import_graph import FACE, FOLDERS, NAME, TOP
from scratch_git import QUIET

FILES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "CHANGELOG.md")
MORE = ("constraints.txt", ".gitignore", ".gitattributes")
FOREIGN = ("-c", "core.autocrlf=true", "-c", "core.symlinks=false")
BUILD_EDITABLE = "import sys, hatchling.build as b; b.build_editable(sys.argv[1])"


def done(*words: str, cwd: Path, **more: str) -> str:
    """Run a program that must end well; returns what it printed."""
    return subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, **QUIET, **more},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def copied(tree: Path) -> Path:
    """Copy what the repository tracks of the package and its tests."""
    tree.mkdir()
    for name in (*FOLDERS, "src", "tests", "submissions"):
        shutil.copytree(TOP / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*FILES, *MORE):
        shutil.copy(TOP / name, tree / name)
    return tree


def cloned(tree: Path, where: Path) -> Path:
    """Commit a tree and clone it as such a machine does."""
    done("git", "init", "-q", cwd=tree)
    done("git", "add", "--all", cwd=tree)
    done("git", "commit", "-q", "-m", "x", cwd=tree)
    done("git", "clone", "-q", *FOREIGN, str(tree), str(where), cwd=tree)
    return where


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("packaging") / "tree")


@pytest.fixture(scope="module")
def clone(tree: Path) -> Path:
    return cloned(tree, tree.with_name("clone"))


@pytest.fixture(scope="module")
def built(tree: Path) -> Path:
    """Folder of the sdist of the tree and the wheel made from that."""
    out = tree.with_name("built")
    done(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), cwd=tree)
    return out


def contents(tree: Path, paths: list[str]) -> dict[str, str]:
    return {path: hashlib.sha256((tree / path).read_bytes()).hexdigest() for path in paths}


def in_wheel(out: Path) -> dict[str, str]:
    """Hash by name of everything in the wheel that was built."""
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith("/")
        }


def in_folders(tree: Path) -> dict[str, str]:
    """The package's files as a wheel should hold them."""
    found = {}
    for folder in (*(tree / name for name in FOLDERS), tree / FACE):
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(folder.parent).as_posix()
                whole = name if name.startswith(NAME) else f"{NAME}/{name}"
                found[whole] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_nothing_that_is_tracked_is_a_link(clone: Path) -> None:
    modes = {line.split()[0] for line in done("git", "ls-files", "-s", cwd=clone).splitlines()}
    assert modes <= {"100644", "100755"}


def test_such_a_clone_holds_the_same_bytes(tree: Path, clone: Path) -> None:
    paths = done("git", "ls-files", "-z", cwd=tree).split("\0")[:-1]
    assert "tasks/suites/SHA256SUMS" in paths
    assert contents(clone, paths) == contents(tree, paths)


def test_without_attributes_a_clone_holds_other_bytes(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.jsonl").write_bytes(b"{}\n")
    clone = cloned(tmp_path / "tree", tmp_path / "clone")
    assert (clone / "a.jsonl").read_bytes() == b"{}\r\n"


def test_such_a_clone_runs_and_its_suites_and_submissions_are_sound(clone: Path) -> None:
    source = {"PYTHONPATH": str(clone / "src")}
    program = (sys.executable, "-m", NAME)
    place = f"import {NAME}.tasks as t; print(t.__file__)"
    found = done(sys.executable, "-c", place, cwd=clone, **source)
    assert Path(found.strip()) == clone / "tasks" / "__init__.py"
    assert "ok" in done(*program, "data", "verify", cwd=clone, **source)
    done(*program, "validate", "submissions", cwd=clone, **source)
    # the folder of a test, not the tests of this one, which would not end
    test = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/benchmark/test_files.py")
    assert "passed" in done(sys.executable, *test, cwd=clone, **source)


def test_the_wheel_by_way_of_the_sdist_holds_exactly_the_folders(tree: Path, built: Path) -> None:
    found = {name: sha for name, sha in in_wheel(built).items() if ".dist-info/" not in name}
    assert f"{NAME}/benchmark/records.py" in found
    assert found == in_folders(tree)


def test_the_clone_gives_the_same_wheel(clone: Path, built: Path) -> None:
    out = clone.with_name("again")
    words = ("-m", "build", "--no-isolation", "--wheel", "--outdir", str(out))
    done(sys.executable, *words, cwd=clone)
    assert in_wheel(out) == in_wheel(built)


def test_the_sdist_holds_files_alone_and_what_a_build_needs(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    assert not [member.name for member in members if member.issym() or member.islnk()]
    names = {member.name.partition("/")[2] for member in members}
    assert {*FILES, "benchmark/records.py", f"{FACE}/__init__.py"} <= names


def test_an_unpacked_wheel_needs_no_checkout(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.endswith(".py")])
    code = f"import {NAME} as ib; print(len(ib.__path__), ib.__version__)"
    found = done(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert found.split()[0] == "1"
    assert wheel.name.startswith(f"introspect_bench-{found.split()[1]}-")


def test_an_editable_install_leads_to_the_checkout(clone: Path, tmp_path: Path) -> None:
    done(sys.executable, "-c", BUILD_EDITABLE, str(tmp_path), cwd=clone)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".py")]
        archive.extractall(tmp_path / "site")
    code = (
        f"import site; site.addsitedir({str(tmp_path / 'site')!r})\n"
        f"from {NAME}.benchmark import files\nprint(files.__file__)"
    )
    found = done(sys.executable, "-I", "-S", "-c", code, cwd=tmp_path)
    assert Path(found.strip()) == clone / "benchmark" / "files.py"


@pytest.mark.parametrize("what", ["--wheel", "--sdist"])
def test_a_tree_without_a_folder_is_not_built(what: str, tmp_path: Path) -> None:
    for name in (*FOLDERS[:-1], FACE):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "benchmark" / "_version.py").write_text('__version__ = "1"')
    for name in FILES:
        shutil.copy(TOP / name, tmp_path / name)
    words = [sys.executable, "-m", "build", "--no-isolation", what]
    failed = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert failed.returncode != 0
    assert "leaderboard/__init__.py is missing" in failed.stdout + failed.stderr
    (tmp_path / "leaderboard").mkdir()
    (tmp_path / "leaderboard" / "__init__.py").write_text("")
    done(*words, cwd=tmp_path)
