"""Prompt templates: which one a query gets, its text, and the hash of the wording.

Owns the folders `prompts/` of the tasks: `N.instructions.jinja` is the same for every query,
`N.question.jinja` is about one query; N counts from 1. Holds no wording itself and draws nothing at
random.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..benchmark.errors import IntegrityError
from ..benchmark.task import Rendered

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # plain text for language models: escaping would change the words
    return Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=False)


@cache
def n_templates(folder: Path) -> int:
    """Number of templates in a prompts folder.

    Raises IntegrityError: the files are not `1..N`, each with instructions and a question.
    """
    names = {path.name for path in folder.glob("*.jinja")}
    count = len(names) // 2
    wanted = {
        f"{number}.{part}.jinja"
        for number in range(1, count + 1)
        for part in ("instructions", "question")
    }
    if not names or names != wanted:
        raise IntegrityError(
            f"{folder}: expected N.instructions.jinja and N.question.jinja for N = 1, 2, ..., "
            f"found {', '.join(sorted(names)) or 'none'}; reinstall the package"
        )
    return count


def template_number(query_id: str, count: int) -> int:
    """Template of a query, 1 to `count`: the sha256 of its id modulo `count`, never a draw."""
    return int(hashlib.sha256(query_id.encode()).hexdigest(), 16) % count + 1


def render_prompt(folder: Path, *, task: str, query_id: str, values: Mapping[str, Any]) -> Rendered:
    """Render one query with the template its id selects.

    Raises jinja2.UndefinedError: the template uses a value that is not given.
    """
    number = template_number(query_id, n_templates(folder))
    return Rendered(
        template=f"{task}/{number}",
        instructions=render_file(folder, f"{number}.instructions", {}),
        question=render_file(folder, f"{number}.question", values),
    )


def render_file(folder: Path, name: str, values: Mapping[str, Any]) -> str:
    """Render the template `NAME.jinja` of a folder."""
    return _environment(folder).get_template(f"{name}.jinja").render(values)


@cache
def prompts_sha256(folder: Path, *, inside: bool = True) -> str:
    """Hash of all template files with their names, `inside` for those in folders inside too.

    Any change of wording is visible in it.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.jinja") if inside else folder.glob("*.jinja")):
        digest.update(
            f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() + b"\0"
        )
    return digest.hexdigest()
