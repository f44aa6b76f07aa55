"""A plugin of mypy's that shows it the package as a wheel holds it.

Mypy does not read `__path__`, so it can't know that the four folders are parts of the package. This
makes a folder in its cache where they are, which `mypy_path` names.
"""

from __future__ import annotations

from pathlib import Path

from mypy.plugin import Plugin

TOP = Path(__file__).parents[2]
FOLDERS = ("benchmark", "tasks", "baselines", "leaderboard")


def plugin(_version: str) -> type[Plugin]:
    """Make the folder, if it is not there; the plugin itself changes nothing."""
    package = TOP / ".mypy_cache" / "layout" / "introspect_bench"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()  # without it a package that is installed comes first
    for name in FOLDERS:
        link = package / name
        if not link.is_symlink():
            link.symlink_to(TOP / name, target_is_directory=True)
    return Plugin
