"""The published archive of features: unpacked by its user, unpickled in a process of its own."""

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

from ....benchmark.errors import IntegrityError, MissingPartError
from ....benchmark.files import canonical_json, sha256_file
from .convert import Converted, RowError, float16, measured
from .published import ARCHIVE, PaperTarget

TEST = 1600  # features that the paper's configurations take, from the beginning of the list
SAE = "sae"  # kind of all queries
_CODE = Path(__file__).with_name("unpickle.py")


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
            words = [sys.executable, "-I", str(_CODE), str(self.folder), split, str(TEST), out]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["it ended early"])[-1]
                raise IntegrityError(f"{self.folder}: cannot convert its features: {said[:300]}")
            labels = json.loads((Path(out) / "labels.json").read_text("utf-8"))
            vectors = load_file(Path(out) / "vectors.safetensors")
        for number, row in enumerate(labels):
            yield number, {**row, "vector": vectors.get(str(number))}


def find_archive(source: Path | None) -> FeatureArchive:
    """Find the unpacked archive."""
    if source is None or not (source / "explanations" / "test_explanations.pkl").is_file():
        raise MissingPartError(
            f"features are on no hub: unpack {ARCHIVE}.tar.gz, whose address is in the README of "
            "the paper's repository, and give its folder (with explanations and features) with "
            "--source"
        )
    return FeatureArchive(folder=source)


def feature(row: Mapping[str, Any], number: int, target: PaperTarget) -> Converted:
    """Convert a feature: its column of the decoder, and its labels, the chosen one first."""
    if "error" in row:
        raise RowError(row["error"])
    if not 0 <= row["layer"] < target.n_layers or row["vector"] is None:
        raise RowError(f"there is no feature {row['feature']} of layer {row['layer']}")
    labels, vector = row["labels"], float16(row["vector"], target.d_model)
    origin = {"row": number, "feature": row["feature"], "scores": row["scores"]}
    query = measured(SAE, {"layer": row["layer"]}, (labels[0], labels[0]), origin, vector, labels)
    name = f"{row['layer']}/{row['feature']}"
    return Converted(query=query, group=name, claim=(name, canonical_json(labels)))
