"""What is tried for a patching suite: sources, what is read in full, what may be kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import make_tokenizer
from tiny_targets import SAYS, make_target, slow_answer
from tiny_targets import Patch as SlowPatch

from introspect_bench.benchmark.backends.interventions.outputs import Output
from introspect_bench.benchmark.backends.interventions.screen import Screened
from introspect_bench.tasks.activation_patching.build import collect as collecting
from introspect_bench.tasks.activation_patching.build import survey as reading
from introspect_bench.tasks.activation_patching.build import trials
from introspect_bench.tasks.activation_patching.build.balance import CandidateGroup, no_probes
from introspect_bench.tasks.activation_patching.build.contrast import Selection
from introspect_bench.tasks.activation_patching.build.measure_patches import (
    Bench,
    Patch,
    Placed,
    blocks,
    place,
)
from introspect_bench.tasks.activation_patching.build.survey import Centre
from introspect_bench.tasks.activation_patching.build.trials import SplitSize
from introspect_bench.tasks.activation_patching.task import KINDS
from introspect_bench.tasks.facts import facts
from introspect_bench.tasks.facts.facts import Fact, one_shot

ANSWERS = ("Lima", "Rome", "Oslo", "Bern", "Cairo")
WIDTH = 16


def output(text: str, *, margin: float = 1.0, first: int = 0) -> Output:
    return Output(text=text, ids=(first or 100 + ord(text[0]),), margin=margin)


def prompts() -> list[Placed]:
    """Forty subjects of two relations; every answer occurs."""
    found = []
    for i in range(40):
        relation = ("capital", "language")[i % 2]
        name, answer = f"{chr(65 + i)}land{i}", ANSWERS[i // 2 % 5]
        fact = Fact(relation=relation, subject=name, objects=(answer,))
        shown = Fact(relation=relation, subject=f"{chr(65 + i)}Perú", objects=("Lima",))
        found.append(place(make_tokenizer(), one_shot(fact, shown)))
    return found


@pytest.fixture(scope="module")
def bench() -> Bench:
    rows = prompts()
    target: Any = None  # nothing here runs a model
    return Bench(
        target=target,
        work=Path("nowhere"),
        report=lambda _stage, _n: None,
        prompts=tuple(rows),
        clean=tuple(output(row.prompt.fact.objects[0]) for row in rows),
        vectors=np.random.default_rng(0).normal(size=(40, len(KINDS), 2, WIDTH)).astype("float16"),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_sources_are_other_subjects_with_varied_answers(bench: Bench, kind: str) -> None:
    own = bench.prompts[3].prompt.fact
    found = trials.sources_for(bench, 3, kind, "salt")
    assert 0 < len(found) <= trials.SOURCES
    others = [bench.prompts[i].prompt.fact for i in found]
    assert all(other.subject != own.subject for other in others)
    assert {other.relation == own.relation for other in others} == {kind != "relation"}
    reads = {trials._read(bench, i, kind) for i in found}
    assert len(reads) == len(found)
    assert trials._read(bench, 3, kind) not in reads
    assert len({bench.clean[i].text for i in found[:5]}) == min(5, len(found))
    assert trials.sources_for(bench, 3, kind, "salt") == found


def test_places_hold_the_same_sources_in_every_block(bench: Bench) -> None:
    cells = [("last", 0), ("last", 1), ("last-subject", 1), ("relation", 0)]
    found = trials.queues(bench, cells, 2, "salt")
    assert set(found) == {"last", "last-subject", "relation"}
    tried: dict[int, set[str]] = {}
    for kind, places in found.items():
        for patches in places:
            by_block = [[p.source for p in patches if p.block == block] for block in (0, 1)]
            expected = {block for k, block in cells if k == kind}
            assert {block for block in (0, 1) if by_block[block]} == expected
            assert kind != "last" or by_block[0] == by_block[1]
            assert len({p.base for p in patches}) == 1
            tried.setdefault(patches[0].base, set()).add(kind)
    assert all(len(kinds) <= 2 for kinds in tried.values())
    assert len(tried) == 40


def test_bases_have_a_clear_answer_that_can_be_said(bench: Bench) -> None:
    odd = (output("Lima", margin=0.05), output('"'), output("->"), *bench.clean[3:])
    assert trials.usable_bases(replace(bench, clean=odd)) == list(range(3, 40))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Paris", True),
        ("C++", True),
        ('"', False),
        ("->", False),
        ("...", False),
        ("caf\ufffd", False),
        ("changed: Paris", False),
    ],
)
def test_only_what_a_reply_can_say_is_an_answer(text: str, expected: bool) -> None:
    assert trials.expressible(text) is expected


def patches(n: int, *, block: int = 0) -> list[Patch]:
    return [Patch(base=0, source=2 + i, kind="last", block=block) for i in range(n)]


def screened(tokens: Sequence[int], gaps: Sequence[float] | None = None) -> Screened:
    return Screened(clean=(1, 2), tokens=tuple(tokens), gaps=tuple(gaps or [1.0] * len(tokens)))


@pytest.mark.parametrize(
    ("tokens", "gaps", "kept"),
    [
        ([1, 1, 7, 8], None, True),
        ([1, 1, 7, 7], None, False),  # the two changed ones begin alike
        ([1, 7, 8, 9], None, False),
        ([1, 1, 1, 8], None, False),
        ([1, 1, 7, 8], [1, 1, 1, 0.05], False),  # not clear
    ],
)
def test_a_group_is_read_if_two_and_two_are_likely(
    bench: Bench, tokens: list[int], gaps: list[float] | None, kept: bool
) -> None:
    assert bool(reading.worth_reading(bench, patches(4), screened(tokens, gaps))) is kept


def test_what_the_clean_run_suggests_is_read_last(bench: Bench) -> None:
    tokens = [1, 1, 2, 2, 2, 2, 2, 7, 7, 8]  # 2 is its runner-up
    found = reading.worth_reading(bench, patches(10), screened(tokens))
    read = [tokens[p.source - 2] for p in found]
    assert sorted(read[:2]) == [7, 8]
    assert len(read) == 6


def test_blocks_of_a_place_are_told_apart() -> None:
    both = [*patches(2), *patches(2, block=1)]
    found = list(reading.by_block(both, screened([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4])))
    assert [[p.block for p in group] for group, _ in found] == [[0, 0], [1, 1]]
    assert [one.tokens for _, one in found] == [(1, 2), (3, 4)]
    assert [one.gaps for _, one in found] == [(0.1, 0.2), (0.3, 0.4)]


def test_a_disrupted_place_needs_four_answers_that_begin_differently() -> None:
    assert len(reading.distinct(patches(5), screened([4, 5, 6, 7, 7]))) == 4
    assert reading.distinct(patches(5), screened([4, 5, 6, 6, 6])) == []


def test_what_may_be_kept(bench: Bench) -> None:
    """Base 0 answers "Lima", as the text shows."""
    answers = [
        output("Lima"),
        output("lima"),  # contains the clean answer
        output("Lima city"),
        output("Rome", margin=0.05),
        output("->"),
        output("Bern", first=2),  # begins with the runner-up of the clean run
        output("Quito"),
    ]
    where = Centre(mean=np.zeros(WIDTH, np.float32), spread=2.0, probes=no_probes(WIDTH))
    found = reading.candidates(bench, list(zip(patches(7), answers, strict=True)), 2, where)
    assert (found.cell, found.relation, found.spread) == ("last/0", "capital", 2.0)
    assert [(m.outcome, m.changed, m.guessed) for m in found.members] == [
        ("Lima", False, False),
        ("Bern", True, True),
        ("Quito", True, False),
    ]
    np.testing.assert_array_equal(found.original, bench.stack([0], ("last", 0))[0])
    np.testing.assert_array_equal(found.members[2].vector, bench.stack([8], ("last", 0))[0])


def test_the_answer_shown_in_the_text_counts_as_guessed(bench: Bench) -> None:
    base = replace(patches(1)[0], base=2)  # answers "Rome", shows "Lima"
    where = Centre(mean=np.zeros(WIDTH, np.float32), spread=2.0, probes=no_probes(WIDTH))
    (found,) = reading.candidates(bench, [(base, output("Lima"))], 2, where).members
    assert found.changed
    assert found.guessed


def test_the_survey_counts_what_patches_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = make_target(seed=3, talkative=SAYS)
    names = [f"{a}{b}" for a in ("Ke", "Pe", "O", "La") for b in ("nya", "ru", "man", "tia", "s")]
    own = tuple(
        Fact(relation="capital", subject=name, objects=(ANSWERS[i % 5],))
        for i, name in enumerate(names)
    )
    monkeypatch.setattr(facts, "load_facts", lambda: own)
    monkeypatch.setattr(facts, "split_of", lambda _: "train")
    monkeypatch.setattr(trials, "MARGIN", 0.0)
    found = reading.survey(target, 20, 3, 0, tmp_path, lambda _s, _n: None)
    bench = trials.prepare(target, "train", 20, 0, tmp_path, lambda _s, _n: None)
    queue = trials.queues(bench, trials.all_cells(target), len(KINDS), "survey:0")["last"][:3]
    changed, neither = [], []
    for patch in (p for group in queue for p in group if p.block == 1):
        base = bench.prompts[patch.base]
        vector = bench.stack([patch.source], ("last", 1))[0]
        slow = slow_answer(
            target,
            base.ids,
            SlowPatch(
                position=base.places["last"].position,
                layers=blocks(target.n_layers)[1],
                vector=torch.from_numpy(vector),
            ),
        ).ids[0]
        changed.append(slow != bench.clean[patch.base].ids[0])
        neither.append(changed[-1] and slow != bench.clean[patch.source].ids[0])
    expected = {"neither": np.mean(neither), "changed": np.mean(changed)}
    assert found["last", 1] == pytest.approx(expected)


def test_no_cell_gets_more_than_its_share(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds of which every place gives a group, and one of which none does."""
    rounds: list[str] = []

    def measured(_bench: Bench, places: Any, _centres: Any, *, both: bool) -> Any:
        assert both
        kind = places[0][0].kind
        rounds.append(kind)
        groups = [
            [CandidateGroup(**one(f"{kind}/{block}")) for block in (0, 1)] if kind != "last" else []
            for _ in places
        ]
        return groups, {f"{kind}/{block}": Counter() for block in (0, 1)}

    def one(cell: str) -> dict[str, Any]:
        zeros = np.zeros(WIDTH, np.float32)
        return {
            "cell": cell,
            "relation": "r",
            "original": zeros,
            "mean": zeros,
            "spread": 1.0,
            "probes": zeros,
            "members": (),
        }

    def offer(self: Selection, group: CandidateGroup) -> bool:
        self.groups.append((group, ()))
        self.cells[group.cell] += 1
        return True

    monkeypatch.setattr(reading, "measured", measured)
    monkeypatch.setattr(Selection, "offer", offer)
    monkeypatch.setattr(collecting, "LEAST_PLACES", 2)
    monkeypatch.setattr(collecting, "CELL_CAP", 0.25)
    cells = [(kind, block) for kind in ("last", "last-subject", "relation") for block in (0, 1)]
    size = SplitSize(groups=12, pool=40, tries=3, uses=1, round=2)
    kept = collecting.collect(bench, cells, 12, size, "salt")
    counts = {group.cell: 0 for group, _ in kept.groups}
    for group, _ in kept.groups:
        counts[group.cell] += 1
    assert sum(counts.values()) == 12
    assert max(counts.values()) <= 3
    assert rounds.count("last") <= 2
