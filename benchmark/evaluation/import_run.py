"""Replies that were made elsewhere become a run file; nothing of how they came about is known."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import IntegrityError, UsageError, check_choice
from ..explainer import ExplainerCard
from ..files import MAX_LINE_BYTES, open_regular, read_jsonl, sha256_file
from ..prompts import PromptSpec
from ..records import Completion, Query
from ..runs.run import MAX_FILE_BYTES, Run, read_run
from ..runs.writer import open_run
from ..suite.select import tasks_of
from ..suite.suite import Suite
from .predict import finish, make_header
from .reply_row import reply_fields
from .spec import RunSpec

FORMATS = ("jsonl", "csv")
IMPORTED = "imported"  # Kind of the explainer in such a run's header


def import_run(
    path: Path | str,
    *,
    name: str,
    suite: str,
    task: str,
    split: str = "test",
    form: str = FORMATS[0],
    output: Path | str = "runs",
) -> Run:
    """Write a run file from replies of an explainer called `name`; its class is `undeclared`.

    Each row has `raw`, the reply, and either `id`, the query's, or `row`: its number, from 0, in
    the dataset that the suite was imported from, else in `queries.jsonl`. A run of which replies
    are missing is incomplete.

    Raises IntegrityError: a row names no query, one that had a reply, or holds none; with the line.
    """
    check_choice("form", form, FORMATS)
    ((known, where),) = tasks_of(suite, [task])
    request = RunSpec(model=name, suite=suite, split=split, output=output)
    spec = PromptSpec(task=known, suite=where, split=split, batch_size=1)
    queries = spec.select()
    replies = _replies(Path(path), form, _numbered(where, split, queries))
    settings = {"file_sha256": sha256_file(Path(path))}
    card = ExplainerCard(name=name, kind=IMPORTED, settings=settings)
    header = make_header(spec, queries, card, generation={})
    rows = [
        {"qid": query.id, "i": number, **reply_fields(known, Completion(text=replies[query.id]))}
        for number, query in enumerate(queries)
        if query.id in replies
    ]
    out = request.path(known, where)
    with open_run(out, header.to_json(), resume="never") as writer:
        writer.append(rows)
        if len(rows) == len(queries):
            finish(writer, known)
    return read_run(out)


Named = Mapping[str | int, str | None]  # Ids by id and by number; None: the import left it out


def _numbered(suite: Suite, split: str, queries: tuple[Query, ...]) -> Named:
    found: dict[str | int, str | None] = {query.id: query.id for query in queries}
    if "imported" not in suite.manifest:
        return found | {number: query.id for number, query in enumerate(queries)}
    found |= dict.fromkeys(range(suite.manifest["imported"]["rows"][split]["rows"]))
    return found | {own["origin"]["row"]: key for key, own in suite.oracle(split).items()}


def _replies(path: Path, form: str, named: Named) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, row in _rows(path, form):
        where = f"{path}:{number}"
        key, raw = row.get("id"), row.get("raw")
        if (key is None) is (row.get("row") is None) or not isinstance(raw, str):
            raise IntegrityError(f"{where}: expected `raw`, a text, and one of `id` and `row`")
        key = row["row"] if key is None else key
        if type(key) not in (str, int) or key not in named:
            raise IntegrityError(f"{where}: {str(key)[:80]!r} is no query of this split")
        if (qid := named[key]) in found:
            raise IntegrityError(f"{where}: a second reply to query {qid}")
        if qid is not None:
            found[qid] = raw
    if not found:
        raise UsageError(f"{path} holds no replies")
    return found


def _rows(path: Path, form: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield `(line, row)`; of CSV, whose first line names the columns, `row` is a number."""
    if form == "jsonl":
        yield from read_jsonl(path)
        return
    with open_regular(path) as stream:
        data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise IntegrityError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
    try:
        csv.field_size_limit(MAX_LINE_BYTES)
        table = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        for row in table:
            kept: dict[str, Any] = {name: row[name] for name in ("id", "row") if row.get(name)}
            if re.fullmatch("[0-9]{1,18}", kept.get("row", "")):
                kept["row"] = int(kept["row"])
            yield table.line_num, kept | {"raw": row.get("raw")}
    except (csv.Error, UnicodeDecodeError) as error:
        raise IntegrityError(f"{path}: not CSV in UTF-8: {error}") from error
