"""The facts: the right file, no near-duplicates, one split a subject."""

from __future__ import annotations

from collections import Counter

import pytest

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.tasks.facts import facts
from introspect_bench.tasks.facts.facts import (
    BY_RELATION,
    SIMILARITY,
    load_facts,
    near_duplicates,
    normalise,
    split_of,
)


def trigrams(name: str) -> set[str]:
    text = f"  {normalise(name)} "
    return {text[i : i + 3] for i in range(len(text) - 2)}


def alike(first: str, second: str) -> bool:
    a, b = trigrams(first), trigrams(second)
    return len(a & b) / len(a | b) >= SIMILARITY


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "FACTS_SHA256", "0" * 64)
    with pytest.raises(IntegrityError, match=r"wikidata_facts\.jsonl: sha256 [0-9a-f]{64}, expect"):
        load_facts.__wrapped__()


def test_the_facts_are_usable() -> None:
    found = load_facts()
    assert len(found) > 10_000
    assert {fact.relation for fact in found} <= set(BY_RELATION)
    assert all(fact.subject and all(fact.objects) and fact.objects for fact in found)
    keys = [(fact.relation, fact.subject) for fact in found]
    assert keys == sorted(keys)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("São Tomé", "sao tome"),
        ("Łódź", "ŁÓDŹ"),
        ("Ann Lee", "Lee, Ann"),
        ("St. John's", "st john s"),
        ("Straße", "STRASSE"),
        ("ﬁne", "fine"),
        ("Москва́", "москва"),
    ],
)
def test_variants_of_a_name_are_one_name(one: str, same: str) -> None:
    assert normalise(one) == normalise(same)
    assert split_of(one) == split_of(same)
    assert len(near_duplicates([one, same])) == 1


@pytest.mark.parametrize("names", [("Paris", "Perm"), ("東京", "京都"), ("...", "!!!")])
def test_other_names_stay_apart(names: tuple[str, str]) -> None:
    assert normalise(names[0]) != normalise(names[1])
    assert near_duplicates(names) == set()


def test_of_near_duplicates_exactly_one_stays() -> None:
    names = [
        "Republic of Kenya",
        "republic of kenya",
        "Kenya, Republic of",
        "The Republic of Kenya",
    ]
    dropped = near_duplicates([*names, "Oslo"])
    assert len(set(names) - dropped) == 1
    assert "Oslo" not in dropped
    assert near_duplicates([*reversed(names), "Oslo"]) == dropped


def test_a_name_is_dropped_only_for_one_that_stays() -> None:
    """In a chain where each is like the next only, the ends both stay."""
    signs = "".join(chr(0x4E00 + i) for i in range(44))
    chain = [signs[i : i + 40] for i in (0, 2, 4)]
    assert [alike(chain[a], chain[b]) for a, b in ((0, 1), (1, 2), (0, 2))] == [True, True, False]
    assert near_duplicates(chain) == {chain[1]}


def test_no_two_subjects_left_are_alike() -> None:
    """Brute force on the names that share their first three letters with a neighbour."""
    names = sorted({fact.subject for fact in load_facts()}, key=normalise)
    close = [
        (a, b)
        for i, a in enumerate(names)
        for b in names[i + 1 : i + 12]
        if normalise(a)[:3] == normalise(b)[:3]
    ]
    assert len(close) > 10_000
    assert [pair for pair in close if alike(*pair)] == []


def test_a_split_is_the_subjects_alone() -> None:
    """Frozen: another split for a subject would move test facts into training."""
    expected = {"Fiji": "train", "Paris Hilton": "validation", "東京": "test", "Kenya": "reserve"}
    assert {name: split_of(name) for name in expected} == expected


def test_shares_are_those_asked_for() -> None:
    subjects = {fact.subject for fact in load_facts()}
    counts = Counter(map(split_of, subjects))
    shares = {split: count / len(subjects) for split, count in counts.items()}
    wanted = {"train": 0.50, "validation": 0.08, "test": 0.21, "reserve": 0.21}
    assert shares == pytest.approx(wanted, abs=0.015)
