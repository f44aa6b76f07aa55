"""Results to tables: Markdown, plain text, LaTeX, and the place of a table in a page.

Each access class has tables of its own. A name was chosen by a stranger: it can neither format a
page nor steer a terminal. Oracles, and runs that do not answer the whole split, are marked and come
last.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from .. import files
from ..errors import IntegrityError
from ..records import ACCESS
from . import latex

# Column titles; a metric without one keeps its name
TITLES: Mapping[str, str] = {
    "exact_match": "exact match",
    "content_match": "content match",
    "balanced_exact_match": "balanced exact match",
    "exact_match_changed": "exact, changed",
    "exact_match_unchanged": "exact, unchanged",
    "content_match_changed": "content, changed",
    "which_accuracy": "which",
    "kind_mean": "mean of kinds",
    "has_changed_macro_f1": "has-changed macro-F1",
    "group_consistency": "group consistency",
    "verdict_accuracy": "verdict accuracy",
    "matched_auroc": "matched AUROC",
    "weighted_r": "weighted r",
    "auprc": "average precision",
}
NUMBERS = frozenset({"matched_auroc", "weighted_r", "auprc"})  # No shares of queries


def title(metric: str) -> str:
    """Return a metric's name for people."""
    return TITLES.get(metric, metric.replace("_", " "))


ORACLE = "oracle"
# What the marks mean
LEGEND = (
    "Shares in per cent, correlations and the like as numbers, with 95 % intervals (bootstrap over "
    "groups). † oracle: told something "
    "a contestant is not. ‡ a control: vectors withheld or shuffled. * not all queries of the "
    "split are answered."
)

DRAFT = "Draft: this suite is not frozen; its scores count nowhere and cannot be submitted."

NOTHING = "\N{EN DASH}"

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~&:])")
_MAX_NAME = 60

Cells = list[list[str]]


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """Return one Markdown table for each task and split, with a legend, ending in a line feed."""
    blocks, above = [], ([""], [""])
    for title, cells, notes in _tables(results):
        # Only the first cell holds a stranger's text.
        rows = [[escape(row[0]), *row[1:]] for row in cells[1:]]
        lines = [f"### {escape(title)}", "", *lines_of(cells[0], rows)]
        said = (title.split(" · ")[:3], notes)
        if notes:
            lines += ["", *(["Notes as above."] if said == above else notes)]
        blocks.append("\n".join(lines))
        above = said
    return "\n\n".join([*blocks, LEGEND.replace("*", r"\*")]) + "\n"


def plain(results: Sequence[Mapping[str, Any]]) -> str:
    """Return one aligned text table for each task and split, with a legend."""
    blocks = []
    for title, cells, notes in _tables(results):
        widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
        lines = [title]
        for first, *rest in cells:
            numbers = map(str.rjust, rest, widths[1:])
            lines.append("  ".join([first.ljust(widths[0]), *numbers]).rstrip())
        blocks.append("\n".join([*lines, *notes]))
    return "\n\n".join([*blocks, LEGEND]) + "\n"


def tex(results: Sequence[Mapping[str, Any]], comments: Sequence[str] = ()) -> str:
    """Return one LaTeX table for each task and split; `comments` are lines above each."""
    return "\n".join(
        latex.table(cells, caption=" ".join([f"{title}.", *notes, LEGEND]), comments=comments)
        for title, cells, notes in _tables(results)
    )


def _tables(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, Cells, list[str]]]:
    """Return title, cells and notes of every table; cells begin with the head."""
    tables = []
    ordered = sorted(results, key=_place)
    for key, members in groupby(ordered, key=_table_key):
        rows = list(members)
        names = rows[0]["metrics"]
        if any(row["metrics"] != names for row in rows):
            raise IntegrityError(f"results of {key} have different metrics; score them again")
        head = ["explainer", "queries", "no answer", *(TITLES.get(name, name) for name in names)]
        labels = distinct([label(row["explainer"], "*" * _is_part(row)) for row in rows], rows)
        cells = [head, *([one, *_row(row)] for one, row in zip(labels, rows, strict=True))]
        suite, task, version, split, _, frozen, (_, access) = key
        title = f"{clean(suite)} · {clean(task)} {version} · {split} · {clean(access)}"
        notes = _notes(rows)
        tables.append(
            (title if frozen else f"{title} · draft", cells, notes if frozen else [*notes, DRAFT])
        )
    return tables


def _table_key(result: Mapping[str, Any]) -> tuple[str, str, str, str, str, bool, tuple[int, str]]:
    """What rows of one table share: suite, task, data and access class, narrowest first."""
    access = result["access"]
    order = ACCESS.index(access) if access in ACCESS else len(ACCESS)
    return (
        result["suite"],
        result["task"],
        result["version"],
        result["split"],
        result["data_sha256"],
        result["frozen"],
        (order, access),
    )


