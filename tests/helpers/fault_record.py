"""Figures of the scripts that try faults, where `doctor --report` reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from introspect_bench.benchmark._version import __version__

RECORD = Path(__file__).parents[2] / "src" / "introspect_bench" / "faults.json"


def record(script: str, counts: Mapping[str, int], seed: int) -> None:
    """Write what one script counted, beside what the other did."""
    said = {"seed": seed, "date": f"{datetime.now(UTC):%Y-%m-%d}", "version": __version__}
    known = json.loads(RECORD.read_text())
    RECORD.write_text(json.dumps(known | {script: {**counts, **said}}, indent=1) + "\n")
