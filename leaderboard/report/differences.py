"""What `compare` found as Markdown and LaTeX: shares in per cent, differences in points. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...benchmark.errors import IntegrityError
from ...benchmark.export import latex
from ...benchmark.export.tables import (
    NOTHING,
    NUMBERS,
    TITLES,
    cell,
    clean,
    distinct,
    escape,
    label,
    lines_of,
    shown,
)

CORRECTIONS: Mapping[str, str] = {"holm": "Holm", "bh": "Benjamini-Hochberg"}
"""How a correction is called in a legend."""

Cells = list[list[str]]


def markdown(found: Mapping[str, Any]) -> str:
    """Return what `compare` found as Markdown, two tables a task, ending in a line feed."""
    lines = []
    for task in found["tasks"]:
        lines += [f"### {escape(_title(task))}", ""]
        for (head, *rows), names in ((_runs(task), 1), (_pairs(task), 2)):
            # only the first cells hold a stranger's text
            shown_rows = [[*map(escape, row[:names]), *row[names:]] for row in rows]
            lines += [*lines_of(head, shown_rows, names=names), ""]
    return "\n".join([*lines, _legend(found).replace("*", r"\*")]) + "\n"


def tex(found: Mapping[str, Any]) -> str:
    """Return what `compare` found as LaTeX, two `booktabs` tables a task, ending in a line feed."""
    blocks = []
    for task in found["tasks"]:
        title = _title(task)
        comments = [title] + [f"run {run['body_sha256'] or 'unfinished'}" for run in task["runs"]]
        blocks.append(latex.table(_runs(task), caption=f"{title}.", comments=comments))
        caption = f"{title}: differences. {_legend(found)}"
        blocks.append(latex.table(_pairs(task), caption=caption, comments=[title], names=2))
    return "\n".join(blocks)


def _title(task: Mapping[str, Any]) -> str:
    return f"{clean(task['suite'])} · {clean(task['task'])} {task['version']} · {task['split']}"


def _runs(task: Mapping[str, Any]) -> Cells:
    name = task["metric"]
    rows = [
        [own, str(task["n"]), cell(name, run)]
        for own, run in zip(_labels(task), task["runs"], strict=True)
    ]
    return [["explainer", "queries", TITLES.get(name, name)], *rows]


def _pairs(task: Mapping[str, Any]) -> Cells:
    name, labels = task["metric"], _labels(task)
    test = "McNemar p" if task["pairs"][0]["test"] == "mcnemar" else "permutation p"
    head = ["first", "second", "difference", test, "corrected", "p by groups", "detectable"]
    rows = [head]
    for pair in task["pairs"]:
        least, marks = pair["minimum_detectable"], " *" * bool(pair["significant"])
        ps = [_p(pair[key]) for key in ("p", "p_corrected", "p_permutation_corrected")]
        rows.append(
            [
                *(labels[pair[key]] for key in ("first", "second")),
                _difference(name, pair),
                *(*ps[:2], ps[2] + marks),
                NOTHING if least is None else shown(name, least),
            ]
        )
    return rows


def _labels(task: Mapping[str, Any]) -> list[str]:
    return distinct([label(run) for run in task["runs"]], task["runs"])


def _difference(name: str, pair: Mapping[str, Any]) -> str:
    if pair["difference"] is None:
        return NOTHING
    ends = [_signed(name, end) for end in pair["interval_95"] or ()]
    return _signed(name, pair["difference"]) + (f" [{', '.join(ends)}]" if ends else "")


def _signed(name: str, value: float) -> str:
    text = shown(name, value)
    return text if float(text) <= 0 else f"+{text}"


def _p(value: float | None) -> str:
    if value is None:
        return NOTHING
    if not 0 <= value <= 1:
        raise IntegrityError(f"a p value is {value!r}, expected 0 to 1; compare the runs again")
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _legend(found: Mapping[str, Any]) -> str:
    shares = any(task["metric"] not in NUMBERS for task in found["tasks"])
    unit = "groups of queries" if found["cluster"] == "auto" else "queries"
    classes = [sorted({run["access"] for run in task["runs"]}) for task in found["tasks"]]
    apart = sorted({name for names in classes if len(names) > 1 for name in names})
    sentences = [
        "Shares in per cent, their differences in points." if shares else "",
        f"Differences are first minus second on the same queries, with 95 % intervals (bootstrap "
        f"over {unit}).",
        "McNemar's exact test takes queries as independent, which those of a group are not; the p "
        "by groups swaps whole groups, and * marks what it finds significant at 5 %. Both are "
        f"corrected over all pairs of all tasks ({CORRECTIONS[found['correction']]}).",
        "Detectable is the least true difference that so many queries show with 80 % power.",
        "Exploratory: on the queries that all runs answer." if found["common"] else "",
        f"No equals: runs come by their answers in different ways ({', '.join(apart)})."
        if apart
        else "",
        "† oracle. ‡ a control: vectors withheld or shuffled.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)
