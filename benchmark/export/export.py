"""A run in the forms of others, written whole or not at all, never over an existing path."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .. import files
from ..errors import UsageError, check_choice
from ..files import canonical_json
from ..leftovers import beside
from ..models.hub import COMMIT, HUB_ID
from ..runs.run import run_file
from ..scoring.grade import Graded, grade_file
from ..scoring.score import check_score, shown
from . import every_eval_ever, lm_eval_tasks
from . import tables as table
from .lm_eval_tasks import DEFAULT_SUITE

TEXT, TRUE, NUMBER, COUNT = "string", "bool", "float64", "int64"
# Every column with its type, in order; a task has those that mean something for it
COLUMNS: Mapping[str, str] = {
    "id": TEXT,
    "group": TEXT,
    "kind": TEXT,
    "query": TEXT,
    "clean": TEXT,
    "truth": TEXT,
    "changed": TRUE,
    "predicate": TEXT,
    "raw": TEXT,
    "status": TEXT,
    "says_changed": TRUE,
    "answer": TEXT,
    "verdict": TRUE,
    "content": TRUE,
    "exact": TRUE,
    "matched_auroc": NUMBER,
    "weighted_r": NUMBER,
    "mapped": TEXT,
    "tokens_in": COUNT,
    "tokens_out": COUNT,
    "milliseconds": NUMBER,
}

# How a text begins that a spreadsheet may take for a formula
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def rows(graded: Graded) -> list[dict[str, Any]]:
    """Return a run's queries as rows of plain values, in the suite's order."""
    found = []
    for one in graded.scored:
        written = graded.run.rows.get(one.query.id, {})
        row = shown(graded, one) | {
            "tokens_in": _count(graded, one.query.id, "n_in"),
            "tokens_out": _count(graded, one.query.id, "n_out"),
            "milliseconds": None if "ms" not in written else float(written["ms"]),
        }
        found.append({name: _valid(row[name]) for name in COLUMNS if name in row})
    return found


def to_csv(graded: Graded) -> bytes:
    """Return CSV (RFC 4180); a text like a formula gets an apostrophe, as OWASP advises."""
    table = rows(graded)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(table[0]))
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in table)
    return out.getvalue().encode()


def to_parquet(graded: Graded) -> bytes:
    """Return the rows as Parquet; the run's header is its metadata `introspect_bench.header`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = rows(graded)
    schema = pa.schema([(name, pa.type_for_alias(COLUMNS[name])) for name in table[0]])
    columns = [pa.array([row[name] for row in table], schema.field(name).type) for name in table[0]]
    header = canonical_json(graded.run.header.to_json()).encode()
    schema = schema.with_metadata({"introspect_bench.header": header})
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), out)
    return out.getvalue()


def to_dataset(graded: Graded) -> dict[str, bytes]:
    """Return a folder for `datasets.load_dataset`: the rows as Parquet, and a card."""
    name = f"data/{graded.split}-00000-of-00001.parquet"
    return {name: to_parquet(graded), "README.md": _card(graded, name).encode()}


def _card(graded: Graded, file: str) -> str:
    header, suite = graded.run.header, graded.suite
    configuration = {
        "configs": [
            {"config_name": "default", "data_files": [{"split": graded.split, "path": file}]}
        ],
        "tags": ["introspect-bench", suite.name, graded.task.name],
        "pretty_name": f"introspect-bench run on {suite.name}, {graded.task.name}",
    }
    settings = "\n".join(f"{key}: {json.dumps(value)}" for key, value in configuration.items())
    facts = {
        "explainer": header.explainer.name,
        "suite": f"{suite.name} {suite.task} {suite.version}, split {graded.split}",
        "suite_sha256": suite.data_sha256,
        "run_sha256": graded.run.body_sha256,
        "complete": graded.run.complete,
        "partial": header.partial,
        "canary": suite.manifest.get("canary"),
    }
    return (
        f"---\n{settings}\n---\n\n# A run of introspect-bench\n\n"
        "One row a query: the question, what measuring the target model gave (`truth`), the "
        "explainer's raw reply, what was read in it, and its score. The ground truth is in it: "
        "keep it out of training data (the canary is there to find it).\n\n"
        f"```json\n{json.dumps(facts, indent=2)}\n```\n"
    )


