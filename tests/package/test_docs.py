"""Every block of code in the documentation runs, on a small suite where it names none.

A command that would take long, or is of another program, must be read without an error; where it
is run instead stands beside it here.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from program import commands
from tiny_suites import make_suite_folder

import introspect_bench as ib
from introspect_bench.__main__ import main

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md"))
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"\.\.\.|RUN|OWNER|NAME")  # what a reader puts something else for
PROGRAMS = {
    "pip": "the README's commands, by .ci/run",
    "lm_eval": "tests/benchmark/export",
    "inspect": ".ci/extras",
    "torchrun": "tests/benchmark/test_team.py",
    "sbatch": "nowhere: there is no cluster",
    "hf": "nowhere: there is no hub",
    "docker": "nowhere: there is no daemon",
    "python": "tests of the script",
    "export": "a variable",
    "gh": "nowhere: there is no account",
}
"""Other programs, and where what they do is tried."""
LONG = {
    ("train",): "tests/benchmark/backends/training",
    ("doctor",): "tests/cli/test_calculator.py",
    ("data", "make"): "tests/tasks/build",
    ("data", "nulls"): "tests/cli/test_verify.py",
    ("data", "verify"): "tests/cli/test_suites.py",
    ("data", "import"): "tests/tasks/paper",
    ("board", "report"): "tests/cli/test_report.py",
    ("board", "scaling"): "tests/cli/test_scaling.py",
    ("import-run",): "tests/cli/test_paper_protocol_runs.py",
    ("judge",): "tests/cli/test_descriptions.py",
}
"""Verbs that take minutes or need a model, and where they are run."""
MODELS = ("baseline/constant", "py:")
"""Beginnings of names of explainers that answer at once."""


def lines(page: str) -> Iterator[list[str]]:
    for _, language, text in BLOCK.findall((DOCS / page).read_text()):
        if language in ("bash", "sh", ""):
            for line in text.replace("\\\n", " ").splitlines():
                if words := shlex.split(line, comments=True):
                    yield words


def find(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words name, and its arguments."""
    n = max(n for n in range(len(words) + 1) if tuple(words[:n]) in commands())
    assert n or words[0] == "--help", words
    return commands()[tuple(words[:n])], words[n:]


def takes_long(words: list[str], options: dict[str, Any]) -> bool:
    model = str(options.get("model") or "")
    return any(tuple(words[: len(verb)]) == verb for verb in LONG) or (
        words[0] in ("run", "recheck") and not model.startswith(MODELS)
    )


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_suite_folder(tmp_path_factory.mktemp("suites") / "toy")


@pytest.fixture
def place(suites: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    shutil.copytree(suites, tmp_path / "toy")
    shutil.copytree(suites, tmp_path / "suites" / "smollm2-135m")  # what `data make` would write
    return tmp_path


def save_files(page: str) -> None:
    """Write the files that a page asks its reader to save."""
    text = (DOCS / page).read_text()
    for name, block in re.findall(r"[Ss]ave this as\s+`([\w.]+)`[^`]*```\w+\n(.*?)```", text, re.S):
        Path(name).write_text(block)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs_or_is_read(
    page: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    save_files(page)
    shutil.copytree(DOCS.parent / "submissions", place / "submissions", dirs_exist_ok=True)
    for words in lines(page):
        if words[0] != "introspect-bench":
            assert words[0] in PROGRAMS, words
            continue
        command, rest = find(words[1:])
        if "--help" in rest:
            continue
        context = command.make_context(command.name, list(rest), resilient_parsing=True)
        unread = [word for word in context.args if word.startswith("-")]
        assert unread == [], words
        if takes_long(words[1:], context.params) or any(PLACEHOLDER.search(word) for word in rest):
            continue
        own = [] if "submissions" in rest else ["--suite", str(place / "toy")]
        takes_suite = any(param.name == "suite" for param in command.params)
        more = own if takes_suite and "--suite" not in rest else []
        code = main([*words[1:], *more])
        assert code == 0, (words, capfd.readouterr().err)


@pytest.mark.parametrize("page", PAGES)
def test_every_python_block_runs(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = str(place / "toy")
    for name in ("run", "score_all", "show", "data_split", "score"):
        verb = getattr(ib, name)
        monkeypatch.setattr(
            ib, name, lambda *a, verb=verb, **k: verb(*a, **{"suite": toy, **k}), raising=False
        )
    names: dict[str, Any] = {"MyExplainer": Always}
    for _, language, text in BLOCK.findall((DOCS / page).read_text()):
        if language == "python":
            exec(compile(text, page, "exec"), names)


@pytest.mark.usefixtures("place")
def test_the_notebook_runs_and_shows_what_it_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cells in order, on the real suite; what they print is what stands in the file."""
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    cells = json.loads((DOCS / "notebooks" / "first-look.ipynb").read_text())["cells"]
    names: dict[str, Any] = {}
    printed, figures = "", 0
    monkeypatch.setattr(plt, "show", lambda: None)
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        exec(compile("".join(cell["source"]), "notebook", "exec"), names)
        for output in cell["outputs"]:
            printed += "".join(output["text"]) if output.get("name") == "stdout" else ""
            figures += "image/png" in output.get("data", {})
    assert capsys.readouterr().out == printed != ""
    assert figures == len(plt.get_fignums()) == 1
    plt.close("all")


class Always:
    """An explainer of the reader's own."""

    def complete(self, prompts: list[Any]) -> list[str]:
        return ["unchanged: A"] * len(prompts)
