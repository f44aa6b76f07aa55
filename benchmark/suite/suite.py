"""A suite on disk: one target x task x version, frozen; every byte is checked as it is read.

Owns the layout of a suite's folder and the checks that make its parts one whole. A *split* is a
folder of files; `mini` is a fixed part of `validation`. Truth and oracle hints are separate files
with separate readers, so that whoever answers queries can be kept from them. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .. import files
from ..errors import IntegrityError, UsageError
from ..records import SPLITS, Answer, Choice, Description, FeatureTruth, GroundTruth, Query
from . import checks as suite_checks
from . import rows as suite_rows
from .manifest import MANIFEST, read_manifest
from .rows import read_vectors
from .subset import Amount, draw_groups

MINI = "mini"
"""Name of the split that is part of another."""
ALL_SPLITS = (*SPLITS, MINI)
"""Every name a split can have."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One frozen suite. Reading a file checks it against the manifest's hash, every time."""

    root: Path
    """Folder of the suite."""
    manifest: Mapping[str, Any]
    """Contents of `manifest.json`."""
    n_train: Amount | None = None
    """Training queries that are seen, drawn by `draw_groups` with seed 0; all if None."""

    @property
    def name(self) -> str:
        """Name of the suite, such as `smollm2-135m`."""
        return str(self.manifest["suite"])

    @property
    def task(self) -> str:
        """Name of the task."""
        return str(self.manifest["task"])

    @property
    def version(self) -> str:
        """Version of the task, such as `v1`."""
        return str(self.manifest["version"])

    @property
    def frozen(self) -> bool:
        """Whether it is frozen; a draft was written although it misses its bars."""
        return bool(self.manifest["frozen"])

    @property
    def data_sha256(self) -> str:
        """Hash over the hashes of all files: equal only if every byte is."""
        return str(self.manifest["data_sha256"])

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits it has: all, test alone if it is a fresh one, no test if it is held out."""
        return tuple(split for split in SPLITS if split in self.manifest["splits"])

    @property
    def describes(self) -> bool:
        """Whether its truth is descriptions of features, and not outcomes of interventions."""
        return self.manifest.get("truth") == "descriptions"

    @property
    def prompt_sha256(self) -> str:
        """Hash over the prompt templates the suite was made with."""
        return str(self.manifest["prompt_sha256"])

    def queries(self, split: str) -> tuple[Query, ...]:
        """Return the queries of a split, in the order of the file.

        Raises:
            UsageError: no such split.
            IntegrityError: the file is not what the manifest says, or ids repeat.
        """
        found = self._queries(split)
        kept = self._kept(split, found)
        return tuple(query for key, query in found.items() if key in kept)

    def _queries(self, split: str) -> dict[str, Query]:
        """Return all queries in the split's folder."""
        folder = self.folder(split)
        found = self._rows(f"{folder}/queries.jsonl", suite_rows.query)
        count = self.manifest["splits"][folder].get("queries")
        if count != len(found):
            raise IntegrityError(
                f"{self.root / MANIFEST}: splits.{folder}.queries is {count}, "
                f"the file has {len(found)}"
            )
        return found

    def vectors(self, split: str) -> npt.NDArray[np.float16]:
        """Return the vectors of a split, float16 (n_vectors, d_target); `Query.vector` is the row.

        Raises:
            UsageError: no such split, or the suite has no vectors.
            IntegrityError: the file is not what the manifest says, or is not finite float16.
        """
        return read_vectors(self, split)

    def truth(self, split: str) -> dict[str, GroundTruth]:
        """Return the ground truth of a split by query id, in the order of the file.

        Raises:
            UsageError: no such split.
            IntegrityError: the file is not what the manifest says, or its ids are not the
                queries' ids.
        """
        return self._answers(split, "truth", suite_rows.ground_truth)

    def feature_truth(self, split: str) -> dict[str, FeatureTruth]:
        """Return what is known about a split's features by query id, in the order of the file.

        Raises:
            UsageError: no such split.
            IntegrityError: as for `truth`.
        """
        return self._answers(split, "truth", suite_rows.feature_truth)

    def answers(self, split: str) -> dict[str, Answer | Choice | Description]:
        """Return the right answers of a split by query id, whatever its truth is.

        Raises:
            UsageError: no such split.
            IntegrityError: as for `truth`.
        """
        truth = self.feature_truth(split) if self.describes else self.truth(split)
        return {key: found.answer for key, found in truth.items()}

    def oracle(self, split: str) -> dict[str, dict[str, Any]]:
        """Return what oracle baselines are told, by query id.

        Each value is `{"clean": str, "source": str | None}`, of patching also `origin`: the text
        and token that the vector was read at (`text`, `position`, `token`, `subject`, `relation`).

        Raises:
            UsageError: no such split.
            IntegrityError: the file is not what the manifest says, or its ids are not the
                queries' ids.
        """
        return self._answers(split, "oracle", suite_rows.oracle)

    def verify(self, on_progress: Callable[[str, int, int], None] | None = None) -> None:
        """Check every byte and every cross-reference of the suite.

        Args:
            on_progress: called with file name, files done and files in all.

        Raises:
            IntegrityError: the first thing that is wrong, naming the file, and both hashes if
                they differ.
        """
        suite_checks.verify(self, on_progress)

    def _answers(
        self, split: str, part: str, build: Callable[[dict[str, Any]], tuple[str, T]]
    ) -> dict[str, T]:
        folder = self.folder(split)
        name = f"{folder}/{part}.jsonl"
        found = self._rows(name, build)
        expected = self._queries(split)
        if odd := sorted(expected.keys() ^ found.keys()):
            what = "has no query" if odd[0] in found else "is missing"
            raise IntegrityError(f"{self.root / name}: id {odd[0]} {what}")
        kept = self._kept(split, expected)
        return {key: value for key, value in found.items() if key in kept}

    def _kept(self, split: str, found: Mapping[str, Query]) -> set[str]:
        """Return which ids of the split's folder belong to the split."""
        if split == "train" and self.n_train is not None:
            return {one.id for one in draw_groups([*found.values()], self.n_train, seed=0)}
        if split != MINI:
            return set(found)
        mini = set(self.manifest["mini"])
        if unknown := sorted(mini - found.keys()):
            raise IntegrityError(
                f"{self.root / MANIFEST}: mini id {unknown[0]} is not in validation"
            )
        return mini

    def _rows(self, name: str, build: Callable[[dict[str, Any]], tuple[str, T]]) -> dict[str, T]:
        """Read a JSONL file of the suite into records by id."""
        path = str(self.root / name)
        found: dict[str, T] = {}
        for number, line in files.iter_lines(BytesIO(self.read(name)), path):
            where = f"{path}:{number}"
            row = files.parse_object(line, where)
            try:
                key, record = build(row)
            except IntegrityError as error:
                raise IntegrityError(f"{where}: {error}") from error
            if key in found:
                raise IntegrityError(f"{where}: id {key} appears twice")
            found[key] = record
        return found

    def folder(self, split: str) -> str:
        """Return the folder that holds a split.

        Raises:
            UsageError: no such split.
        """
        if split not in ALL_SPLITS:
            raise UsageError(f"unknown split {split!r}; choose from {', '.join(ALL_SPLITS)}")
        folder = "validation" if split == MINI else split
        if folder not in self.splits:
            part = "of another suite's train" if "held_out" in self.manifest else "as a fresh suite"
            raise UsageError(
                f"{self.root} has no split {split}: it was made with {', '.join(self.splits)} "
                f"alone, {part}"
            )
        return folder

    def read(self, name: str) -> bytes:
        """Return a file's bytes after checking them; hash and contents come from the same read."""
        path = self.root / name
        entry = self.manifest["files"].get(name)
        if entry is None:
            raise UsageError(f"suite {self.name}/{self.task}/{self.version} has no file {name}")
        if path.is_symlink() or not path.is_file():
            raise IntegrityError(
                f"{path}: listed in the manifest, but missing; fetch the suite again"
            )
        size = path.stat().st_size
        if size != entry["bytes"]:  # said before anything is read, however large it is
            raise IntegrityError(
                f"{path}: {size} bytes, {entry['bytes']} bytes expected; fetch the suite again"
            )
        with files.open_regular(path) as stream:
            data = stream.read(size)
        found = files.sha256_bytes(data)
        if found != entry["sha256"]:
            raise IntegrityError(
                f"{path}: sha256 is {found}, the manifest says {entry['sha256']}; "
                f"fetch the suite again"
            )
        return data


def open_suite(root: Path, *, sha256: str | None = None) -> Suite:
    """Open a suite's folder and check its manifest, reading none of its data.

    Args:
        root: the folder.
        sha256: what the manifest must hash to, if that is known.

    Raises:
        UsageError: there is no manifest.
        IntegrityError: the manifest has another hash or schema, a field is missing or of the wrong
            type, a self-test of its builder did not pass, or it contradicts its own hash.
    """
    return Suite(root=root, manifest=read_manifest(root / MANIFEST, sha256=sha256))
