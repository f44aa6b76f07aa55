"""A run in the forms of others, written whole or not at all, never over an existing path."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from .. import files
from ..errors import UsageError, check_choice
from ..scoring.matched import Graded, grade_file
from . import every_eval_ever, lm_eval_tasks, tabular
from . import tables as table
from .lm_eval_tasks import DEFAULT_SUITE

Files = Mapping[str, bytes]


def _tex(graded: Graded) -> bytes:
    """Return the table of `score` for this one run, with where it is from as comments."""
    result = graded.result()
    package = graded.run.header["package"]
    comments = [
        f"run {result['body_sha256'] or 'unfinished'} of {graded.run.header.get('created')}",
        f"data {result['data_sha256']}, metrics {result['metric_version']}",
        f"answered with {package.get('name')} {package.get('version')}",
    ]
    return table.tex([result], comments).encode("utf-8", "backslashreplace")


FILES: Mapping[str, tuple[str, Callable[[Graded], bytes]]] = {
    "csv": (".csv", tabular.to_csv),
    "parquet": (".parquet", tabular.to_parquet),
    "latex": (".tex", _tex),
}
"""Forms that are one file: how its name ends, and what it holds."""
FOLDERS: Mapping[str, tuple[str, Callable[[Graded], Files]]] = {
    "hf": (".hf", tabular.to_dataset),
    "every-eval-ever": (".every-eval-ever", every_eval_ever.to_datastore),
}
"""Forms that are a folder: how its name ends, and its files."""
FORMS = (*FILES, *FOLDERS)


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
    `datasets.load_dataset` reads; `every-eval-ever` is a folder in that project's layout. With
    `lm-eval` the path is that of a new folder, which gets input ablations of a suite and split as
    tasks for `lm_eval --include_path`.
    """
    check_choice("form", to, (*FORMS, lm_eval_tasks.TO))
    if to == lm_eval_tasks.TO:
        if out is not None:
            raise UsageError("the folder of tasks for lm-eval is the argument itself; leave out -o")
        return lm_eval_tasks.write_tasks(Path(path), suite or DEFAULT_SUITE, split or "test")
    if split is not None:
        raise UsageError("a split is for tasks for lm-eval only; a run is of one split")
    ending = (FILES[to] if to in FILES else FOLDERS[to])[0]
    where = Path(f"{Path(path).name.removesuffix('.jsonl')}{ending}") if out is None else Path(out)
    if os.path.lexists(where):
        raise UsageError(f"{where} is there already; give another path with -o, or remove it")
    graded = grade_file(path, suite=suite)
    if to in FILES:
        files.write_bytes_atomic(where, FILES[to][1](graded))
    else:
        _write_folder(where, FOLDERS[to][1](graded))
    return where


def _write_folder(where: Path, contents: Files) -> None:
    """Write a folder beside its place and move it there: it is whole or it is not there."""
    temporary = where.with_name(f".{where.name}.{os.getpid()}.partial")
    try:
        for name, data in contents.items():
            files.write_bytes_atomic(temporary / name, data)
        try:
            temporary.rename(where)
        except OSError as error:
            raise files.write_error(where, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # after the move there is nothing to remove
