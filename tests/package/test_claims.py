"""No text says that two explainers differ where the corrected p does not tell them apart.

Reads whatever tables of differences a Markdown page holds: those with a column `told apart`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGE = """# Results

| task | metric | explainer | minus | because | difference | p (Holm) | told apart |
| --- | --- | --- | --- | --- | ---: | ---: | --- |
| patching | exact match | org/self | org/blind | blind | +9.0 [+1.0, +17.0] | 0.061 | no |
| patching | exact match | org/self | org/gemma | other | +20.1 [+9, +31] | < 0.001 | yes, higher |
"""
"""The first pair is not told apart, although its interval alone would do it."""


LEVEL = 0.05
CLAIMS = re.compile(
    r"\b(higher|lower|better|worse|beats?|beaten|above|below|exceeds?|outperforms?|gains?|loses?|"
    r"worth|more|fewer|improves?|significant(?:ly)?|replicates?|yes)\b|\*(?=\s|$|\|)",
    re.IGNORECASE,
)
"""Words that tell two apart, and the star."""
DENIALS = re.compile(
    r"\b(not told apart|not tell|n't tell|no difference|level with|not significant|not shown|"
    r"as the control|cannot say)\b",
    re.IGNORECASE,
)
"""Words that say that nothing tells them apart."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two explainers that a page does not tell apart on a metric of a task."""

    task: str
    first: str
    second: str
    difference: str

    def is_meant(self, text: str) -> bool:
        """Whether a text names both, or quotes their difference."""
        names = all(re.search(rf"(?<![\w-]){re.escape(n)}(?![\w-])", text) for n in self.names())
        return names or (len(self.difference) > 4 and self.difference in text)

    def names(self) -> tuple[str, str]:
        """Both names, without who submitted them."""
        return self.first.rpartition("/")[2], self.second.rpartition("/")[2]


def tables(page: str) -> Iterator[list[list[str]]]:
    """Yield every Markdown table: its cells, head first."""
    for block in re.split(r"\n(?!\|)", page):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        if len(lines) > 2:
            cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
            yield [cells[0], *cells[2:]]


def problems(page: str, *texts: str) -> list[str]:
    """Return every sentence and row that tells apart what the page's corrected p does not.

    Args:
        page: a page with tables of differences.
        texts: others that speak of the same explainers.
    """
    page, *others = (text.replace("\N{MINUS SIGN}", "-") for text in (page, *texts))
    found: list[str] = []
    alike: list[Pair] = []
    apart: list[Pair] = []
    for head, *rows in tables(page):
        if "told apart" not in head:
            continue
        for row in rows:
            said = dict(zip(head, row, strict=False))
            first = head.index("explainer")
            pair = Pair(
                task=said["task"],
                first=row[first],
                second=row[first + 1],
                difference=said["difference"],
            )
            if float(said["p (Holm)"].lstrip("< ")) < LEVEL:
                apart.append(pair)
                continue
            alike.append(pair)
            found += [" | ".join(row)] if said["told apart"] != "no" else []
    for text in (page, *others):
        for sentence in sentences(text):
            # a difference of the same two that the p does tell apart may be quoted
            quoted = [pair.names() for pair in apart if pair.difference in sentence]
            meant = [
                pair
                for pair in alike
                if pair.is_meant(sentence)
                and (pair.names() not in quoted or pair.difference in sentence)
            ]
            if meant and CLAIMS.search(sentence) and not DENIALS.search(sentence):
                found.append(sentence)
    return found


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text, and the rows of tables that tell nobody apart by a p."""
    for block in re.split(r"\n\s*\n", text):
        lines = block.splitlines()
        if lines and lines[0].startswith("|"):
            if "told apart" not in lines[0]:
                yield from lines[2:]
        else:
            yield from re.split(r"(?<=[.;:!?])\s+", " ".join(lines))


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
