"""Where a prompt is patched: the token meant, in any script; and the blocks of layers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tiny_models import make_tokenizer

from introspect_bench.tasks.activation_patching.build.measure_patches import blocks, place
from introspect_bench.tasks.activation_patching.task import KINDS
from introspect_bench.tasks.facts.facts import Fact, OneShot, one_shot


def prompt(subject: str = "Kenya", answer: str = "Lima", relation: str = "capital") -> OneShot:
    def fact(name: str) -> Fact:
        return Fact(relation=relation, subject=name, objects=(answer,))

    return one_shot(fact(subject), fact("Perú"))


def test_thirty_layers_are_five_blocks_of_six() -> None:
    assert blocks(30) == ((0, 5), (6, 11), (12, 17), (18, 23), (24, 29))


@pytest.mark.parametrize("n_layers", range(1, 50))
def test_blocks_cover_every_layer_once_and_are_alike(n_layers: int) -> None:
    found = blocks(n_layers)
    assert len(found) == min(5, n_layers)
    assert (found[0][0], found[-1][1]) == (0, n_layers - 1)
    assert all(low == high + 1 for (_, high), (low, _) in pairwise(found))
    sizes = {high - low + 1 for low, high in found}
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("bos", [False, True])
def test_each_kind_is_its_token(bos: bool) -> None:
    tokenizer = make_tokenizer(bos=bos)
    placed = place(tokenizer, prompt())
    text = "The capital of Perú is Lima. The capital of Kenya is"
    assert placed.prompt.text == text
    assert placed.ids == tuple(tokenizer(text)["input_ids"])
    assert set(placed.places) == set(KINDS)
    before = {kind: tokenizer.decode(placed.ids[: p.position]) for kind, p in placed.places.items()}
    head = "<s>" * bos + "The capital of Perú is "
    assert before["demonstration"] == f"{head}Lim"
    assert before["relation"] == f"{head}Lima. The capita"
    assert before["last-subject"] == f"{head}Lima. The capital of Keny"
    assert before["last"] == f"{head}Lima. The capital of Kenya i"
    where = placed.places["other-subject"]
    assert before["other-subject"].startswith(f"{head}Lima. The capital of ")
    assert where.token in "Keny"
    tokens = {kind: p.token for kind, p in placed.places.items() if kind != "other-subject"}
    assert tokens == {"demonstration": "a", "relation": "l", "last-subject": "a", "last": "s"}


@pytest.mark.parametrize("subject", ["東京", "Москва", "القاهرة", "São Tomé"])
def test_other_scripts(subject: str) -> None:
    """A character of several bytes is several tokens; the last of them ends the subject."""
    tokenizer = make_tokenizer()
    placed = place(tokenizer, prompt(subject))
    end = placed.places["last-subject"].position
    assert tokenizer.decode(placed.ids[: end + 1]).endswith(f"of {subject}")
    assert placed.places["last-subject"].token == subject[-1]
    assert placed.places["other-subject"].position < end
    assert placed.places["other-subject"].token in subject


def test_another_subject_token_is_chosen_by_the_text() -> None:
    tokenizer = make_tokenizer()
    chosen = set()
    for answer in ("Lima", "Rome", "Oslo", "Cairo", "Bern", "Paris", "Quito", "Baku"):
        first, again = (place(tokenizer, prompt("Abcdefg", answer)) for _ in range(2))
        assert first.places == again.places
        chosen.add(first.places["other-subject"].token)
    assert len(chosen) > 2
    assert "g" not in chosen


def test_a_subject_of_one_token_has_no_other() -> None:
    placed = place(make_tokenizer(), prompt("K"))
    assert set(placed.places) == set(KINDS) - {"other-subject"}


def test_the_first_token_is_never_patched() -> None:
    """`{s} plays the` begins with its demonstration's subject; without one, with its own."""
    fact = Fact(relation="instrument", subject="Bo", objects=("oud",))
    bare = OneShot(
        fact=fact,
        shown=fact,
        text="B plays the",
        spans={"shown": (0, 0), "subject": (0, 1), "key": (2, 7)},
    )
    placed = place(make_tokenizer(), bare)
    assert set(placed.places) == {"last", "relation"}
    assert min(p.position for p in placed.places.values()) > 0


def test_the_last_token_is_only_patched_as_last() -> None:
    """Where the relation's word ends the prompt it would be the same place twice."""
    fact = Fact(relation="x", subject="Bo", objects=("oud",))
    ends = OneShot(
        fact=fact,
        shown=fact,
        text="So Bo sat",
        spans={"shown": (0, 2), "subject": (3, 5), "key": (6, 9)},
    )
    placed = place(make_tokenizer(), ends)
    assert placed.places["last"].position == len(placed.ids) - 1
    assert "relation" not in placed.places


def test_a_blank_token_is_shown_as_it_is() -> None:
    fact = Fact(relation="x", subject=" ", objects=("oud",))
    blank = OneShot(
        fact=fact,
        shown=fact,
        text="So then",
        spans={"shown": (0, 1), "subject": (2, 3), "key": (4, 5)},
    )
    assert place(make_tokenizer(), blank).places["last-subject"].token == " "
