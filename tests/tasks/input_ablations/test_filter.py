"""Filtering: what a planted cue tells before, and what it tells after, to regressors of others."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import MultinomialNB

from introspect_bench.tasks.input_ablations.build import draw as drawing
from introspect_bench.tasks.input_ablations.build import filter as filtering
from introspect_bench.tasks.input_ablations.build.draw import FourCandidate, Ration
from introspect_bench.tasks.input_ablations.build.filter import Candidate

ANSWERS = tuple(f"city{i}" for i in range(40))


def candidates(split: str, n: int, rng: np.random.Generator) -> list[Candidate]:
    """Texts of which one word makes a change three times as likely."""
    found = []
    for number in range(n):
        cue = bool(rng.integers(2))
        changed = bool(rng.random() < (0.75 if cue else 0.25))
        filler = " ".join(f"w{rng.integers(50)}" for _ in range(6))
        part = "surely so" if cue else "perhaps so"
        found.append(
            Candidate(
                split=split,
                question=f"{split}{number}",
                changed=changed,
                outcome=ANSWERS[rng.integers(40)],
                text=f"{filler} [[ {part} ]]",
                part=part,
                fields=("relation=x",),
                guesses=(("shown", ANSWERS[number % 40]),),
                payload=None,
            )
        )
    return found


def tells(train: list[Candidate], other: list[Candidate]) -> float:
    """AUROC of naive Bayes on words, by scikit-learn."""
    counter = CountVectorizer()
    rows = counter.fit_transform([c.text for c in train])
    model = MultinomialNB().fit(rows, [c.changed for c in train])
    scores = model.predict_proba(counter.transform([c.text for c in other]))[:, 1]
    return float(roc_auc_score([c.changed for c in other], scores))


def drawn(found: list[Candidate], split: str, fitted_on: str) -> list[Candidate]:
    left, likely = filtering.undecidable(found, fitted_on)
    own = [k for k, i in enumerate(left) if found[i].split == split]
    ration = Ration(size=300, wanted=300, per_question=1, outcome_cap=0.2)
    hits = np.zeros(len(own), dtype=np.bool_)
    return drawing.draw([found[left[k]] for k in own], likely[own], hits, ration)


@pytest.mark.parametrize("splits", [("train", "test"), ("test",)])
def test_a_cue_tells_nothing_afterwards(splits: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    found = [c for split in splits for c in candidates(split, 1500, rng)]
    fresh = candidates("elsewhere", 1500, rng)
    own = [c for c in found if c.split == "test"]
    assert tells(fresh, own) > 0.70
    kept = drawn(found, "test", splits[0])
    assert len(kept) == 300
    assert sum(c.changed for c in kept) == 150
    assert abs(tells(fresh, kept) - 0.5) < 0.08


def test_what_is_kept_of_train_tells_nothing_of_test() -> None:
    """A cue that stays in train, as if no regression on candidates had found it."""
    rng = np.random.default_rng(5)
    found = [c for split in ("train", "test") for c in candidates(split, 1500, rng)]
    likely, hits = filtering.nothing_known(found)

    def kept(*splits: str) -> list[Candidate]:
        rations = {s: Ration(size=300, wanted=300, per_question=1, outcome_cap=0.2) for s in splits}
        return drawing.draw_in_turn(found, likely, hits, rations)

    train = kept("train")
    assert tells(train, kept("test")) > 0.70
    test = kept("train", "test")
    assert len(test) == 300
    assert {one.split for one in test} == {"test"}
    assert abs(tells(train, test) - 0.5) < 0.08


def test_auroc_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 20, 200).astype(np.float64)
    labels = rng.random(200) < 0.3
    assert filtering.auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert filtering.auroc(scores, np.ones(200, dtype=np.bool_)) == 0.5


def test_a_content_that_is_often_named_is_a_hit() -> None:
    rng = np.random.default_rng(2)
    plain = candidates("train", 400, rng)
    told = [
        replace(c, outcome=c.guesses[0][1] if i % 2 else c.outcome) for i, c in enumerate(plain)
    ]
    hits = filtering.guessed(told)
    right = np.array([c.outcome == c.guesses[0][1] for c in told])
    assert hits[right].mean() > 0.95
    assert not hits[~right].mean() > 0.1


def test_rations_are_kept() -> None:
    rng = np.random.default_rng(3)
    found = candidates("test", 600, rng)
    hits = rng.random(600) < 0.9
    ration = Ration(size=210, wanted=200, per_question=1, outcome_cap=0.03)
    kept = drawing.draw(found, rng.random(600), hits, ration)
    of = {id(c): hit for c, hit in zip(found, hits, strict=True)}
    for verdict, share in drawing.GUESSED.items():
        assert sum(of[id(c)] for c in kept if c.changed == verdict) <= share * 100
    assert max(Counter(c.outcome for c in kept).values()) <= 6
    assert len({c.question for c in kept}) == len(kept)
    assert sum(c.changed for c in kept) * 2 == len(kept)


def test_one_answer_stays_within_its_cap_of_what_is_wanted() -> None:
    """Most answers are one letter: a pair may not pass the cap, nor are spare queries counted."""
    rng = np.random.default_rng(4)
    found = [
        replace(c, outcome="D" if i % 4 else "ABC"[i % 3])
        for i, c in enumerate(candidates("test", 900, rng))
    ]
    ration = Ration(size=105, wanted=100, per_question=1, outcome_cap=0.41)
    kept = drawing.draw(found, rng.random(900), np.zeros(900, dtype=np.bool_), ration)
    assert len(kept) >= 100
    assert sum(c.outcome == "D" for c in kept) == 41


def four_candidates(n: int, rng: np.random.Generator) -> list[FourCandidate]:
    """The last part is the active one seven times in ten."""
    found = []
    for number in range(n):
        roles = [str(r) for r in rng.permutation(["key", "person", "statement", "doubt"])]
        active = int(rng.choice(4, p=[0.1, 0.1, 0.1, 0.7]))
        found.append(
            FourCandidate(
                split="test",
                question=f"q{number}",
                relation="x",
                parts=tuple((role, ANSWERS[rng.integers(40)]) for role in roles),
                known=("", ""),
                active=active,
                payload=None,
            )
        )
    return found


def test_neither_place_nor_role_tells_the_active_part() -> None:
    found = four_candidates(900, np.random.default_rng(4))
    chosen = drawing.choose(found, "test", 300, 1)
    assert len(chosen) > 150
    places = Counter(c.active for c in chosen)
    roles = Counter(c.parts[c.active][0] for c in chosen)
    assert max(places.values()) / len(chosen) <= drawing.SHARE_CAP + 0.02
    assert max(roles.values()) / len(chosen) <= drawing.SHARE_CAP + 0.02


def test_labels_are_four_letters_in_every_order() -> None:
    found = Counter(drawing.labels_for(f"text {i}") for i in range(600))
    assert len(found) == 24
    assert all(sorted(labels) == list("ABCD") for labels in found)


def test_what_is_kept_of_train_tells_no_active_part_of_test() -> None:
    """In what is kept of train the part that names city0 is the active one; in test, half of it."""
    rng = np.random.default_rng(6)

    def naming(share: float, n: int) -> list[FourCandidate]:
        found = []
        for one in four_candidates(n, rng):
            at = one.active if rng.random() < share else int(rng.integers(4))
            parts = [
                (role, "city0" if place == at else f"city{1 + int(rng.integers(30))}")
                for place, (role, _) in enumerate(one.parts)
            ]
            found.append(replace(one, parts=tuple(parts)))
        return found

    def told(chosen: list[FourCandidate]) -> float:
        return float(np.mean([c.parts[c.active][1] == "city0" for c in chosen]))

    # alike in all candidates, so that only a regression on what was kept finds the cue
    found, known = naming(0.5, 900), naming(1.0, 300)
    plain, matched = (drawing.choose(found, "test", 200, 1, one) for one in ((), known))
    assert len(matched) > 100
    assert told(matched) <= drawing.RANK_CAP + 0.03
    assert told(matched) <= told(plain) + 0.01
    places = drawing.ranks_by(known, matched)
    assert max(Counter(places).values()) / len(matched) <= drawing.RANK_CAP + 0.03
