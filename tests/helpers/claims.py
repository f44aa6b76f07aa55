"""Finds where a page, or a text about it, tells two explainers apart that a corrected p does not.

Reads whatever tables of differences a Markdown page holds: those with a column `told apart`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

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
