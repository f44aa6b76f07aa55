"""Tasks for lm-eval as YAML files, which name functions of this package."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .. import files
from ..backends.lm_eval_tasks import ablations
from ..backends.lm_eval_tasks.ablations import FORMS, TASK
from ..errors import UsageError
from ..suite.select import find_suite
from ..suite.suite import Suite

TO = "lm-eval"
"""The name of this form of `export`, which is of tasks and not of a run."""
DEFAULT_SUITE = "smollm2-135m"
MAX_NEW_TOKENS = 32
INCLUDED = Path(ablations.__file__).parent
"""Folder in the package that `lm_eval --include_path` takes as it is."""

_HEAD = """\
# Written by `introspect-bench export --to lm-eval DIR`. Needs introspect-bench where lm-eval runs.
# lm-eval gives no standard error here: its own would take the queries of one group for independent.
# The ends of the headline's interval are clustered by group.
"""


def write_tasks(folder: Path, suite: str, split: str) -> Path:
    """Write one file for each form of prompts into a folder that is not there yet."""
    if os.path.lexists(folder):
        raise UsageError(f"{folder} is there already; give another folder, or remove it")
    found = find_suite(suite, TASK)
    found.queries(split)
    # the suite of a user is found again from wherever lm-eval is started
    named = str(Path(suite).resolve()) if Path(suite).is_dir() else suite
    for form in FORMS:
        files.write_bytes_atomic(folder / f"{form}.yaml", task_file(found, named, split, form))
    return folder


def task_file(suite: Suite, named: str, split: str, form: str) -> bytes:
    """Return the file of one form; `named` is what `--suite` would be."""
    module = ablations.__name__
    metadata = {
        # lm-eval prints this one; the others are checked when the queries are read
        "version": int(suite.version.removeprefix("v")),
        "suite": named,
        "split": split,
        "form": form,
        **ablations.versions(suite),
    }
    part = "" if split == "test" else f"_{split}"
    lines = [
        f"task: introspect_bench_input_ablations{part}_{form}",
        f"class: !function {module}.GuardedTask",
        f"custom_dataset: !function {module}.documents",
        f"test_split: {split}",
        "output_type: generate_until",
        "description: system",
        "doc_to_text: prompt",
        "doc_to_target: target",
        "num_fewshot: 0",
        "generation_kwargs:",
        "  until: []",
        "  do_sample: false",
        f"  max_gen_toks: {MAX_NEW_TOKENS}",
        f"process_results: !function {module}.process_results",
        "metric_list:",
    ]
    for name in ablations.metric_names():
        lines.append(f"  - metric: {name}")
        lines.append(f"    aggregation: !function {module}.{ablations.AGGREGATE}{name}")
        lines.append("    higher_is_better: true")
    lines.append("metadata:")
    lines += [f"  {key}: {json.dumps(value)}" for key, value in metadata.items()]
    return (_HEAD + "\n".join(lines) + "\n").encode()
