"""The trust report: what was measured of the benchmark itself, and what is promised.

Tables that say the same on every machine also stand in pages, between `<!-- table: NAME -->` and
`<!-- end -->`. `faults.json` beside this file holds what two scripts of the tests wrote: None where
a script was not run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import api
from .benchmark import files
from .benchmark._version import METRIC_VERSION, PROMPT_VERSION
from .benchmark.cache import Progress, silent
from .benchmark.errors import IntegrityError
from .benchmark.export.tables import NOTHING, lines_of, shown, title
from .benchmark.golden import golden
from .benchmark.records import ACCESS
from .benchmark.registry import get_task, suites
from .benchmark.scoring.scale import CALCULATOR
from .benchmark.suite.select import shipped_suite, shipped_tasks
from .benchmark.suite.suite import Suite
from .benchmark.task import Task

FAULTS = Path(__file__).with_name("faults.json")
SPLIT = "test"  # Nulls are shown of the split that ranks

PROMISED = (
    "Every score on the page is computed from raw replies by the code of this repository; "
    "of descriptions, from the predictions in the run file.",
    "Scoring draws from fixed seeds and runs no model: the same files give the same bytes.",
    "A query without a readable answer counts as wrong; of descriptions, as 0.",
    "A shipped suite is the one whose hash is pinned, or it is refused.",
    "A score that changes without a line in the ledger stops the page.",
    "Metrics and prompts with other outputs have another version, which CHANGELOG.md names.",
)
NOT_PROMISED = (
    "That a model gave the replies: only a re-run can show it, and the tier says if there was one.",
    "That what an entry declares is true: training data, authors, size, cost.",
    "That an explainer never saw the test queries: they are public, and only a fresh split tells.",
    "That a score above the floor is introspection: it is more than the tried rules reach.",
    "That labels come out on hardware or in a precision that was not tried, and that they say "
    "anything about another target.",
    "That a reference description is the only right one, or that the judge reads every wording.",
)


def doctor_report(
    target: str, *, device: str = "cpu", progress: Progress = silent, **options: Any
) -> dict[str, Any]:
    """Return the trust report; `options` are those of `labels`, and errors those of `doctor`."""
    checks = api.doctor(target, device=device, progress=progress)
    found = api.labels(target, device=device, progress=progress, **options)
    progress("computing the versions of metrics and prompts")
    return {
        "target": target,
        "device": device,
        "checks": checks,
        "labels": found,
        "flips": list(_flips()),
        "nulls": list(_nulls()),
        "versions": golden(),
        "faults": read_faults(),
        "promised": list(PROMISED),
        "not_promised": list(NOT_PROMISED),
    }


def report_text(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown: what was found on this machine, then the tables."""
    checks = [[c["name"], "pass" if c["passed"] else "FAIL", c["detail"]] for c in report["checks"]]
    labels = [
        [one["task"], one["split"], *(str(one["labels_reproduced"][k]) for k in ("n", "of"))]
        for one in report["labels"]
        if one["labels_reproduced"]
    ]
    versions = [
        [name, said["recorded"], said["computed"], "NO" if len({*said.values()}) > 1 else "yes"]
        for name, said in report["versions"].items()
    ]
    here = {
        "Self-tests here": lines_of(["check", "verdict", "found"], checks, names=3),
        "Labels measured again here": lines_of(["task", "split", "same", "of"], labels, names=2),
        "Versions here": lines_of(["version", "recorded", "computed", "same"], versions, names=4),
    }
    parts = [f"## {name}\n\n" + "\n".join(lines) for name, lines in here.items()]
    parts += [f"## {_TITLES[name]}\n\n{text}" for name, text in tables().items()]
    return "\n\n".join(parts) + "\n"


def tables() -> dict[str, str]:
    """Return the tables that are the same on every machine, by name, as Markdown."""
    return {
        "labels": _table(_labels(), 2),
        "flips": _table(_flips(), 3),
        "nulls": _table(_nulls(), 4),
        "versions": "\n".join(
            lines_of(
                ["version", "is now"],
                [["metrics", f"`{METRIC_VERSION}`"], ["prompts", f"`{PROMPT_VERSION}`"]],
                names=2,
            )
        ),
        "faults": _faults_table(),
        "promises": _promises(),
    }


_TITLES = {
    "labels": "Labels",
    "flips": "Labels in other batches and with rounded weights",
    "nulls": "What rules without introspection reach",
    "versions": "Versions of metrics and prompts",
    "faults": "Faults that were tried",
    "promises": "What is promised",
}


def doctor_fill(path: Path | str) -> bool:
    """Write tables between the markers of a page; returns whether that changed it.

    UsageError: no file; IntegrityError: no marker, one without an end, or of no table.
    """
    path = Path(path)
    with files.open_regular(path) as stream:
        data = stream.read()
    try:
        page = data.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path}: not UTF-8 at byte {error.start}") from error
    filled = _filled(page, str(path))
    if filled == page:
        return False
    files.write_bytes_atomic(path, filled.encode())
    return True


