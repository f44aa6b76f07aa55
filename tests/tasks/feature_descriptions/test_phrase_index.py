"""Wordings as vectors: which predicate a text stands for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_embedders import LetterEmbedder

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.tasks.feature_descriptions.judge import phrase_index as module
from introspect_bench.tasks.feature_descriptions.judge.phrase_index import (
    OPPOSITE,
    THRESHOLD,
    Match,
    PhraseIndex,
    match,
    phrase_index,
)
from introspect_bench.tasks.feature_descriptions.predicates.names import phrases

NAMES = ("word:the", "mark:comma", "word:dog", "case:capitalised", "mark:full-stop")


def known(*names: str) -> dict[str, tuple[str, ...]]:
    return {name: phrases(name) for name in names}


@pytest.fixture
def embedder() -> LetterEmbedder:
    return LetterEmbedder()


@pytest.fixture
def index(embedder: LetterEmbedder, tmp_path: Path) -> PhraseIndex:
    return phrase_index(known(*NAMES), embedder, folder=tmp_path)


def test_every_wording_stands_for_its_predicate(
    index: PhraseIndex, embedder: LetterEmbedder
) -> None:
    for name, wordings in known(*NAMES).items():
        for found in match(wordings, index, embedder):
            assert found.name == name
            assert found.cosine == pytest.approx(1, abs=1e-3)
            assert not found.opposite


def test_the_opposite_is_told_apart(index: PhraseIndex, embedder: LetterEmbedder) -> None:
    """Of every predicate, in plain words for it, and in a few more."""
    for name, (many, also, *_) in known(*NAMES).items():
        said = [
            f"everything except {many}",
            f"all tokens other than {also}",
            f"anything but {many}",
        ]
        for found in match(said, index, embedder):
            assert (found.name, found.opposite) == (name, True)
    for text in ("Everything but commas", "all other tokens except for commas"):
        assert match([text], index, embedder)[0].name == "mark:comma"
    for text in ("all commas", "anything that is a comma", "any token of a list", "everything"):
        assert not OPPOSITE.match(text)


def test_what_is_near_nothing_stands_for_nothing(
    index: PhraseIndex, embedder: LetterEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["", "  ", "zzz qqq jjj", "anything but ", "everything except zzz qqq jjj"]
    assert [found.name for found in match(texts, index, embedder)] == [None] * 5
    far = match(["zzz qqq jjj"], index, embedder)[0]
    assert far.cosine < THRESHOLD
    monkeypatch.setattr(module, "THRESHOLD", far.cosine)
    assert match(["zzz qqq jjj"], index, embedder)[0].name is not None


def test_of_equal_wordings_the_first_counts(embedder: LetterEmbedder, tmp_path: Path) -> None:
    twins = dict.fromkeys(("word:b", "word:a"), ("silent", "quiet", "mute"))
    index = phrase_index(twins, embedder, folder=tmp_path)
    assert match(["listen"], index, embedder)[0] == Match(name="word:b", opposite=False, cosine=1.0)


def test_wordings_are_embedded_once(embedder: LetterEmbedder, tmp_path: Path) -> None:
    first = phrase_index(known(*NAMES), embedder, folder=tmp_path)
    n_embedded = embedder.n_embedded
    assert n_embedded == sum(map(len, known(*NAMES).values()))
    again = phrase_index(known(*NAMES), embedder, folder=tmp_path)
    assert embedder.n_embedded == n_embedded
    assert (again.vectors == first.vectors).all()
    assert again.sha256 == first.sha256


def test_another_library_or_embedder_is_another_index(
    embedder: LetterEmbedder, tmp_path: Path
) -> None:
    hashes = {phrase_index(known(*NAMES), embedder, folder=tmp_path).sha256}
    hashes.add(phrase_index(known(*NAMES[::-1]), embedder, folder=tmp_path).sha256)
    embedder.sha256 = "f" * 64
    hashes.add(phrase_index(known(*NAMES), embedder, folder=tmp_path).sha256)
    assert len(hashes) == 3
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


def test_a_damaged_index_is_refused(embedder: LetterEmbedder, tmp_path: Path) -> None:
    phrase_index(known(*NAMES), embedder, folder=tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with pytest.raises(IntegrityError, match="remove it to have it made again"):
        phrase_index(known(*NAMES), embedder, folder=tmp_path)
