"""How an answer is read from a target: where it ends, which letter, with what margin."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_models import D_MODEL
from tiny_targets import (
    DELIMITERS,
    SAYS,
    Patch,
    make_letter_tokenizer,
    make_target,
    slow_answer,
    slow_pass,
)

from introspect_bench.benchmark.backends.interventions.outputs import (
    Output,
    Probe,
    batches,
    confirm,
    cut,
    greedy,
    letter_tokens,
    letters,
)
from introspect_bench.benchmark.backends.interventions.trace import Branch, Stem
from introspect_bench.benchmark.backends.models.target_model import TargetModel
from introspect_bench.benchmark.errors import UsageError

TEXTS = (
    "The capital of Kenya is",
    "Москва",
    "She said",
    "x y",
    "One two three",
    "Water boils at a hundred degrees",
)
PREFIX = "The answer is"


@pytest.fixture(scope="module")
def target() -> TargetModel:
    return make_target(seed=3, talkative=SAYS, tokenizer=make_letter_tokenizer())


def rows_of(target: TargetModel) -> list[tuple[int, ...]]:
    return [tuple(target.encode(text)) for text in TEXTS]


def patch_of(ids: tuple[int, ...]) -> Patch:
    """The last token, so that every answer can change."""
    vector = torch.randn(D_MODEL, generator=torch.Generator().manual_seed(len(ids))) * 3
    return Patch(position=len(ids) - 1, layers=(0, 2), vector=vector)


def whole(ids: tuple[int, ...]) -> Stem:
    return Stem(ids=(), branches=(Branch(ids=ids),))


def probes_of(target: TargetModel, *, patched: bool) -> list[Probe]:
    """Prompts with what `greedy` measured, half of them patched if asked."""
    rows = rows_of(target)
    probes = []
    for index, ids in enumerate(rows):
        if patched and index % 2 == 0:
            p = patch_of(ids)
            branch = Branch(ids=ids[p.position :], layers=p.layers, vector=p.vector)
            stem, position = Stem(ids=ids[: p.position], branches=(branch,)), p.position
        else:
            branch, position = Branch(ids=ids), 0
            stem = whole(ids)
        (output,) = greedy(target, [stem])
        probes.append(Probe(ids=ids, position=position, branch=branch, output=output))
    return probes


@pytest.mark.parametrize("kept", range(10))
def test_a_cut_character_is_left_out(target: TargetModel, kept: int) -> None:
    """Three bytes a character: an answer that ends inside one ends before it."""
    ids = target.encode("京都京")[:kept]
    assert cut(target, ids) == ("京都京"[: kept // 3], False)


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_a_delimiter_ends_the_answer(target: TargetModel, delimiter: str) -> None:
    assert cut(target, target.encode(f" Oslo{delimiter} and")) == ("Oslo", True)
    assert cut(target, target.encode(f"{delimiter}Oslo")) == ("", True)


@pytest.mark.parametrize(
    ("said", "text", "ended"),
    [
        (" New York", "New York", False),
        ("São Tomé-et_Príncipe's", "São Tomé-et_Príncipe's", False),
        ("Oslo </s> Bergen.", "Oslo", True),
        ("</s>", "", True),
        ("", "", False),
    ],
)
def test_what_else_ends_an_answer(target: TargetModel, said: str, text: str, ended: bool) -> None:
    assert cut(target, target.encode(said)) == (text, ended)


def test_an_answer_has_at_most_six_tokens() -> None:
    talker = make_target(seed=1, talkative="KQXZVW")
    found = greedy(talker, [whole(ids) for ids in rows_of(talker)])
    assert {len(output.ids) for output in found} == {6}
    assert all(1 <= len(output.text) <= 6 for output in found)


def test_answers_and_margins_are_those_of_the_slow_way(target: TargetModel) -> None:
    rows = rows_of(target)
    found = greedy(target, [whole(ids) for ids in rows])
    expected = [slow_answer(target, ids) for ids in rows]
    assert [(o.text, o.ids) for o in found] == [(s.text, s.ids) for s in expected]
    assert [o.margin for o in found] == pytest.approx([s.margin for s in expected], abs=1e-4)
    assert len({o.text for o in found}) > 2


def test_letters_are_one_token_each(target: TargetModel) -> None:
    tokens = letter_tokens(target, PREFIX)
    assert [target.tokenizer.decode([token]) for token in tokens] == [" A", " B", " C", " D"]


def test_a_tokenizer_that_splits_letters_is_refused() -> None:
    with pytest.raises(UsageError, match="no single token for ' A' after 'The answer is'"):
        letter_tokens(make_target(), PREFIX)


def test_the_letter_is_the_best_of_four(target: TargetModel) -> None:
    tokens = letter_tokens(target, PREFIX)
    rows = rows_of(target)
    found = letters(target, [whole(ids) for ids in rows], tokens)
    for output, ids in zip(found, rows, strict=True):
        four = [float(slow_pass(target, ids)[0][-1][token]) for token in tokens]
        first, second = sorted(four, reverse=True)[:2]
        best = four.index(first)
        assert (output.text, output.ids) == ("ABCD"[best], (tokens[best],))
        assert output.margin == pytest.approx(first - second, abs=1e-4)
    assert len({output.text for output in found}) > 1


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("patched", [False, True])
def test_confirm_agrees_with_greedy(target: TargetModel, side: str, patched: bool) -> None:
    probes = probes_of(target, patched=patched)
    found = confirm(target, probes, side=side)
    assert [(o.text, o.ids) for o in found] == [(p.output.text, p.output.ids) for p in probes]
    margins = [p.output.margin for p in probes]
    assert [o.margin for o in found] == pytest.approx(margins, abs=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_confirm_agrees_with_letters(target: TargetModel, side: str) -> None:
    tokens = letter_tokens(target, PREFIX)
    rows = rows_of(target)
    outputs = letters(target, [whole(ids) for ids in rows], tokens)
    probes = [
        Probe(ids=ids, branch=Branch(ids=ids), output=output)
        for ids, output in zip(rows, outputs, strict=True)
    ]
    found = confirm(target, probes, side=side, letter_ids=tokens)
    assert [(o.text, o.ids) for o in found] == [(o.text, o.ids) for o in outputs]
    assert [o.margin for o in found] == pytest.approx([o.margin for o in outputs], abs=1e-4)


@pytest.mark.parametrize("place", [0, -1])
def test_confirm_sees_a_wrong_token(target: TargetModel, place: int) -> None:
    """Whichever token is wrong, only that probe's text differs, and no text equals it."""
    probes = probes_of(target, patched=False)
    index = next(i for i, p in enumerate(probes) if len(p.output.ids) > 2)
    right = probes[index].output
    ids = list(right.ids)
    ids[place] = target.encode("e")[0]
    text, _ = cut(target, ids)
    wrong = Output(text=text, ids=tuple(ids), margin=right.margin)
    probes[index] = replace(probes[index], output=wrong)
    found = confirm(target, probes)
    assert [i for i, o in enumerate(found) if o.text != probes[i].output.text] == [index]