def _place(result: Mapping[str, Any]) -> tuple[Any, ...]:
    """Order of rows: table, whole runs before others, contestants before oracles, best, name."""
    overall = result["overall"]
    value = overall["metrics"][result["headline"]]["value"] if overall else None
    explainer = result["explainer"]
    return (
        *_table_key(result),
        _is_part(result),
        explainer["kind"] == ORACLE,
        math.inf if value is None else -_finite(value),
        explainer["name"],
        explainer["no_vector"],
        bool(explainer.get("shuffled_vectors")),
        explainer.get("decoding", ""),
        result["body_sha256"] or "",
    )


def _is_part(result: Mapping[str, Any]) -> bool:
    return bool(result["partial"] or not result["complete"])


def _row(result: Mapping[str, Any]) -> list[str]:
    """Return the cells after an explainer's name."""
    overall, names = result["overall"], result["metrics"]
    if overall is None:
        return ["0", NOTHING, *(NOTHING for _ in names)]
    without = 100 * (overall["unparsed"] + overall["missing"]) / overall["n"]
    cells = (cell(name, overall["metrics"][name]) for name in names)
    return [str(overall["n"]), f"{without:.1f}", *cells]


def label(explainer: Mapping[str, Any], more: str = "") -> str:
    """Return an explainer's name with its marks, decoding if not greedy, and training queries."""
    control = explainer["no_vector"] or explainer.get("shuffled_vectors")
    marks = "†" * (explainer["kind"] == ORACLE) + "‡" * bool(control) + more
    decoding = f", {explainer['decoding']}" if "decoding" in explainer else ""
    trained = f", trained on {explainer['n_train']:,}" if explainer.get("n_train") else ""
    return f"{clean(explainer['name'])}{decoding}{trained}{' ' if marks else ''}{marks}"


def distinct(names: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return names, with the beginning of the run's hash where a name is there twice."""
    return [
        f"{name} #{clean(str(run['body_sha256'] or run['run_id']))[:8]}"
        if names.count(name) > 1
        else name
        for name, run in zip(names, runs, strict=True)
    ]


def cell(name: str, metric: Mapping[str, Any]) -> str:
    """Return a metric of a result with its interval if it has one; shares are in per cent."""
    if metric["value"] is None:
        return NOTHING
    value = shown(name, metric["value"])
    if metric["interval_95"] is None:
        return value
    low, high = metric["interval_95"]
    return f"{value} [{shown(name, low)}, {shown(name, high)}]"


def shown(name: str, value: float) -> str:
    """Return a metric's value as text: shares in per cent, all others as they are."""
    text = f"{_finite(value):.3f}" if name in NUMBERS else _percent(value)
    return text if float(text) else text.removeprefix("-")


def _apart(result: Mapping[str, Any]) -> str | None:
    """Say why a table counts fewer queries than `run` answers, if it does."""
    asked, n = result["counts"]["queries"], result["overall"]["n"] if result["overall"] else 0
    if n == asked:
        return None
    return (
        f"Queries: {n:,} of the {asked:,} that are asked; the others are of kinds that are "
        "reported apart (score with details)."
    )


def _notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = [note for row in rows if (note := _apart(row))][:1]
    reference = next((row["reference"] for row in rows if row["reference"]), None)
    if reference is None:
        return notes
    if ceiling := reference["input_only_ceiling"]:
        shares = [f"{TITLES.get(name, name)} {_percent(share)}" for name, share in ceiling.items()]
        notes.append(f"Ceiling of the text alone (one answer per group): {', '.join(shares)}.")
    if scale := reference["scale"]:
        metric, name = rows[0]["headline"], _MARKDOWN.sub("", clean(scale["floor_of"]))
        notes.append(
            f"Floor (best null model that only reads, {name}): "
            f"{TITLES.get(metric, metric)} {shown(metric, scale['floor'])}; ceiling (a "
            f"calculator): {shown(metric, scale['ceiling'])}."
        )
    return notes


def _percent(share: float) -> str:
    return f"{100 * _finite(share):.1f}"


def _finite(value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise IntegrityError(f"a result holds {value!r}, expected a finite number; score it again")
    return float(value)


def clean(text: str) -> str:
    """Return a stranger's text on one line, without control or formatting characters."""
    kept = "".join(c for c in " ".join(text.split()) if unicodedata.category(c)[0] != "C")
    return kept if len(kept) <= _MAX_NAME else f"{kept[: _MAX_NAME - 1]}…"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", text)


def bar(cells: Sequence[str]) -> str:
    """Return cells as one row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def lines_of(head: Sequence[str], rows: Iterable[Sequence[str]], *, names: int = 1) -> list[str]:
    """Return the lines of a Markdown table; columns after the first `names` are of numbers."""
    rule = ["---"] * names + ["---:"] * (len(head) - names)
    return [bar(cells) for cells in (head, rule, *rows)]


BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def write_results(readme: Path, text: str) -> None:
    """Write text between the results markers of a file, which has each once, in order."""
    with files.open_regular(readme) as stream:
        data = stream.read()
    try:
        page = data.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{readme}: not UTF-8 at byte {error.start}") from error
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in tail or END in head:
        raise IntegrityError(f"{readme}: expected {BEGIN} and {END} once each, in this order")
    new = f"{head}{BEGIN}\n\n{text.strip()}\n\n{END}{tail}"
    files.write_bytes_atomic(readme, new.encode())
