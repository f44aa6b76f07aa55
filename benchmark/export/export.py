"""A run in the forms of others: CSV, Parquet, LaTeX, a folder for `datasets`, Every Eval Ever.

Owns which forms there are, and that nothing is written but the one path that is asked for, whole or
not at all, and never over something that is there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from .. import files
from ..errors import UsageError
from ..scoring.matched import Graded, grade_file
from . import every_eval_ever, tabular
from . import tables as table

Files = Mapping[str, bytes]
"""Contents by path below a folder."""


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
"""Every form."""


def export(
    path: Path | str, to: str, *, out: Path | str | None = None, suite: str | None = None
) -> Path:
    """Write a run in another form.

    Args:
        path: the run file.
        to: `csv` or `parquet` (a row a query: truth, reply, score), `latex` (the table of `score`),
            `hf` (a folder that `datasets.load_dataset` reads), or `every-eval-ever` (a folder in
            the layout and schema of that project).
        out: file or folder to write; the run file's name with another ending, in the current
            folder, if None.
        suite: folder of suites, for a suite that is not in the package.

    Returns:
        What was written.

    Raises:
        UsageError: unknown form, the run can't be scored, or the path to write is there already.
        IntegrityError: the run is corrupt.
        MissingPartError: it can't be written; nothing is left behind.
    """
    if to not in FORMS:
        raise UsageError(f"unknown form {to!r}; choose from {', '.join(FORMS)}")
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
