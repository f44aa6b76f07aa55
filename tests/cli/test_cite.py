"""What is cited, in every format."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from program import ABLATIONS, PATCHING, Call, one_run, refused
from tiny_entries import unfinished

import introspect_bench as ib
from introspect_bench.benchmark.suite.select import shipped_tasks
from introspect_bench.citation import FORMATS, TITLE, citable

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("form", FORMATS)
def test_everything_is_cited_by_default(call: Call, form: str) -> None:
    code, out, err = call("cite", "--format", form)
    assert (code, err) == (0, "")
    assert out == ib.cite(form=form)
    assert out.endswith("\n")
    for words in (
        TITLE,
        "Training Language Models to Explain Their Own Computations",
        "2511.08579",
        "SmolLM2",
        "Wikidata: A Free Collaborative Knowledgebase",
        "WordNet",
        "Empath",
        *(
            f"suite smollm2-135m: {task.name} {task.version}"
            for task in shipped_tasks("smollm2-135m")
        ),
    ):
        assert words in out
    document = json.loads(call("cite", "--format", form, "--json")[1])
    assert document == {"format": form, "text": out}


def test_the_paper_by_name() -> None:
    assert ib.cite(["paper"]) == (
        "Belinda Z. Li, Zifan Carl Guo, Vincent Huang, Jacob Steinhardt, Jacob Andreas. Training "
        "Language Models to Explain Their Own Computations. 2025. arXiv:2511.08579. (the paper "
        "whose tasks the benchmark follows).\n"
    )
    assert ib.cite(["paper"], form="bibtex") == (
        "@misc{li2025training,\n"
        "  author = {Li, Belinda Z. and Guo, Zifan Carl and Huang, Vincent and Steinhardt, Jacob "
        "and Andreas, Jacob},\n"
        "  title = {{Training Language Models to Explain Their Own Computations}},\n"
        "  year = {2025},\n"
        "  eprint = {2511.08579},\n"
        "  archivePrefix = {arXiv},\n"
        "}\n"
    )


def test_bibtex_is_well_formed() -> None:
    text = ib.cite(form="bibtex")
    entries = text.split("\n\n")
    keys = [re.fullmatch(r"@[a-z]+\{([^,\s]+),(?:\n  .+ = \{.*\},)+\n\}\n?", e) for e in entries]
    assert all(keys)
    assert len({key[1] for key in keys if key}) == len(entries)
    assert text.count("{") == text.count("}")


def test_the_version_of_the_package_is_cited() -> None:
    assert f"version {ib.__version__}" in ib.cite(["package"])
    assert f"version = {{{ib.__version__}}}" in ib.cite(["package"], form="bibtex")
    assert yaml.safe_load(ib.cite(["package"], form="cff"))["version"] == ib.__version__


def test_a_suite_is_cited_with_its_hash_and_what_it_is_made_of() -> None:
    text = ib.cite(["smollm2-135m"])
    for row in ib.ls("suites"):
        assert f"{row['suite']}: {row['task']} {row['version']}" in text
    for row in ib.data_verify("smollm2-135m", [PATCHING]):
        assert row["data_sha256"] in text
    assert text.count("Wikidata") == 1  # which several tasks are made of
    assert "Ben Allal" in text


def test_cff_is_about_the_package_and_refers_to_the_rest() -> None:
    document = yaml.safe_load(ib.cite(form="cff"))
    shipped = yaml.safe_load((TOP / "CITATION.cff").read_text())
    for key in ("cff-version", "type", "title", "authors", "license", "version"):
        assert document[key] == shipped[key]
    references = {row["title"]: row for row in document["references"]}
    paper = references[shipped["references"][0]["title"]]
    assert paper["authors"] == shipped["references"][0]["authors"]
    assert TITLE not in references
    for row in document["references"]:
        assert row["type"] in {"article", "book", "conference-paper", "data"}
        assert row["authors"]


def test_a_run_is_cited_with_its_suite(call: Call) -> None:
    run = one_run(call)
    toy = ib.cite([str(run)])
    assert "smollm2-135m" not in toy  # a suite that is not shipped is nothing to cite
    other = unfinished(run, lambda rows: rows[0]["task"].update(suite="smollm2-135m"))
    text = ib.cite([str(other)])
    assert f"suite smollm2-135m: {ABLATIONS}" in text
    assert PATCHING not in text
    assert "Ben Allal" in text


def test_every_name_is_citable_and_others_are_refused(call: Call) -> None:
    for name in citable():
        assert ib.cite([name])
    assert "choose from package, smollm2-135m" in refused(call("cite", "nonsense"), 2)
    assert call("cite", "--format", "ris")[0] == 2