def _count(graded: Graded, query: str, field: str) -> int | None:
    value = graded.run.rows.get(query, {}).get(field)
    return None if value is None else int(value)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def _valid(value: Any) -> Any:
    """Text with unpaired surrogates, which UTF-8 can't hold, as escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def _tex(graded: Graded) -> bytes:
    """Return the table of `score` for this one run, with where it is from as comments."""
    result = graded.result()
    package = graded.run.header.package
    comments = [
        f"run {result['body_sha256'] or 'unfinished'} of {graded.run.header.created}",
        f"data {result['data_sha256']}, metrics {result['metric_version']}",
        f"answered with {package.name} {package.version}",
    ]
    return table.tex([result], comments).encode("utf-8", "backslashreplace")


def to_hub_results(graded: Graded, suite: str | None) -> dict[str, bytes]:
    """Return a headline as a file of the explainer's repository, `.eval_results/*.yaml`, by path.

    It names the dataset repository at the commit that the suite was read from, `owner/name@commit`,
    so that whoever sees the number finds the queries. Of whole runs on the test split of a frozen
    suite alone.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    match = HUB_ID.fullmatch(suite or "")
    if match is None or not COMMIT.fullmatch(match["revision"] or ""):
        raise UsageError(
            "a result on a hub names the repository of its suite: give --suite owner/name@commit, "
            "as `data export --push` prints it"
        )
    result, header = graded.result(), graded.run.header
    check_score(graded.run.path, result)
    headline = graded.task.headline
    metric = result["overall"]["metrics"][headline] if result["overall"] else {"value": None}
    if graded.split != "test" or metric["value"] is None:
        raise UsageError(
            f"{graded.run.path}: a result on a hub is the {headline} of the test split, which this "
            "run has not"
        )
    low, high = metric["interval_95"] or ("-", "-")
    entry = EvalResultEntry(
        dataset_id=match["id"],
        dataset_revision=match["revision"],
        task_id=graded.task.name,
        value=metric["value"],
        date=header.created,
        notes=f"{headline}, {result['metric_version']}; 95 % interval {low} to {high} over "
        f"{metric['n']} queries in {metric['n_groups']} groups; access class {header.access}; "
        f"introspect-bench {header.package.version}; run {result['body_sha256']}",
    )
    text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False)
    name = f"{match['id'].replace('/', '--')}.{graded.task.name}.yaml"
    return {f".eval_results/{name}": text.encode()}


# How a form's name ends, and what it writes: the bytes of one file, or a folder's files by name
_WRITERS: Mapping[str, tuple[str, Callable[[Graded], bytes | Mapping[str, bytes]]]] = {
    "csv": (".csv", to_csv),
    "parquet": (".parquet", to_parquet),
    "latex": (".tex", _tex),
    "hf": (".hf", to_dataset),
    "every-eval-ever": (".every-eval-ever", every_eval_ever.to_datastore),
}
FORMS, HUB_RESULTS = tuple(_WRITERS), "hub-results"


def export(
    path: Path | str,
    to: str,
    *,
    out: Path | str | None = None,
    suite: str | None = None,
    split: str | None = None,
) -> Path:
    """Write a run in another form and return the path, by default in the current folder.

    `csv` and `parquet` have a row a query; `latex` is the table of `score`; `hf` is a folder that
    `datasets.load_dataset` reads; `every-eval-ever` is a folder in that project's layout;
    `hub-results` is what a model's repository on a hub holds of a suite that is on one. With
    `lm-eval` the path is that of a new folder, which gets input ablations of a suite and split as
    tasks for `lm_eval --include_path`.
    """
    check_choice("form", to, (*FORMS, HUB_RESULTS, lm_eval_tasks.TO))
    if to == lm_eval_tasks.TO:
        if out is not None:
            raise UsageError("the folder of tasks for lm-eval is the argument itself; leave out -o")
        return lm_eval_tasks.write_tasks(Path(path), suite or DEFAULT_SUITE, split or "test")
    if split is not None:
        raise UsageError("a split is for tasks for lm-eval only; a run is of one split")
    with_suite = partial(to_hub_results, suite=suite)
    ending, write = _WRITERS.get(to, (f".{to}", with_suite))
    path = run_file(path)
    where = Path(f"{path.name.removesuffix('.jsonl')}{ending}") if out is None else Path(out)
    not_there(where, "give another path with -o")
    contents = write(grade_file(path, suite=suite))
    if isinstance(contents, bytes):
        files.write_bytes_atomic(where, contents)
    else:
        write_folder(where, contents.items())
    return where


def not_there(path: Path, instead: str = "give another folder") -> None:
    """Refuse a path that exists."""
    if os.path.lexists(path):
        raise UsageError(f"{path} is there already; {instead}, or remove it")


def write_folder(where: Path, contents: Iterable[tuple[str, bytes]]) -> None:
    """Write a folder beside its place and move it there: it is whole or it is not there."""
    temporary = beside(where)
    try:
        for name, data in contents:
            files.write_bytes_atomic(temporary / name, data)
        try:
            temporary.rename(where)
        except OSError as error:
            raise files.write_error(where, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # after the move there is nothing to remove
