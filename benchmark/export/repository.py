"""Suites as a dataset repository for a hub: Parquet for its readers, the frozen files for ours.

`TASK/VERSION/` holds the files of a suite as they are, so the folder, or the repository at a
commit, is what `--suite` takes. `data/TASK/` holds one Parquet file for each split.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import check_choice
from ..files import sha256_bytes
from ..models.hub import upload
from ..registry import suites
from ..suite.manifest import MANIFEST
from ..suite.select import check_task, tasks_of
from ..suite.suite import Suite
from ..task import Task
from .export import not_there, write_folder

TO = "hf"
TRUTH = "truth.jsonl"


def data_export(
    path: Path | str,
    *,
    to: str = TO,
    suite: str = "smollm2-135m",
    tasks: Sequence[str] = (),
    push: str | None = None,
) -> dict[str, str | None]:
    """Write suites as a dataset repository into a new folder: `load_dataset(path, TASK)` reads it.

    With `push`, `owner/name` on a hub, upload it. Returns `path`, and `suite`: what `--suite` takes
    to read it back, `owner/name@commit` if it was uploaded.
    """
    check_choice("form", to, (TO,))
    where = Path(path)
    not_there(where)
    found = tasks_of(suite, tasks)
    for task, one in found:
        check_task(task, one)
    write_folder(where, _contents(suite, found))
    commit = None if push is None else upload(push, where)
    return {"path": str(where), "suite": str(where) if commit is None else f"{push}@{commit}"}


def _contents(name: str, found: Sequence[tuple[Task, Suite]]) -> Iterator[tuple[str, bytes]]:
    for task, suite in found:
        for file in suite.manifest["files"]:
            yield f"{task.name}/{task.version}/{file}", suite.read(file)
        manifest = (suite.root / MANIFEST).read_bytes()
        yield f"{task.name}/{task.version}/{MANIFEST}", manifest
        yield from _parquet(task, suite)
    yield "README.md", _card(name, found).encode()


def _place(task: Task, split: str) -> str:
    return f"data/{task.name}/{split}-00000-of-00001.parquet"


def _parquet(task: Task, suite: Suite) -> Iterator[tuple[str, bytes]]:
    """Yield a file for each split; a column has the same type in all of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    by_split = {split: _rows(task, suite, split) for split in suite.splits}
    rows = [row for own in by_split.values() for row in own]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: pa.array([row.get(name) for row in rows]) for name in names}
    # what no query of the suite has is no column
    columns = {name: column for name, column in columns.items() if column.null_count < len(rows)}
    if task.uses_vector:
        own = np.concatenate([_vectors(suite, split) for split in suite.splits])
        columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(own.ravel()), own.shape[1])
    table, start = pa.table(columns), 0
    for split, own_rows in by_split.items():
        out = io.BytesIO()
        pq.write_table(table.slice(start, len(own_rows)), out, compression="zstd")
        start += len(own_rows)
        yield _place(task, split), out.getvalue()


def _vectors(suite: Suite, split: str) -> npt.NDArray[np.float32]:
    """Return a vector a query, (n_queries, d_target): few readers know float16, all know these."""
    rows = [query.vector for query in suite.queries(split) if query.vector is not None]
    return suite.vectors(split)[rows].astype(np.float32)


def _rows(task: Task, suite: Suite, split: str) -> list[dict[str, Any]]:
    """Return a row for each query: what is asked, and what is known where the suite says it."""
    truth: Mapping[str, Any] = {}
    if f"{split}/{TRUTH}" in suite.manifest["files"]:
        truth = suite.feature_truth(split) if suite.describes else suite.truth(split)
    oracle = suite.oracle(split) if truth and not suite.describes else {}
    rows = []
    for query in suite.queries(split):
        prompt, known = task.render(query), truth.get(query.id)
        row = {"id": query.id, "group": query.group, "kind": query.kind}
        row |= {"instructions": prompt.instructions, "question": prompt.question}
        if known is not None:
            row |= {"answer": task.format_answer(known.answer), **asdict(known)}
            row |= oracle.get(query.id, {})
        rows.append(row | {"fields": dict(query.fields)})
    return rows


def _card(name: str, found: Sequence[tuple[Task, Suite]]) -> str:
    configs = [
        {
            "config_name": task.name,
            "data_files": [{"split": s, "path": _place(task, s)} for s in suite.splits],
        }
        for task, suite in found
    ]
    target, kept = found[0][1].name, [suite for _, suite in found]
    settings: dict[str, Any] = {
        "pretty_name": f"introspect-bench: {target}",
        "language": ["en"],
        "tags": ["introspect-bench", "interpretability", "introspection"],
        "configs": configs,
    }
    if name in suites():
        settings["license"] = "apache-2.0"
    front = "\n".join(f"{key}: {json.dumps(value)}" for key, value in settings.items())
    rows = [
        f"| {t.name} | {s.version}{'' if s.frozen else ' (draft)'} | {n} "
        f"| {s.manifest['splits'][n]['queries']} "
        f"| {'yes' if f'{n}/{TRUTH}' in s.manifest['files'] else 'no'} |"
        for t, s in found
        for n in s.splits
    ]
    hashes = [
        f"- {s.task} {s.version}: data `{s.data_sha256}`, "
        f"manifest `{sha256_bytes((s.root / MANIFEST).read_bytes())}`"
        for s in kept
    ]
    return _CARD.format(
        front=front,
        target=target,
        first=found[0][0].name,
        rows="\n".join(rows),
        hashes="\n".join(hashes),
        canary=kept[0].manifest.get("canary"),
    )


_CARD = """\
---
{front}
---

# introspect-bench: {target}

Can a language model tell the truth about its own computation? Frozen queries about the inside of
`{target}`, each with what measuring it gave. Scoring needs no model.

```python
from datasets import load_dataset

queries = load_dataset("OWNER/NAME", "{first}", split="validation")
```

```bash
introspect-bench run --model MODEL --suite OWNER/NAME@COMMIT
```

The command reads the folders `TASK/VERSION`: a suite's own files, every byte of them checked
against `manifest.json`. Parquet holds the same queries for other readers: `question` and
`instructions` as an explainer reads them (`⟦vector⟧` is where the vector enters), `vector` as a
list of float32 (the suite has float16, the same numbers), `answer` the reply that scores 1. Arrays
of feature descriptions (windows, activations) are in the folders alone.

| task | version | split | queries | with its truth |
|---|---|---|---:|---|
{rows}

Ground truth is here as the suite ships it, that of the test split too where the table says so: it
makes every score checkable, and it is no secret. Who trains on test has no result. The canary is
there to keep these files out of training data: `{canary}`

{hashes}
"""
