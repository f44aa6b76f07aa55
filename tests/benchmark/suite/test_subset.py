"""How much of a training split is seen: as a number of queries or as a part."""

from __future__ import annotations

import pytest

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import Query
from introspect_bench.benchmark.suite.subset import draw_groups, read_amount, show_amount

QUERIES = [Query(id=f"{n:02}", kind="last", group=f"g{n // 4}", fields={}) for n in range(40)]


def ids(amount: int | float | None) -> list[str]:
    return [query.id for query in draw_groups(QUERIES, amount, seed=0)]


def test_a_part_is_a_number_of_queries() -> None:
    assert ids(0.1) == ids(4)
    assert ids(0.5) == ids(20)
    assert ids(1.0) == ids(40) == ids(None)
    assert ids(0.001) == ids(1)  # never none
    for wrong in (0.0, -0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="above 0 and at most 1"):
            ids(wrong)


def test_amounts_are_read_and_written() -> None:
    assert read_amount("512") == 512
    assert read_amount("12%") == 0.12
    assert read_amount("0.8%") == 0.008
    assert read_amount("100%") == 1.0
    assert [show_amount(one) for one in (512, 0.12, 0.008)] == ["512", "12pc", "0.8pc"]
    for wrong in ("", "x", "0", "-3", "0%", "101%", "nan%", "12%3", "1.5"):
        with pytest.raises(UsageError, match="expected such as 512 or 12%"):
            read_amount(wrong)
