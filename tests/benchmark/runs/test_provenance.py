from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import introspect_bench
from introspect_bench.benchmark.runs import provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_environment_is_an_allow_list() -> None:
    found = provenance.environment(device="cpu")
    assert found.keys() == {"python", "system", "machine", "device", *provenance.LIBRARIES}
    assert found["python"] == platform.python_version()
    assert found["device"] == "cpu"
    assert found["numpy"]
    assert platform.node() not in found.values()


def test_environment_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from introspect_bench.benchmark.evaluation import predict\n"
        "from introspect_bench.benchmark.runs import provenance\n"
        "from introspect_bench.benchmark.scoring import grade\n"
        "provenance.environment()\n"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_commit_and_dirty_of_a_work_tree(tmp_path: Path) -> None:
    file = tmp_path / "__init__.py"
    file.write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    assert provenance.package(tmp_path)["commit"] is None  # nothing committed yet
    git(tmp_path, "commit", "-qm", "x")
    head = git(tmp_path, "rev-parse", "HEAD")
    expected = {"name": "introspect-bench", "version": introspect_bench.__version__}
    assert provenance.package(tmp_path) == expected | {"commit": head, "dirty": False}
    file.write_text("changed = True")
    assert provenance.package(tmp_path)["dirty"] is True


def test_somebody_elses_commit_is_not_ours(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "theirs.txt").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "x")
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "__init__.py").write_text("")
    found = provenance.package(installed)
    assert (found["commit"], found["dirty"]) == (None, None)
