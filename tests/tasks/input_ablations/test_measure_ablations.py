"""Answers with and without a span: shared tokens change nothing, journaled batches are reused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tiny_targets import SAYS, make_letter_tokenizer, make_target, slow_answer, slow_pass

from introspect_bench.benchmark.backends.interventions.outputs import Output
from introspect_bench.benchmark.backends.models.target_model import TargetModel
from introspect_bench.benchmark.cache import Journal
from introspect_bench.tasks.facts.facts import Fact
from introspect_bench.tasks.input_ablations.build import hints as wording
from introspect_bench.tasks.input_ablations.build import pools as measure
from introspect_bench.tasks.input_ablations.build.hints import Ablation

CITIES = ("Lima", "Oslo", "Rome", "東京", "Москва", "Bern")


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def target(request: pytest.FixtureRequest) -> TargetModel:
    return make_target(request.param, seed=3, talkative=SAYS, tokenizer=make_letter_tokenizer())


def fact(subject: str, answer: str) -> Fact:
    return Fact(relation="capital", subject=subject, objects=(answer,))


def option_groups() -> list[list[Ablation]]:
    groups = []
    for name in ("Kenya", "日本", "Côte d'Ivoire"):
        options = wording.options_for(fact(name, "Nairobi"), CITIES, "s")
        assert options is not None
        groups.append(wording.option_group(fact(name, "Nairobi"), options, "s"))
    return groups


def text_groups() -> list[list[Ablation]]:
    peru = fact("Perú", "Lima")
    return [
        wording.word_group(fact("Kenya", "Nairobi"), peru),
        wording.demonstration_group(fact("日本", "東京"), [peru, fact("Norge", "Oslo")] * 2),
    ]


def tokenise(target: TargetModel, group: list[Ablation]) -> measure.Texts:
    texts = [text for a in group for text in (a.text, a.without)]
    return measure.tokenise(target, texts, chat=group[0].chat)


def outputs(
    target: TargetModel,
    groups: Sequence[measure.Texts],
    path: Path,
    report: Callable[[int], None] = lambda _: None,
    *,
    letter: bool = False,
) -> list[dict[str, Output]]:
    return measure.outputs_of(target, groups, Journal(path), report, letter=letter)


def test_every_text_is_tokenised_once_and_whole(target: TargetModel) -> None:
    (group, *_) = option_groups()
    texts = tokenise(target, group)
    assert set(texts) == {t for a in group for t in (a.text, a.without)}
    assert len(texts) == len(group) + 1  # they share the text with all options
    for text, ids in texts.items():
        assert list(ids) == target.encode_chat(text, "The answer is")
    for text, ids in tokenise(target, text_groups()[0]).items():
        assert list(ids) == target.encode(text)


@pytest.mark.parametrize(
    ("rows", "shared", "rests"),
    [
        ([(1, 2, 3), (1, 2, 4)], (1, 2), [(3,), (4,)]),
        ([(1, 2), (1, 2, 3)], (1,), [(2,), (2, 3)]),  # one token is left to each
        ([(1, 2, 3), (1, 2, 3)], (1, 2), [(3,), (3,)]),
        ([(1,), (1, 2)], (), [(1,), (1, 2)]),
        ([(1, 2), (3, 2)], (), [(1, 2), (3, 2)]),
        ([(1, 9, 2), (1, 8, 2)], (1,), [(9, 2), (8, 2)]),
    ],
)
def test_a_stem_is_what_all_rows_begin_with(
    rows: list[tuple[int, ...]], shared: tuple[int, ...], rests: list[tuple[int, ...]]
) -> None:
    stem = measure.stem_of(rows)
    assert stem.ids == shared
    assert [branch.ids for branch in stem.branches] == rests
    assert all(branch.layers is None for branch in stem.branches)


def test_letters_are_those_of_single_passes(target: TargetModel, tmp_path: Path) -> None:
    texts = [tokenise(target, group) for group in option_groups()]
    found = outputs(target, texts, tmp_path / "j", letter=True)
    tokens = measure.letter_ids(target)
    for own, said in zip(texts, found, strict=True):
        assert said.keys() == own.keys()
        for text, output in said.items():
            row = own[text]
            logits = slow_pass(target, row)[0][-1]
            four = [float(logits[token]) for token in tokens]
            first, second = sorted(four, reverse=True)[:2]
            assert output.text == "ABCD"[four.index(first)]
            assert output.ids == (tokens[four.index(first)],)
            assert output.margin == pytest.approx(first - second, abs=1e-3)


def test_texts_are_those_of_single_passes(target: TargetModel, tmp_path: Path) -> None:
    texts = [tokenise(target, group) for group in text_groups()]
    for own, said in zip(texts, outputs(target, texts, tmp_path / "j"), strict=True):
        expected = {text: slow_answer(target, row) for text, row in own.items()}
        assert {key: (o.text, o.ids) for key, o in said.items()} == {
            key: (s.text, s.ids) for key, s in expected.items()
        }


def test_a_second_run_needs_no_model(
    target: TargetModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [tokenise(target, group) for group in text_groups()]
    first = outputs(target, texts, tmp_path / "j")
    monkeypatch.setattr(measure, "greedy", None)
    assert outputs(target, texts, tmp_path / "j") == first
    with pytest.raises(TypeError):
        outputs(target, texts, tmp_path / "other")


def test_nothing_to_measure(target: TargetModel, tmp_path: Path) -> None:
    assert outputs(target, [], tmp_path / "j") == []


def test_progress_counts_texts(target: TargetModel, tmp_path: Path) -> None:
    texts = [tokenise(target, group) for group in text_groups()]
    told: list[int] = []
    outputs(target, texts, tmp_path / "j", told.append)
    assert sum(told) == sum(map(len, texts))
