"""What the process without a target says: a finding, an expected error, or how user code failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from introspect_bench.benchmark.models.withheld import WithheldError
from introspect_bench.leaderboard.verification import recheck


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (WithheldError("the weights are withheld"), {"failed": "the weights are withheld"}),
        (KeyError("x"), {"failed": "it stopped with KeyError: 'x'"}),
    ],
)
def test_what_user_code_raises_is_said(
    raised: Exception, said: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise raised

    monkeypatch.setattr(recheck, "recheck", fails)
    assert recheck._withheld_answer({"entry": "e", "check": {}}) == said


def test_an_expected_error_keeps_its_type(tmp_path: Path) -> None:
    said = recheck._withheld_answer({"entry": str(tmp_path / "nowhere"), "check": {}})
    assert said["error"] in ("UsageError", "IntegrityError", "CheckFailedError")
    assert "nowhere" in said["said"]
