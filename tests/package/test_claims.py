"""No text says that two explainers differ where the corrected p does not tell them apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from claims import problems, tables

TOP = Path(__file__).parents[2]
PAGE = """# Results

| task | metric | explainer | minus | because | difference | p (Holm) | told apart |
| --- | --- | --- | --- | --- | ---: | ---: | --- |
| patching | exact match | org/self | org/blind | blind | +9.0 [+1.0, +17.0] | 0.061 | no |
| patching | exact match | org/self | org/gemma | other | +20.1 [+9, +31] | < 0.001 | yes, higher |
"""
"""The first pair is not told apart, although its interval alone would do it."""


def read(name: str) -> str:
    return (TOP / name).read_text() if (TOP / name).is_file() else ""


def test_readme_and_results_tell_nobody_apart_whom_the_p_does_not() -> None:
    assert problems(read("RESULTS.md"), read("README.md")) == []


@pytest.mark.parametrize(
    "text",
    [
        "`self` scores higher than `blind`.",
        "With vectors `self` is better: of this, +9.0 [+1.0, +17.0] is their worth.",
        "| a | here | replicates |\n| --- | --- | --- |\n| x | org/self minus org/blind | yes |",
        "| explainer | to self |\n| --- | --- |\n| self, blind | +9.0 * |\n| other | 1 |",
    ],
)
def test_a_text_that_does_is_found(text: str) -> None:
    assert problems(PAGE) == []
    assert len(problems(PAGE, text)) == 1
    assert len(problems(f"{PAGE}\n{text}\n")) == 1


def test_of_two_metrics_only_the_one_that_is_told_apart_may_be_claimed() -> None:
    row = "| patching | content | org/self | org/blind | blind | +19.0 [+11, +27] | 0.002 | yes |"
    page = f"{PAGE}{row}\n"
    assert problems(page, "`self` is better than `blind` by +19.0 [+11, +27].") == []
    assert len(problems(page, "`self` is better than `blind`.")) == 1
    assert len(problems(page, "`self` is better than `blind` by +9.0 [+1.0, +17.0].")) == 1


def test_a_table_that_contradicts_its_own_p_is_found() -> None:
    row = "| 0.061 | no |"
    assert len(problems(PAGE.replace(row, "| 0.061 | yes, higher |"))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "`self` scores higher than `gemma`.",
        "`self` and `blind` are not told apart, higher though the first one is.",
        "`smollm2-self` scores higher than `blind`.",
        "`self` is trained as `blind` is.",
    ],
)
def test_what_may_be_said_is_not_found(text: str) -> None:
    assert problems(PAGE, text) == []


def test_tables_are_read() -> None:
    (table,) = tables(PAGE)
    assert [len(row) for row in table] == [8, 8, 8]