def test_confirm_sees_a_patch_that_was_not_there(target: TargetModel) -> None:
    probes = [
        replace(plain, branch=patched.branch, position=patched.position)
        for plain, patched in zip(
            probes_of(target, patched=False), probes_of(target, patched=True), strict=True
        )
    ]
    found = confirm(target, probes)
    differs = [i for i, o in enumerate(found) if o.text != probes[i].output.text]
    assert differs
    assert set(differs) <= {0, 2, 4}


def test_another_delimiter_is_the_same_answer(target: TargetModel) -> None:
    probes = probes_of(target, patched=False)
    index = next(
        i
        for i, p in enumerate(probes)
        if p.output.text and target.tokenizer.decode([p.output.ids[-1]]) in DELIMITERS
    )
    right = probes[index].output
    other = target.encode(":")[0]
    ended = replace(right, ids=(*right.ids[:-1], other))
    probes[index] = replace(probes[index], output=ended)
    found = confirm(target, probes)[index]
    assert (found.text, found.ids) == (right.text, right.ids)


def test_batches_hold_every_stem_once_and_no_more_rows_than_allowed() -> None:
    stems = [
        Stem(ids=(0,) * (7 * i % 5), branches=(Branch(ids=(1,) * (3 * i % 4 + 1)),) * (i % 3 + 1))
        for i in range(20)
    ]
    found = list(batches(stems, 6))
    assert sorted(i for batch in found for i in batch) == list(range(20))
    assert max(sum(len(stems[i].branches) for i in batch) for batch in found) <= 6
    lengths = [len(stems[i].branches[0].ids) for batch in found for i in batch]
    assert lengths == sorted(lengths)


def test_a_stem_with_too_many_branches_is_a_batch_of_its_own() -> None:
    stems = [Stem(ids=(), branches=(Branch(ids=(1,)),) * n) for n in (1, 9, 1)]
    assert sorted(map(len, batches(stems, 4))) == [1, 1, 1]
