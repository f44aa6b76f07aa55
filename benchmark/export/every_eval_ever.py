"""A graded run as records of Every Eval Ever (PyPI `every-eval-ever`, schema 0.3.0).

One record holds every metric of the headline kinds; where answers are right or wrong a second file
holds the queries. Layout and names are that project's: `data/<collection>/<developer>/<model>/`
with `<uuid>.json` and `<uuid>_samples.jsonl`. What it has no field for is under
`additional_details`.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import IntegrityError
from ..files import canonical_json, sha256_bytes
from ..metrics.bootstrap import LEVEL, N_RESAMPLES
from ..records import Scored
from ..scoring.correct import is_right
from ..scoring.grade import Graded

SCHEMA_VERSION = "0.3.0"
COLLECTION = "introspect-bench"
# Least and greatest value of metrics that are not between 0 and 1
BOUNDS: Mapping[str, tuple[float | str, float | str]] = {
    "kind_mean": (-1 / 9, 1.0),
    "matched_auroc": (-1.0, 1.0),
    "weighted_r": (-1.0, 1.0),
}

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_TAKEN = re.compile(r"(?:con|prn|aux|nul|com[1-9]|lpt[1-9]|data|unknown)(?:\.|$)", re.IGNORECASE)


def to_datastore(graded: Graded) -> dict[str, bytes]:
    """Return the record, and the samples where there are some, by their paths in a datastore."""
    result = graded.result()
    name = str(_uuid(graded))
    model = _model_id(graded.run.header.explainer.name)
    folder = f"data/{COLLECTION}/{model}"
    created = _created(graded)
    record: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{COLLECTION}/{graded.suite.name}/{graded.task.name}/{model}/{name}",
        "evaluation_timestamp": created.isoformat(),
        "retrieved_timestamp": str(int(created.timestamp())),
        "source_metadata": {
            "source_name": "introspect-bench run file",
            "source_type": "evaluation_run",
            "source_organization_name": "introspect-bench",
            "evaluator_relationship": "other",
        },
        "eval_library": _library(graded),
        "model_info": _model(graded, model),
        "evaluation_results": _results(graded, result, created),
    }
    samples = _samples(graded, record)
    found = {}
    if samples:
        data = b"".join(map(_line, samples))
        path = f"{folder}/{name}_samples.jsonl"
        record["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": path,
            "hash_algorithm": "sha256",
            "checksum": sha256_bytes(data),
            "total_rows": len(samples),
        }
        found[path] = data
    return {f"{folder}/{name}.json": _line(record)} | found


def _uuid(graded: Graded) -> uuid.UUID:
    """Return a UUID of version 4 that is the run's own: its id, or one made of its header."""
    try:
        found = uuid.UUID(hex=graded.run.header.run_id)
    except ValueError:
        found = None
    if found is not None and found.version == 4:
        return found
    digest = sha256_bytes(canonical_json(graded.run.header.to_json()).encode())
    return uuid.UUID(bytes=bytes.fromhex(digest)[:16], version=4)


def _created(graded: Graded) -> datetime:
    text = graded.run.header.created
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise IntegrityError(
            f"{graded.run.path}:1: field created is {text!r}, expected a date such as "
            "2026-01-02T03:04:05Z"
        ) from error


def _model_id(name: str) -> str:
    developer, slash, model = name.partition("/")
    return f"{_component(developer)}/{_component(model)}" if slash else f"local/{_component(name)}"


def _component(text: str) -> str:
    safe = _UNSAFE.sub("_", text)[:80].strip("._") or "unnamed"
    return f"x-{safe}" if _TAKEN.match(safe) else safe


def _library(graded: Graded) -> dict[str, Any]:
    package, about = graded.run.header.package, graded.run.header.task
    return {
        "name": "introspect-bench",
        "version": package.version or "unknown",
        "additional_details": {
            "commit": str(package.commit),
            "data_sha256": about.data_sha256,
            "prompt_sha256": about.prompt_sha256,
            "partial": str(graded.run.header.partial).lower(),
            "complete": str(graded.run.complete).lower(),
        },
    }


