"""Replies of judges on disk, each under the hash of all that was asked.

A reply is written once, whole or not at all, under the sha256 of model, prompt, settings and
messages. A file whose question does not hash to its name is refused, never repaired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from introspect_bench.benchmark import files
from introspect_bench.benchmark.errors import IntegrityError

SCHEMA = "introspect-bench/judge-reply/1"


class JudgeCache:
    """Replies of one judge with one prompt."""

    def __init__(
        self, folder: Path, *, model: str, prompt: str, settings: Mapping[str, Any]
    ) -> None:
        """Name the folder, which judges may share, and whatever could change a reply."""
        self.folder = folder
        self._judge = {"model": model, "prompt": prompt, "settings": dict(settings)}

    def key(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return the sha256 that a reply to these messages stands under."""
        return _hash(self._question(messages))

    def get(self, key: str) -> str | None:
        """Return the raw reply, or None if it is not there."""
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
        """Keep a raw reply, malformed or not."""
        value = {"schema": SCHEMA, "question": self._question(messages), "raw": raw}
        files.write_json_atomic(self._path(key), value)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def _question(self, messages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        return {**self._judge, "messages": [dict(message) for message in messages]}


def _hash(question: object) -> str:
    return files.sha256_bytes(files.canonical_json(question).encode())
