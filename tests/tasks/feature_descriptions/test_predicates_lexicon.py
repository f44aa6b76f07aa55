"""The lexicon: made from a tiny WordNet and a tiny list of lists; and the one that is shipped."""

from __future__ import annotations

import gzip
import json
import sys
from importlib import resources
from itertools import accumulate
from pathlib import Path

import pytest

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.tasks.feature_descriptions.predicates import build_lexicon
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import (
    analyse,
    read_lexicon,
    read_lists,
    shipped_lexicon,
)
from introspect_bench.tasks.feature_descriptions.predicates.properties import properties

ANIMALS = ("bee", "cat", "cow", "dog", "eel", "fox", "hen", "jay", "owl", "pig", "rat", "yak")
LICENCE = "  1 This software and database is being provided\n"


def _synset(offset: int, file: int, kind: str, words: list[str], *pointers: str) -> str:
    listed = " ".join(f"{word} 0" for word in words)
    ends = " ".join([f"{len(pointers):03d}", *pointers])
    return f"{offset:08d} {file:02d} {kind} {len(words):02x} {listed} {ends} | a gloss\n"


def _write(folder: Path, ending: str, data: str, index: str, exceptions: str = "") -> None:
    (folder / f"data.{ending}").write_text(LICENCE + data)
    (folder / f"index.{ending}").write_text(LICENCE + index)
    (folder / f"{ending}.exc").write_text(exceptions)


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    """Twelve animals, a country and a bird of one spelling, a verb, two adjectives, an adverb."""
    folder = tmp_path / "wordnet"
    folder.mkdir()
    above = "@ 00000001 n 0000"
    nouns = _synset(1, 3, "n", ["animal"]) + _synset(2, 15, "n", ["Turkey", "Republic_of_Turkey"])
    index = "animal n 1 0 1 0 00000001\nturkey n 2 1 @ 2 0 00000099 00000002\n"
    for offset, word in enumerate((*ANIMALS, "turkey")):
        place = 99 if word == "turkey" else offset + 10
        nouns += _synset(place, 5, "n", [word], above)
        index += f"{word} n 1 1 @ 1 0 {place:08d}\n" if word != "turkey" else ""
    # the walk of dogs is rare: it must not make dog an act
    nouns += _synset(50, 4, "n", ["dogwalk", "dog"])
    index = index.replace("dog n 1 1 @ 1 0 00000013", "dog n 2 1 @ 2 0 00000013 00000050")
    _write(folder, "noun", nouns, index, "oxen ox\nmice mouse\n")
    verb = _synset(7, 38, "v", ["walk"], "+ 00000008 a 0101")
    _write(folder, "verb", verb, "walk v 1 0 1 1 00000007\n", "went go\n")
    adjectives = _synset(8, 0, "a", ["walkable(p)"], "= 00000001 n 0000")
    adjectives += _synset(9, 0, "s", ["walky"], "& 00000008 a 0000")
    _write(folder, "adj", adjectives, "walkable a 1 0 1 0 00000008\nwalky a 1 0 1 0 00000009\n")
    _write(folder, "adv", _synset(3, 2, "r", ["soon"]), "soon r 1 0 1 0 00000003\n")
    (folder / "cntlist.rev").write_text("dog%1:05:00:: 1 9\ndog%1:04:00:: 2 1\n")
    return folder


@pytest.fixture
def empath(tmp_path: Path) -> Path:
    path = tmp_path / "categories.tsv"
    path.write_text("pets\tdog\tcat\tDog\nwalks\twalk\tpromenade\n")
    return path


def test_categories_hold_the_words_below_them(wordnet: Path, empath: Path) -> None:
    stored = build_lexicon.build(wordnet, empath)
    lexicon, words, sets = read_lexicon(build_lexicon.pack(stored)), stored["words"], stored["sets"]
    assert list(sets["noun-category"]) == ["animal"]
    below = {words[place] for place in accumulate(sets["noun-category"]["animal"]["words"])}
    assert below == {*ANIMALS, "animal", "turkey"}
    assert lexicon.members["noun-file"]["dog"] == ("animal",)
    assert lexicon.members["noun-file"]["Turkey"] == ("location",)
    assert lexicon.members["about"]["dog"] == ("pets",)
    assert lexicon.counts["dog"] == {"n": 10}
    assert [[words[place] for place in pair] for pair in stored["derived"]] == [
        ["walk", "walkable"]
    ]
    assert sets["adjective-kind"] == {}  # too few words
    assert analyse("walked", lexicon).lemmas == {"v": "walk"}
    assert {"noun-file:location", "pos:proper-noun"} <= set(properties("word", "Turkey", lexicon))
    assert {"noun-file:animal", "lemma:turkey"} <= set(properties("word", "turkeys", lexicon))


def test_the_command_writes_the_same_bytes_again(
    wordnet: Path, empath: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for name in ("a.gz", "b.gz"):
        out = tmp_path / name
        arguments = ["build_lexicon", str(wordnet), str(empath), "-o", str(out)]
        monkeypatch.setattr(sys, "argv", arguments)
        build_lexicon.main()
        written.append(out.read_bytes())
    assert written[0] == written[1]
    assert read_lexicon(written[0]).members["about"]["promenade"] == ("walks",)


def test_a_folder_that_is_no_wordnet_is_refused(tmp_path: Path, empath: Path) -> None:
    with pytest.raises(IntegrityError, match=r"cntlist\.rev"):
        build_lexicon.build(tmp_path, empath)


def test_a_file_of_another_schema_is_refused() -> None:
    with pytest.raises(IntegrityError, match="schema"):
        read_lexicon(build_lexicon.pack({"schema": "other"}))


def test_a_list_without_words_is_refused() -> None:
    with pytest.raises(IntegrityError, match="'colour'"):
        read_lists('[colour]\none = "a colour"\nmany = ["colours", "hues"]\n')


def test_the_shipped_lexicon_has_its_sources_and_their_licences() -> None:
    lexicon = shipped_lexicon()
    assert len(lexicon.categories["about"]) == 194
    assert {"n", "v"} <= set(lexicon.counts["walk"])
    folder = resources.files("introspect_bench.tasks.feature_descriptions.predicates")
    wordnet = (folder / "LICENSE.wordnet.txt").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in wordnet
    assert "Permission is hereby granted" in (folder / "LICENSE.empath.txt").read_text()
    raw = (folder / "lexicon.json.gz").read_bytes()
    assert len(raw) < 3_000_000
    assert len(json.loads(gzip.decompress(raw))["sets"]["noun-category"]) > 1_615


@pytest.mark.parametrize(
    ("form", "part", "lemma", "inflection"),
    [
        ("said", "v", "say", "past"),
        ("runs", "v", "run", "s"),
        ("meeting", "n", "meeting", "base"),
        ("children", "n", "child", "s"),
        ("tallest", "a", "tall", "est"),
        ("PARIS", "n", "Paris", "base"),
    ],
)
def test_word_forms_are_analysed(form: str, part: str, lemma: str, inflection: str) -> None:
    analysis = analyse(form, shipped_lexicon())
    assert analysis.dominant == part
    assert analysis.lemmas[part] == lemma
    assert analysis.forms[part] == inflection


@pytest.mark.parametrize("form", ["was", "us", "xqzt"])
def test_closed_classes_and_unknown_words_have_no_part_of_speech(form: str) -> None:
    assert analyse(form, shipped_lexicon()).dominant is None
