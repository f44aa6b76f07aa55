"""What a release says of itself: addresses, citation, forms for issues."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from introspect_bench import __version__

TOP = Path(__file__).parents[2]
FORMS = sorted((TOP / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())
URLS: dict[str, str] = PROJECT["project"]["urls"]
# Elements of a form and their attributes, as GitHub's "Syntax for GitHub's form schema" lists them
ELEMENTS = {"textarea", "input", "checkboxes", "markdown", "dropdown"}


def test_there_is_one_address_of_the_repository() -> None:
    home = URLS["Repository"]
    site = yaml.safe_load((TOP / "mkdocs.yml").read_text())
    citation = yaml.safe_load((TOP / "CITATION.cff").read_text())
    assert site["repo_url"] == citation["repository-code"] == home
    substitution = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    assert substitution["substitutions"][0]["replacement"] == rf"]({home}/blob/main/\1"
    assert all(url.startswith((home, "https://arxiv.org/", "https://introspect-bench.github.io/"))
               for url in URLS.values())  # fmt: skip


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((TOP / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert citation["cff-version"] == "1.2.0"


def test_the_index_gets_links_that_lead_somewhere() -> None:
    hook = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    [rule] = hook["substitutions"]
    text = re.sub(rule["pattern"], rule["replacement"], (TOP / "README.md").read_text())
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 5
    assert all(link.startswith("https://") for link in links)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_forms_are_forms(path: Path) -> None:
    form: dict[str, Any] = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        assert {link["url"].startswith(URLS["Repository"]) for link in form["contact_links"]} == {
            True
        }
        return
    required = {"name", "description", "body"}
    assert required <= form.keys() <= required | {"labels"}
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(ids) == len(set(ids)) > 0
    for part in form["body"]:
        assert part["type"] in ELEMENTS
        assert ("value" if part["type"] == "markdown" else "label") in part["attributes"]


def test_the_image_installs_what_is_pinned_and_runs_as_no_root() -> None:
    lines = (TOP / "Dockerfile").read_text().splitlines()
    words = [line.split()[0] for line in lines if not line.startswith("#")]
    assert words[0] == "FROM"
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert any("-c /src/constraints.txt" in line for line in lines)
