"""The query browser's data: scripts of a page's folder that hand JSON to a loader.

Owns their form. `q/<key>-0.js` is an index: ids of the queries and, for each entry, a 0 or 1 a
query, so that filters need nothing else. The others hold `PER_SHARD` queries each, with every
entry's reply. A script and not JSON, because a page that was opened from a disk may not fetch a
file; it holds one call, whose argument is JSON in ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .render import script_json

PER_SHARD = 50
"""Queries in a shard."""
MAX_REPLY = 1_000
"""Most characters of a reply that are shown; run files hold all."""

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query as the browser shows it."""

    id: str
    """The query's id."""
    about: tuple[str, ...]
    """Its kind, layers and the like."""
    asked: str
    """The question as the explainer saw it."""
    truth: str
    """The ground truth as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an entry said to a query."""

    raw: str | None
    """Raw text, or None if there is none."""
    read: str | None
    """What was read in it, or None if nothing could be."""
    score: str
    """The query's own score as text."""
    right: bool
    """Whether it counts as right in the browser's filters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All queries of a task with all replies."""

    key: str
    """Suite and task, such as `smollm2-135m-input-ablations`: part of the files' names."""
    title: str
    """What the browser calls it."""
    queries: tuple[Asked, ...]
    """Queries, in the suite's order."""
    entries: tuple[tuple[str, str], ...]
    """Id and display name of each entry, best first."""
    replies: tuple[tuple[Reply, ...], ...]
    """By entry, a reply a query."""

    def __post_init__(self) -> None:
        """Refuse a key that is no file name, and replies that are not one a query."""
        if not _KEY.fullmatch(self.key):
            raise ValueError(f"key {self.key!r} cannot be part of a file's name")
        if len(self.entries) != len(self.replies):
            raise ValueError("entries and replies differ in number")
        if any(len(own) != len(self.queries) for own in self.replies):
            raise ValueError("an entry has not one reply a query")


def shards(sheet: Sheet) -> Iterator[tuple[str, bytes]]:
    """Yield name, such as `KEY-0.js`, and bytes of each file of a sheet, the index first."""
    index = {
        "ids": [query.id for query in sheet.queries],
        "entries": [{"id": id, "name": name} for id, name in sheet.entries],
        "right": ["".join("01"[reply.right] for reply in own) for own in sheet.replies],
    }
    yield _file(sheet.key, 0, index)
    for number, start in enumerate(range(0, len(sheet.queries), PER_SHARD), 1):
        part = range(start, min(start + PER_SHARD, len(sheet.queries)))
        yield _file(sheet.key, number, {"queries": [_query(sheet, place) for place in part]})


def setup(sheets: Sequence[Sheet]) -> list[dict[str, Any]]:
    """Return what the page must know before it loads a shard."""
    return [
        {"key": sheet.key, "title": sheet.title, "n": len(sheet.queries), "per_shard": PER_SHARD}
        for sheet in sheets
    ]


def _query(sheet: Sheet, place: int) -> dict[str, Any]:
    query = sheet.queries[place]
    return {
        "id": query.id,
        "about": list(query.about),
        "asked": query.asked,
        "truth": query.truth,
        "replies": [_reply(own[place]) for own in sheet.replies],
    }


def _reply(reply: Reply) -> list[Any]:
    return [_cut(reply.raw), _cut(reply.read), reply.score, int(reply.right)]


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= MAX_REPLY:
        return text
    return f"{text[:MAX_REPLY]} … ({len(text)} characters in all)"


def _file(key: str, number: int, data: object) -> tuple[str, bytes]:
    call = f'IB.load("{key}",{number},{script_json(data)});\n'
    return f"{key}-{number}.js", call.encode()
