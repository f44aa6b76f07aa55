"""Entry point: `introspect-bench` and `python -m introspect_bench`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .cli import run_command_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with words, by default the process's own; return its exit code."""
    return run_command_line(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
