"""What the README claims, run."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from program import commands, python, started
from tiny_suites import make_suite_folder

TOP = Path(__file__).parents[2]
README = TOP / "README.md"
TRUST = (TOP / "METHODOLOGY.md", TOP / "SECURITY.md")
PAGES = (README, *TRUST, *sorted((TOP / "docs").glob("*.md")))
OTHERS = {"--wrap", "--gpus", "--flavor"}  # options of sbatch and hf
COMMANDS = (
    "pip install -c constraints.txt -e . && "
    "introspect-bench run --model baseline/zero-shot --split mini",
    "pip install -c constraints.txt -e '.[test]' && pytest",
)


@pytest.fixture(scope="module")
def suite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_suite_folder(tmp_path_factory.mktemp("suites") / "toy")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def test_shows_the_two_commands_word_for_word() -> None:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    assert set(COMMANDS) <= set(lines)


def test_every_option_it_names_is_one() -> None:
    text = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+(?![a-z_])", text))
    params = [p for one in commands().values() for p in one.get_params(click.Context(one))]
    found = {option for param in params for option in param.opts}
    assert len(named) > 20
    assert named - found - OTHERS == set()


def test_names_the_other_work_of_that_name() -> None:
    assert "arXiv:2603.20276 is a different work" in " ".join(README.read_text().split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_local_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / link).is_file(), link


def test_is_short() -> None:
    assert len(README.read_bytes()) <= 12_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_verb_it_names_is_one(page: Path) -> None:
    named = re.findall(
        r"introspect-bench ((?:board |data |ledger )?[a-z][a-z-]+)", page.read_text()
    )
    assert [words for words in named if tuple(words.split()) not in commands()] == []


def test_the_custom_explainer_is_short_and_runs(suite_folder: Path, tmp_path: Path) -> None:
    source = next(block for block in blocks("python") if "class " in block)
    assert len(source.splitlines()) <= 20
    name = re.search(r"# (\w+)\.py", source)
    assert name is not None
    (tmp_path / f"{name[1]}.py").write_text(source)
    command = next(line for block in blocks("bash") for line in block.splitlines() if "py:" in line)
    words = command.split()[1:]
    done = started(*words, "--suite", str(suite_folder), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [done.stdout.count(f"{n} queries answered") for n in (4, 5)] == [1, 1]
    runs = sorted((tmp_path / "runs").glob("*.jsonl"))
    assert len(runs) == 2
    assert '"raw":"changed: ' in runs[0].read_text()


def test_the_python_lines_run(suite_folder: Path, tmp_path: Path) -> None:
    source = next(block for block in blocks("python") if "import introspect_bench" in block)
    adapted = source.replace('split="mini"', f'split="mini", suite={str(suite_folder)!r}')
    adapted = adapted.replace("run.path", f"run.path, suite={str(suite_folder)!r}")
    assert adapted != source
    done = python("-c", adapted, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("'value'") == 2
