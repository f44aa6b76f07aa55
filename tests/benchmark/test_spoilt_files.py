"""A spoilt file is read or refused by an error of ours, whichever reader it meets."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from spoilt import try_all
from spoilt_cases import all_cases

# libraries warn of values that they then refuse
pytestmark = pytest.mark.filterwarnings("ignore")


def test_no_error_of_a_library_reaches_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found: list[str] = []
    cases = all_cases(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = try_all(
            cases, 500, 1, lambda name, data, error: found.append(f"{name}: {error!r}: {data!r}")
        )
    assert found == []
    assert counts["tried"] == 500
    assert counts["refused"] > counts["read"] > 50
