"""Replies of judges on disk, each under the hash of all that was asked.

Owns the files of one cache folder. A reply is written once, whole or not at all, and stands under
the sha256 of model, prompt, settings and messages; addresses and keys are no part of it. A file
whose question does not hash to its name is refused, never repaired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..errors import IntegrityError

SCHEMA = "introspect-bench/judge-reply/1"
"""Schema of a file."""


class JudgeCache:
    """Replies of one judge with one prompt."""

    def __init__(
        self, folder: Path, *, model: str, prompt: str, settings: Mapping[str, Any]
    ) -> None:
        """Name the folder and the judge; nothing is written yet.

        Args:
            folder: the cache's folder; judges may share it.
            model: name of the judge's model.
            prompt: hash of the prompt.
            settings: everything else that could change a reply, as JSON values.
        """
        self.folder = folder
        self._judge = {"model": model, "prompt": prompt, "settings": dict(settings)}

    def key(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return the sha256 that a reply to these messages stands under."""
        return _hash(self._question(messages))

    def get(self, key: str) -> str | None:
        """Return the raw reply, or None if it is not there.

        Raises:
            IntegrityError: the file is not strict JSON of this schema, or of another question.
        """
        path = self._path(key)
        if not path.exists():
            return None
        stored = files.read_json(path)
        raw, question = stored.get("raw"), stored.get("question")
        if stored.get("schema") != SCHEMA or not isinstance(raw, str) or _hash(question) != key:
            raise IntegrityError(
                f"{path}: not the reply its name stands for; remove it to have it asked again"
            )
        return raw

    def put(self, key: str, messages: Sequence[Mapping[str, str]], raw: str) -> None:
        """Keep a raw reply, malformed or not.

        Raises:
            MissingPartError: the disk is full or the folder can't be written.
        """
        value = {"schema": SCHEMA, "question": self._question(messages), "raw": raw}
        files.write_json_atomic(self._path(key), value)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def _question(self, messages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        return {**self._judge, "messages": [dict(message) for message in messages]}


def _hash(question: object) -> str:
    return files.sha256_bytes(files.canonical_json(question).encode())
