"""Prose from packages and files, and the whole corpus: what is read, checked, mixed and resumed."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import make_model, make_tokenizer
from tiny_wheels import isolate

from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError
from introspect_bench.tasks.feature_descriptions.corpus import (
    make_corpus,
    open_sampler,
    prose_documents,
    source_documents,
    token_counts,
)
from introspect_bench.tasks.feature_descriptions.prose import (
    SECTION_CHARS,
    SOURCES,
    Source,
    country,
    get_sources,
    recipes,
    sections,
    summaries,
)
from introspect_bench.tasks.feature_descriptions.sampling import Sampler, Settings
from introspect_bench.tasks.feature_descriptions.windows import (
    halves,
    load_windows,
    save_windows,
)

SUMMARIES = {
    f"T{n}": {"title": f"T{n}", "extract": f"Thing {n} is a thing. " * 9} for n in range(8)
}


def make_prose_wheel(folder: Path, name: str, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        info = f"{name}-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tag)
        archive.writestr(f"{info}/RECORD", "")


def make_source(**changes: Any) -> Source:
    data = json.dumps(SUMMARIES).encode()
    fields: dict[str, Any] = {
        "name": "toys",
        "requirement": "toyprose==1.0",
        "licence": "CC0-1.0",
        "members": {"toyprose/a.json": hashlib.sha256(data).hexdigest()},
        "read": summaries,
    }
    return Source(**{**fields, **changes})


@pytest.fixture(autouse=True)
def _wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path, monkeypatch)
    data = json.dumps(SUMMARIES).encode()
    make_prose_wheel(tmp_path / "index", "toyprose", {"toyprose/a.json": data})


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def at(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return at


@pytest.fixture(scope="module")
def target_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("target")
    tokenizer = make_tokenizer()
    make_model("llama", tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_source_is_fetched_checked_and_ordered_by_the_generator() -> None:
    documents = source_documents(make_source(), rng=rng())
    assert {document.source for document in documents} == {"toys"}
    texts = [document.text for document in documents]
    assert sorted(texts) == sorted(entry["extract"] for entry in SUMMARIES.values())
    assert texts == [document.text for document in source_documents(make_source(), rng=rng())]
    assert texts != [document.text for document in source_documents(make_source(), rng=rng(1))]


def test_a_file_is_not_downloaded_twice(tmp_path: Path) -> None:
    source_documents(make_source(), rng=rng())
    next((tmp_path / "index").iterdir()).unlink()
    assert len(source_documents(make_source(), rng=rng())) == 8


def test_another_file_than_expected_is_refused() -> None:
    with pytest.raises(IntegrityError, match="expected 0000"):
        source_documents(make_source(members={"toyprose/a.json": "0" * 64}), rng=rng())


def test_a_package_that_cannot_be_got_is_named() -> None:
    with pytest.raises(MissingPartError, match="notthere"):
        source_documents(make_source(requirement="notthere==1.0"), rng=rng())


def test_no_more_documents_than_asked() -> None:
    some = source_documents(make_source(max_documents=3), rng=rng())
    assert some == source_documents(make_source(), rng=rng())[:3]


def test_prose_is_mixed_and_one_source_does_not_change_another(
    write: Callable[[str, str], Path],
) -> None:
    path = write("mine.txt", "\n\n".join(f"Paragraph {n}. " * 200 for n in range(6)))
    both = prose_documents([make_source(max_documents=4), path], rng=rng())
    assert len(both) == 10
    names = [document.source for document in both]
    assert set(names) == {"toys", "file:mine.txt"}
    assert names != sorted(names)
    assert names != sorted(names, reverse=True)
    assert both == prose_documents([make_source(max_documents=4), path], rng=rng())
    alone = prose_documents([make_source(max_documents=4)], rng=rng())
    assert {d.text for d in alone} == {d.text for d in both if d.source == "toys"}


def test_long_texts_are_cut_at_blank_lines_and_nothing_is_lost(
    write: Callable[[str, str], Path],
) -> None:
    paragraphs = [f"{n} {'word ' * 60}".strip() for n in range(40)]
    found = sections(write("long.txt", "\n\n".join(paragraphs)))
    assert len(found) > 4
    assert all(len(text) >= SECTION_CHARS for text in found[:-1])
    assert "\n\n".join(found).split("\n\n") == paragraphs


def test_indentation_after_a_blank_line_is_kept(write: Callable[[str, str], Path]) -> None:
    code = "def f():\r\n    x = 1\r\n\r\n\r\n    return x\r\n"
    assert sections(write("code.py", code)) == ["def f():\n    x = 1\n\n    return x\n"]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(IntegrityError, match="not UTF-8 at byte 3"):
        prose_documents([tmp_path / "latin"], rng=rng())
    with pytest.raises(UsageError, match="none"):
        prose_documents([tmp_path / "none"], rng=rng())


def test_recipes_become_lists(write: Callable[[str, str], Path]) -> None:
    entry = {"title": "Toast", "ingredients": ["bread", "butter"], "steps": ["Toast.", "Spread."]}
    (text,) = recipes(write("r.json", json.dumps({"Cookbook:Toast": entry})))
    assert text == "Toast\n\nIngredients\n- bread\n- butter\n\nProcedure\n1. Toast.\n2. Spread."


def test_countries_become_lines_without_markup(write: Callable[[str, str], Path]) -> None:
    area = {"land": {"text": "9&nbsp;sq km"}, "note": "<b>note:</b> a<br>b"}
    data = {"Introduction": {"Background": {"text": "Old."}}, "Geography": {"Area": area}}
    found = country(write("c.json", json.dumps(data)))
    assert found == ["Introduction\nBackground: Old.", "Geography\nland: 9 sq km\nArea: note: a b"]


def test_named_sources() -> None:
    assert [source.name for source in get_sources(("recipes", "encyclopedia"))] == [
        "recipes",
        "encyclopedia",
    ]
    with pytest.raises(UsageError, match="unknown source 'novels': not one of encyclopedia"):
        get_sources(("novels",))


def test_every_source_is_pinned_and_says_its_licence() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    for source in SOURCES:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", source.requirement)
        assert source.licence
        assert source.members
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in source.members.values())


def test_a_corpus_is_sampled_text_and_prose_without_repeats(
    target_folder: Path, tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    told: list[tuple[str, int]] = []
    path = write("mine.txt", "A line that is there twice, at least here. " * 20)
    windows = make_corpus(
        target_folder,
        tmp_path / "work",
        n_sampled_tokens=300,
        sources=[make_source(), path],
        seed=0,
        report=lambda *one: told.append(one),
        settings=Settings(seed=0, max_new_tokens=48, batch_size=6),
    )
    counts = token_counts(windows)
    assert set(counts) == {"sampled", "toys", "file:mine.txt"}
    assert counts["sampled"] >= 250
    assert sum(counts.values()) == windows.ids.size
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert len(np.unique(windows.ids, axis=0)) == len(windows)
    assert {stage for stage, _ in told} == {"prose documents", "sampled tokens", "prose windows"}
    assert halves(windows).any()
    save_windows(tmp_path / "w", windows)
    assert (load_windows(tmp_path / "w").ids == windows.ids).all()


def test_a_killed_corpus_goes_on_and_is_the_same(
    target_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(work: str) -> Any:
        return make_corpus(
            target_folder,
            tmp_path / work,
            n_sampled_tokens=500,
            sources=[make_source()],
            seed=1,
            report=lambda *_: None,
            settings=Settings(seed=1, max_new_tokens=48, batch_size=3),
        )

    whole = build("whole")
    once = Sampler._write

    def dies(self: Sampler, *arguments: Any) -> list[str]:
        if len(list((tmp_path / "killed" / "sampled").glob("*.json"))) == 1:
            raise KeyboardInterrupt
        return once(self, *arguments)

    monkeypatch.setattr(Sampler, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        build("killed")
    monkeypatch.setattr(Sampler, "_write", once)
    resumed = build("killed")
    assert (resumed.ids == whole.ids).all()
    assert resumed.source == whole.source


def test_batches_of_other_weights_are_not_reused(target_folder: Path, tmp_path: Path) -> None:
    settings = Settings(seed=0, max_new_tokens=4, batch_size=2)
    other = tmp_path / "other"
    tokenizer = make_tokenizer()
    make_model("llama", tokenizer, seed=1).save_pretrained(other)
    tokenizer.save_pretrained(other)
    for folder, n_files in ((target_folder, 1), (target_folder, 1), (other, 2)):
        open_sampler(folder, tmp_path, settings=settings).batch(0)
        assert len(list((tmp_path / "sampled").glob("*.json"))) == n_files
