"""The hash of every shipped manifest, which ties every byte of the suites to this package.

Owns `suites/SHA256SUMS`, in the form `sha256sum` writes and checks.
"""

from __future__ import annotations

from pathlib import Path

SUMS = Path(__file__).parent / "suites" / "SHA256SUMS"
"""A line a manifest: its sha256, two spaces, its path below `suites`."""


def pins() -> dict[str, str]:
    """Return the sha256 of every shipped manifest by `SUITE/TASK/VERSION`."""
    rows = [line.split() for line in SUMS.read_text("utf-8").splitlines()]
    return {name.rpartition("/")[0]: sha256 for sha256, name in rows}
