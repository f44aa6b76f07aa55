"""Refuses to build from a tree that lacks a folder: hatchling leaves out what it does not find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDERS = ("src/introspect_bench", "benchmark", "tasks", "baselines", "leaderboard")


class WholeTree(BuildHookInterface[Any]):
    """Looks for every folder of the package before anything is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Refuse.

        Raises:
            FileNotFoundError: a folder of the package has no `__init__.py`.
        """
        for folder in FOLDERS:
            if not (Path(self.root) / folder / "__init__.py").is_file():
                raise FileNotFoundError(
                    f"{folder}/__init__.py is missing: check the tree out again"
                )
