"""The published datasets, their columns, and how they are opened: checked and memory-mapped.

A source is a dataset of the hub at a commit, or a folder of the same columns: Parquet files named
`SPLIT-*.parquet` (in it or in `data/`), or what `save_to_disk` of `datasets` wrote. Features are an
archive, unpacked by its user and unpickled in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from ....benchmark.cache import cache_dir
from ....benchmark.errors import IntegrityError, MissingPartError, UsageError
from ....benchmark.files import sha256_file
from ....benchmark.models.hub import download

PATCHING, ABLATIONS = "activation-patching", "input-ablations"
SPLITS = ("test", "train")
BATCH = 512  # rows in memory at once
VECTOR = "intervention_vector"

_TEXTS, _NUMBERS = "list of text", "list of whole numbers"
COLUMNS: Mapping[str, Mapping[str, str | Mapping[str, str]]] = {
    PATCHING: {
        "layer": _NUMBERS,
        "input_tokens": _TEXTS,
        "original_continuation": _TEXTS,
        "ablated_continuation": _TEXTS,
        "is_different": "true or false",
        "patch_position": {
            "counterfact_pos": "whole number",
            "counterfact_text_token": "text",
            VECTOR: "list of numbers",
            "orig_pos": "whole number",
            "orig_text_token": "text",
        },
        "counterfactual_text": "text",
        "gt_original_target": "text",
        "gt_counterfactual_target": "text",
    },
    ABLATIONS: {
        **dict.fromkeys(("zeroshot_prediction", "random_hint_prediction"), "text"),
        **dict.fromkeys(("original_user_prompt", "hint_user_prompt"), "text"),
        **dict.fromkeys(("system_prompt", "hint"), "text"),
        "changed_pred_bc_hint": "true or false",
    },
}
"""The columns that are read, by task; others may be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTarget:
    """A target of the paper."""

    location: str  # hub id of the model
    n_layers: int  # decoder layers
    d_model: int = 4096  # width of the residual stream

    @property
    def fields(self) -> dict[str, Any]:
        """What a manifest says of it."""
        size = {"n_layers": self.n_layers, "d_model": self.d_model}
        name = self.location.rpartition("/")[2].lower()
        return {"name": name, "source": "hub", "location": self.location, **size}


QWEN = PaperTarget(location="Qwen/Qwen3-8B", n_layers=36)
LLAMA = PaperTarget(location="meta-llama/Llama-3.1-8B", n_layers=32)
INSTRUCT = PaperTarget(location="meta-llama/Llama-3.1-8B-Instruct", n_layers=32)

FEATURES, ARCHIVE = "feature-descriptions", "SAE_feature_explanations_llama3.1_8b"
N_FEATURES = 1600  # that the paper's configurations take, from the beginning of the list of test
UNPICKLE = Path(__file__).with_name("unpickle.py")

DATASETS: Mapping[str, Mapping[str, tuple[str, PaperTarget]]] = {
    "qwen3-8b": {
        PATCHING: ("Transluce/act_patch_qwen3_8b_counterfact", QWEN),
        ABLATIONS: ("Transluce/input_ablation_qwen3_8b_mmlu_hint", QWEN),
    },
    "llama-3.1-8b": {
        PATCHING: ("Transluce/act_patch_llama_3.1_8b_counterfact", LLAMA),
        ABLATIONS: ("Transluce/input_ablation_llama_3.1_8b_instruct_mmlu_hint", INSTRUCT),
        FEATURES: (ARCHIVE, LLAMA),
    },
}
"""Hub id, or name of an archive, and target, by the name after `--target` and task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSource:
    """A dataset that can be read."""

    folder: Path  # where its files are
    said: Mapping[str, Any]  # what a manifest says of where it comes from

    def rows(self, split: str, task: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield `(number from 0, row)` of a split; a vector is float32 (d_target,), or None.

        Raises IntegrityError: a column is missing or of another type.
        """
        columns = COLUMNS[task]
        dataset = _open(self.folder, split)
        for name, kind in columns.items():
            found = _kind(dataset.features.arrow_schema, name)
            if found != kind and found != "nothing":
                raise IntegrityError(f"{self.folder}, {split}: column {name}: {found}, not {kind}")
        dataset = dataset.select_columns(list(columns)).with_format("arrow")
        for start in range(0, len(dataset), BATCH):
            table = dataset[start : start + BATCH]
            read = {name: _values(table.column(name)) for name in columns}
            for place in range(len(table)):
                yield start + place, {name: values[place] for name, values in read.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureArchive:
    """The folder that the archive unpacks to."""

    folder: Path

    @property
    def said(self) -> Mapping[str, Any]:
        """What a manifest says of where it comes from; layers of 1 GB each are not hashed."""
        path = self.folder / "explanations" / "test_explanations.pkl"
        return {"dataset": ARCHIVE, "files_sha256": {path.name: sha256_file(path)}}

    def rows(self, split: str, task: str) -> Iterator[tuple[int, dict[str, Any]]]:  # noqa: ARG002
        """Yield `(number from 0, row)`; the vector is float32 (d_target,), or None."""
        with tempfile.TemporaryDirectory() as out:
            words = [
                sys.executable,
                "-I",
                str(UNPICKLE),
                str(self.folder),
                split,
                str(N_FEATURES),
                out,
            ]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["it ended early"])[-1]
                raise IntegrityError(f"{self.folder}: cannot convert its features: {said[:300]}")
            labels = json.loads((Path(out) / "labels.json").read_text("utf-8"))
            vectors = load_file(Path(out) / "vectors.safetensors")
        for number, row in enumerate(labels):
            yield number, {**row, "vector": vectors.get(str(number))}