def _model(graded: Graded, model: str) -> dict[str, Any]:
    explainer, target = graded.run.header.explainer, graded.run.header.target
    return {
        "name": _text(explainer.name),
        "id": model,
        "additional_details": {
            "deployment_type": "self_deployed" if explainer.runs_model else "unknown",
            "model_availability": "unknown",
            "kind": _text(explainer.kind),
            "revision": _text(explainer.revision),
            "shots": str(explainer.shots),
            "vectors_withheld": str(explainer.no_vector).lower(),
            "shuffled_vectors": str(explainer.shuffled_vectors).lower(),
            "target": _text(target.name),
        },
    }


def _results(graded: Graded, result: Mapping[str, Any], created: datetime) -> list[dict[str, Any]]:
    found, suite, overall = [], graded.suite, result["overall"]
    data = {
        "dataset_name": f"introspect-bench {suite.name} {suite.task} {suite.version}",
        "source_type": "other",
        "additional_details": {"split": graded.split, "data_sha256": suite.data_sha256},
    }
    for name, metric in overall["metrics"].items() if overall else ():
        if metric["value"] is None:
            continue
        low, high = BOUNDS.get(name, (0.0, 1.0))
        details: dict[str, Any] = {"score": metric["value"]}
        if metric["interval_95"] is not None:
            ends = dict(zip(("lower", "upper"), metric["interval_95"], strict=True))
            details["uncertainty"] = {
                "confidence_interval": {
                    **ends,
                    "confidence_level": LEVEL,
                    "method": "percentile bootstrap over contrast groups",
                },
                "num_samples": metric["n"],
                "num_bootstrap_samples": N_RESAMPLES,
            }
        found.append(
            {
                "evaluation_result_id": f"{_name(graded)}/{name}",
                "evaluation_name": _name(graded),
                "evaluation_timestamp": created.isoformat(),
                "source_data": data,
                "metric_config": {
                    "metric_id": f"introspect_bench.{name}",
                    "metric_name": name,
                    "metric_unit": "proportion" if name not in BOUNDS else "points",
                    "lower_is_better": False,
                    "score_type": "continuous",
                    "min_score": low,
                    "max_score": high,
                    "additional_details": {"metric_version": result["metric_version"]},
                },
                "score_details": details,
            }
        )
    return found


def _name(graded: Graded) -> str:
    return f"{graded.suite.name}/{graded.task.name}/{graded.suite.version}/{graded.split}"


def _samples(graded: Graded, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Headline queries as samples, none for descriptions; `error` says where a row lacks."""
    found = []
    for one in graded.headline:
        if not isinstance(one, Scored):
            return []
        rendered, right = graded.task.render(one.query), all(is_right(one))
        reference = _text(graded.task.format_answer(one.truth.answer))
        written = graded.run.rows.get(one.query.id, {})
        row: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "evaluation_id": record["evaluation_id"],
            "model_id": record["model_info"]["id"],
            "evaluation_name": _name(graded),
            "evaluation_result_id": f"{_name(graded)}/{graded.task.headline}",
            "sample_id": one.query.id,
            "sample_hash": sha256_bytes(f"{rendered.question}{reference}".encode()),
            "interaction_type": "single_turn",
            "input": {
                "raw": f"{rendered.instructions}\n\n{rendered.question}",
                "reference": [reference],
            },
            "output": {"raw": [] if one.raw is None else [_text(one.raw)]},
            "answer_attribution": [],
            "evaluation": {"score": float(right), "is_correct": right},
            "error": None if one.status == "scored" else one.status,
            "metadata": {"group": one.query.group, "kind": one.query.kind},
        }
        if one.answer is not None:
            row["answer_attribution"] = [
                {
                    "turn_idx": 0,
                    "source": "output.raw",
                    "extracted_value": _text(graded.task.format_answer(one.answer)),
                    "extraction_method": "parser of the task",
                    "is_terminal": True,
                }
            ]
        if isinstance(written.get("n_in"), int) and isinstance(written.get("n_out"), int):
            n_in, n_out = written["n_in"], written["n_out"]
            row["token_usage"] = {
                "input_tokens": n_in,
                "output_tokens": n_out,
                "total_tokens": n_in + n_out,
            }
        found.append(row)
    return found


def _line(row: Mapping[str, Any]) -> bytes:
    """One line of JSON in ASCII: their reader ends lines at every separator of Unicode."""
    text = json.dumps(row, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return f"{text}\n".encode()


def _text(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()
