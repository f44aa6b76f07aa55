"""What an explainer says of its own confidence, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from program import Call, succeeded

import introspect_bench as ib

PATCHING = "activation-patching"
SURE = """
from introspect_bench.benchmark.records import Completion
class Sure:
    def complete(self, prompts):
        return [Completion(text="changed: Rome", confidence=0.25) for _ in prompts]
"""


def test_it_is_scored_and_shown_and_ranks_nothing(call: Call, here: Path) -> None:
    (here / "sure.py").write_text(SURE)
    words = ("run", "-m", "py:sure:Sure", "--suite", "toy", "-t", PATCHING, "--no-score")
    succeeded(call(*words))
    (run,) = Path("runs").glob("*.jsonl")
    result = json.loads(call("score", str(run), "--suite", "toy", "--json")[1])["results"][0]
    assert result["confidence"]["confidence"]["mean"] == 0.25
    assert result["confidence"]["confidence"]["n"] == result["overall"]["n"]
    assert "confidence" not in result["metrics"]
    rows = ib.show(str(run), suite="toy")
    assert {row["confidence"] for row in rows} == {0.25}