def find_source(
    target: str, task: str, source: Path | None, revision: str | None, splits: tuple[str, ...]
) -> PaperSource | FeatureArchive:
    """Find the dataset of a target and task: a folder, or the hub's at a commit."""
    name, _ = DATASETS[target][task]
    if task == FEATURES:
        if source is None or not (source / "explanations" / "test_explanations.pkl").is_file():
            raise MissingPartError(
                f"features are on no hub: unpack {ARCHIVE}.tar.gz, whose address is in the README "
                "of the paper's repository, and give its folder (with explanations and features) "
                "with --source"
            )
        return FeatureArchive(folder=source)
    if source is None:
        patterns = tuple(f"data/{split}-*.parquet" for split in splits)
        instead = "give a folder of its files with --source"
        folder = download(name, revision, instead=instead, patterns=patterns, kind="dataset")
        return PaperSource(folder=folder, said={"dataset": name, "revision": folder.name})
    if revision is not None:
        raise UsageError("--revision is of the hub; a folder given with --source is what it is")
    if not source.is_dir():
        raise MissingPartError(f"cannot read {source}: no such folder")
    files = [path for split in splits for path in _parquet(source, split) + _arrow(source, split)]
    hashes = {path.relative_to(source).as_posix(): sha256_file(path) for path in files}
    return PaperSource(folder=source, said={"dataset": name, "files_sha256": hashes})


def _parquet(folder: Path, split: str) -> list[Path]:
    return sorted([*folder.glob(f"data/{split}-*.parquet"), *folder.glob(f"{split}-*.parquet")])


def _arrow(folder: Path, split: str) -> list[Path]:
    return sorted((folder / split).glob("*.arrow"))


def _open(folder: Path, split: str) -> Any:
    import datasets

    try:
        if _arrow(folder, split):
            return datasets.load_from_disk(folder / split, keep_in_memory=False)
        if files := _parquet(folder, split):
            names = {split: [str(path) for path in files]}
            where = str(cache_dir() / "datasets")
            return datasets.load_dataset("parquet", data_files=names, split=split, cache_dir=where)
    except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
        said = " ".join(str(error).split())[:200]
        raise IntegrityError(f"{folder}, {split}: not a readable dataset: {said}") from error
    raise MissingPartError(
        f"{folder} has no split {split}: neither {split}-*.parquet nor {split}/*.arrow"
    )


def _kind(schema: Any, name: str) -> str | dict[str, str]:
    """Name the type of a column as `COLUMNS` does."""
    import pyarrow

    def named(kind: Any) -> str:
        tests = {
            "true or false": pyarrow.types.is_boolean,
            "whole number": pyarrow.types.is_integer,
            "number": pyarrow.types.is_floating,
            "text": lambda one: pyarrow.types.is_string(one) or pyarrow.types.is_large_string(one),
            "nothing": pyarrow.types.is_null,
        }
        if isinstance(kind, pyarrow.ListType | pyarrow.LargeListType | pyarrow.FixedSizeListType):
            inside = named(kind.value_type)
            return f"list of {inside}{'s' * inside.endswith('number')}"
        return next((name for name, test in tests.items() if test(kind)), str(kind))

    if name not in schema.names:
        return "missing"
    kind = schema.field(name).type
    if isinstance(kind, pyarrow.StructType):
        return {part.name: named(part.type) for part in kind}
    return named(kind)


def _values(column: Any) -> list[Any]:
    """Values of a column; of places, vectors stay arrays."""
    import pyarrow

    if not isinstance(column.type, pyarrow.StructType):
        return list(column.to_pylist())
    names = [part.name for part in column.type]
    return [
        {name: _value(scalar[name], name) for name in names} if scalar.is_valid else None
        for scalar in column
    ]


def _value(scalar: Any, name: str) -> Any:
    if name != VECTOR or not scalar.is_valid:
        return scalar.as_py()
    return scalar.values.to_numpy(zero_copy_only=False)
