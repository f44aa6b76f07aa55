"""A suite on disk: one target x task x version, frozen; every byte is checked as it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .. import files
from ..cache import Progress, silent
from ..errors import IntegrityError, UsageError, check_choice
from ..records import SPLITS, Answer, Choice, Description, FeatureTruth, GroundTruth, Query
from . import features as suite_features
from . import rows as suite_rows
from .manifest import MANIFEST, read_manifest
from .subset import Amount, draw_groups

MINI = "mini"
REFERENCES = "references"  # Truth of imported features: descriptions alone
ALL_SPLITS = (*SPLITS, MINI)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One frozen suite. Reading a file checks it against the manifest's hash, every time."""

    root: Path  # Folder of the suite
    manifest: Mapping[str, Any]  # Contents of `manifest.json`
    n_train: Amount | None = None  # Training queries that are seen, see `draw_groups`; None: all

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
        return self.manifest.get("truth") in ("descriptions", REFERENCES)

    @property
    def has_windows(self) -> bool:
        """Whether its truth has activations of features, and not imported references alone."""
        return self.describes and self.manifest["truth"] != REFERENCES

    @property
    def prompt_sha256(self) -> str:
        """Hash over the prompt templates the suite was made with."""
        return str(self.manifest["prompt_sha256"])

    def queries(self, split: str) -> tuple[Query, ...]:
        """Return the queries of a split, in the order of the file."""
        queries = self._queries(split)
        kept = self._kept(split, queries)
        return tuple(query for key, query in queries.items() if key in kept)

    def _queries(self, split: str) -> dict[str, Query]:
        folder = self.folder(split)
        found = self._rows(f"{folder}/queries.jsonl", suite_rows.query)
        self._check_count(folder, "queries", len(found))
        return found

    def _check_count(self, split: str, what: str, found: int) -> None:
        count = self.manifest["splits"][split].get(what)
        if count != found:
            raise IntegrityError(
                f"{self.root / MANIFEST}: splits.{split}.{what} is {count}, the file has {found}"
            )

    def vectors(self, split: str) -> npt.NDArray[np.float16]:
        """Vectors of a split, float16 (n_vectors, d_target); `Query.vector` is the row."""
        return suite_rows.read_vectors(self, split)

    def truth(self, split: str) -> dict[str, GroundTruth]:
        """Return the ground truth of a split by query id, in the order of the file."""
        return self._answers(split, "truth", suite_rows.ground_truth)

    def feature_truth(self, split: str) -> dict[str, FeatureTruth]:
        """Return what is known about a split's features by query id, in the order of the file."""
        return self._answers(split, "truth", suite_features.feature_truth)

    def answers(self, split: str) -> dict[str, Answer | Choice | Description]:
        """Return the right answers of a split by query id, whatever its truth is."""
        truth = self.feature_truth(split) if self.describes else self.truth(split)
        return {key: found.answer for key, found in truth.items()}

    def oracle(self, split: str) -> dict[str, dict[str, Any]]:
        """Return by query id what oracle baselines get: `clean`, and `source` or None.

        Of patching also `origin`, where the vector was read: `text`, `position`, `token`,
        `subject`, `relation`.
        """
        return self._answers(split, "oracle", suite_rows.oracle)

    def verify(self, progress: Progress = silent) -> None:
        """Check every byte and cross-reference; `progress` gets name, files done, files."""
        listed = self.manifest["files"]
        for done, name in enumerate(sorted(listed)):
            progress(name, done, len(listed))
            self.read(name)
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if not path.is_dir() and name != MANIFEST and name not in listed:
                raise IntegrityError(f"{path}: not in the suite's manifest; remove it")
        owners: dict[str, str] = {}
        for split in self.splits:
            self._verify_split(split, owners)
        if "validation" not in self.splits:
            return
        mini = {query.id: query.group for query in self.queries(MINI)}
        for query in self.queries("validation"):
            if query.group in mini.values() and query.id not in mini:
                raise IntegrityError(
                    f"{self.root / MANIFEST}: mini has a part of group {query.group} only"
                )

    def _verify_split(self, split: str, owners: dict[str, str]) -> None:
        """Check one split; `owners` maps each id and group seen so far to its split."""
        queries = self.queries(split)
        groups = {query.group for query in queries}
        self._check_count(split, "groups", len(groups))
        for key in sorted(groups) + [query.id for query in queries]:
            if owners.setdefault(key, split) != split:
                raise IntegrityError(f"{self.root}: {key} is in both {owners[key]} and {split}")
        suite_rows.checked_vectors(self, split, queries)
        if self.has_windows:
            suite_features.verify_split(self, split)
        elif self.describes:
            self.feature_truth(split)
        else:
            self.truth(split)
            self.oracle(split)

    def _answers(self, split: str, part: str, build: Callable[[dict[str, Any]], T]) -> dict[str, T]:
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

    def _rows(self, name: str, build: Callable[[dict[str, Any]], T]) -> dict[str, T]:
        return _parsed(self.read(name), str(self.root / name), build)

    def folder(self, split: str) -> str:
        """Return the folder that holds a split."""
        check_choice("split", split, ALL_SPLITS)
        folder = "validation" if split == MINI else split
        if folder not in self.splits:
            part = "of another suite's train" if "held_out" in self.manifest else "as a fresh suite"
            part = "as an import" if "imported" in self.manifest else part
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
            wrong = "listed in the manifest, but missing"
        elif (size := path.stat().st_size) != entry["bytes"]:  # said before anything is read
            wrong = f"{size} bytes, {entry['bytes']} bytes expected"
        else:
            with files.open_regular(path) as stream:
                data = stream.read(size)
            if (found := files.sha256_bytes(data)) == entry["sha256"]:
                return data
            wrong = f"sha256 is {found}, the manifest says {entry['sha256']}"
        raise IntegrityError(f"{path}: {wrong}; fetch the suite again")


@lru_cache(maxsize=16)
def _parsed(data: bytes, path: str, build: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Records by id; the same bytes are read once, however many runs are scored on them."""
    found: dict[str, Any] = {}
    for number, line in files.iter_lines(BytesIO(data), path):
        where = f"{path}:{number}"
        row = files.parse_object(line, where)
        try:
            record, key = build(row), suite_rows.hex_id(row, "id")
        except IntegrityError as error:
            raise IntegrityError(f"{where}: {error}") from error
        if key in found:
            raise IntegrityError(f"{where}: id {key} appears twice")
        found[key] = record
    return found


def open_suite(root: Path, *, sha256: str | None = None) -> Suite:
    """Open a suite's folder and check its manifest, reading none of its data."""
    return Suite(root=root, manifest=read_manifest(root / MANIFEST, sha256=sha256))
