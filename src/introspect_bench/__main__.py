"""Entry point: `introspect-bench` and `python -m introspect_bench`.

Before any other import of ours: four folders of the package are symbolic links in a checkout, and a
checkout or archive without links holds text files instead.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

LINKS = ("benchmark", "tasks", "baselines", "leaderboard")
"""Folders of the package that are links in a checkout, folders in a wheel."""


def broken_link(package: Path) -> str | None:
    """Return the name of the first folder of the package that is not a folder, or None."""
    return next((name for name in LINKS if not (package / name).is_dir()), None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    broken = broken_link(Path(__file__).parent)
    if broken is not None:
        sys.stderr.write(
            f"introspect-bench: error: src/introspect_bench/{broken} should be a link to a folder, "
            "but this copy was made without symbolic links; in a git checkout run "
            "`git config core.symlinks true && git checkout -- src`, and install from git, a "
            "tarball or a wheel, not from a .zip\n"
        )
        return 3
    from introspect_bench.cli import run_command_line

    return run_command_line(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