_MARK = re.compile(r"<!-- table: (?P<name>[^>]*?) -->")
_END = "<!-- end -->"


def _filled(page: str, where: str) -> str:
    known, (head, *parts) = tables(), _MARK.split(page)
    if not parts:
        raise IntegrityError(f"{where}: expected <!-- table: NAME --> and {_END} at least once")
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        _, end, rest = text.partition(_END)
        if name not in known or not end:
            what = "is no table" if name not in known else f"has no {_END}"
            raise IntegrityError(f"{where}: {name} {what}; tables are {', '.join(known)}")
        head += f"<!-- table: {name} -->\n\n{known[name]}\n\n{_END}{rest}"
    return head


def _shipped() -> Iterator[tuple[Task, Suite]]:
    for name in suites():
        for task in shipped_tasks(name):
            yield get_task(task.name), shipped_suite(name, task.name)


def _labels() -> Iterator[dict[str, Any]]:
    for task, suite in _shipped():
        for split, said in suite.manifest["splits"].items():
            statistics = suite.manifest["statistics"].get(split, {})
            nulls = suite.manifest.get("nulls", {}).get(split, [])
            rows = [row for row in nulls if row["name"] == CALCULATOR and not suite.describes]
            yield {
                "task": f"{task.name} {suite.version}",
                "split": split,
                "queries": said["queries"],
                "least margin, logits": _number(statistics.get("least_margin_logits")),
                "headline of the calculator": _cell(task, rows),
            }


def _flips() -> Iterator[dict[str, Any]]:
    for task, suite in _shipped():
        for split, said in suite.manifest.get("stability", {}).items():
            kinds = [said] if "flip_rate" in said else list(said.values())
            rates = [pair for one in kinds for pair in one["flip_rate"].items()]
            yield {
                "task": f"{task.name} {suite.version}",
                "split": split,
                "measured again with": ", ".join(sorted({name for name, _ in rates})),
                "labels tested": sum(one["n_tested"] for one in kinds),
                "highest flip rate": f"{100 * max(rate for _, rate in rates):.1f} %",
                "dropped": sum(one["n_dropped"] for one in kinds),
                "noise of bf16, logits": _number(
                    max((x for one in kinds if (x := one["noise_logits"])), default=None)
                ),
            }


def _nulls() -> Iterator[dict[str, Any]]:
    for task, suite in _shipped():
        rows = suite.manifest.get("nulls", {}).get(SPLIT, [])
        for access in ACCESS:
            own = [
                row
                for row in rows
                if row["access"] == access and row["metrics"].get(task.headline) is not None
            ]
            values = [row["metrics"][task.headline] for row in own]
            if own:
                yield {
                    "task": f"{task.name} {suite.version}",
                    "metric": title(task.headline),
                    "class": access,
                    "highest is": own[values.index(max(values))]["name"],
                    "rules": len(own),
                    "lowest": shown(task.headline, min(values)),
                    "highest": shown(task.headline, max(values)),
                }


def read_faults() -> dict[str, Any]:
    """Return what the scripts of faults found: by script `tried` and counts, None if not run."""
    found = files.read_json(FAULTS, max_bytes=1 << 16)
    return {name: found.get(name) for name in COUNTS}


COUNTS = {
    "kills": ("tests/speed/faults.py", ("lost", "stuck")),
    "spoilt_files": ("tests/speed/spoilt_files.py", ("untyped",)),
}
"""By name in `faults.json`, the script and what should be 0."""


def _faults_table() -> str:
    rows = []
    for name, one in read_faults().items():
        script, bad = COUNTS[name]
        if one is None:
            rows.append([f"`{script}`", "not run", NOTHING, NOTHING])
            continue
        counts, run = ", ".join(f"{one[kind]} {kind}" for kind in bad), "{date}, {version}"
        rows.append([f"`{script}`", run.format(**one), f"{one['tried']:,}", counts])
    return "\n".join(lines_of(["script", "run", "tried", "found"], rows, names=2))


def _promises() -> str:
    lines = ["Promised:", "", *(f"- {line}" for line in PROMISED)]
    return "\n".join([*lines, "", "Not promised:", "", *(f"- {line}" for line in NOT_PROMISED)])


def _cell(task: Task, rows: list[dict[str, Any]]) -> str:
    return shown(task.headline, rows[0]["metrics"][task.headline]) if rows else NOTHING


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2g}"


def _table(rows: Iterator[dict[str, Any]], names: int) -> str:
    found = list(rows)
    cells = [[f"{v:,}" if isinstance(v, int) else str(v) for v in row.values()] for row in found]
    return "\n".join(lines_of(list(found[0]), cells, names=names))
