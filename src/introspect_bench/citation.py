"""What to cite, as BibTeX, CFF or text; works of others stand in `sources.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .benchmark._version import __version__
from .benchmark.errors import UsageError
from .benchmark.files import read_json
from .benchmark.models.targets import TARGETS
from .benchmark.registry import suites
from .benchmark.runs.run import read_run, run_files
from .benchmark.suite.select import tasks_of

FORMATS = ("text", "bibtex", "cff")
"""Every format."""
PACKAGE = "package"
"""Name of the package itself."""
TITLE = "introspect-bench: can a language model tell the truth about its own computation?"
"""Title of the package, as in `CITATION.cff`."""

Kind = Literal["software", "dataset", "article", "proceedings", "report", "book"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One work."""

    key: str
    """BibTeX key."""
    kind: Kind
    """What it is."""
    title: str
    """Title, as printed."""
    authors: str
    """As BibTeX has them: `Family, Given and ... and others`; an organisation is in braces."""
    year: int | None = None
    """Year of publication; None for what is cited by its version."""
    venue: str | None = None
    """Journal, proceedings or publisher."""
    volume: str | None = None
    """Volume and number, such as `38(11)`."""
    pages: str | None = None
    """First and last page."""
    arxiv: str | None = None
    """Number on arXiv."""
    doi: str | None = None
    """Digital object identifier."""
    url: str | None = None
    """Address of what has neither."""
    version: str | None = None
    """Version, and what else tells its bytes."""
    licence: str | None = None
    """SPDX identifier, if something of it is shipped or downloaded."""
    used: str = ""
    """What it is used for here: one phrase."""

    @property
    def names(self) -> list[tuple[str, str]]:
        """Given and family name of each author, but for `others`; organisations have no given."""
        split = (name.partition(", ") for name in self.authors.split(" and "))
        return [(given, family.strip("{}")) for family, _, given in split if family != "others"]


_FILE = read_json(Path(__file__).with_name("sources.json"))
SOURCES = {name: Source(**work) for name, work in _FILE["works"].items()}
"""Works of others by the name they are asked for with."""

_AUTHOR = "{The introspect-bench contributors}"
_BIBTEX = {"proceedings": "inproceedings", "report": "misc"}
_VENUE = {"article": "journal", "proceedings": "booktitle", "book": "publisher"}
_CFF = {"dataset": "data", "proceedings": "conference-paper", "book": "book"}


def cite(what: Sequence[str] = (), *, form: str = "text") -> str:
    """Return what to cite."""
    if form not in FORMATS:
        raise UsageError(f"unknown format {form!r}; choose from {', '.join(FORMATS)}")
    names = what or (PACKAGE, "paper", *suites())
    # one work may belong to several of the names
    works = {work.key: work for name in names for work in _works(name)}
    if form == "cff":
        return _cff([work for work in works.values() if work.key != _package().key])
    blocks = [_text(work) if form == "text" else _bibtex(work) for work in works.values()]
    return "\n".join(blocks)


def citable() -> list[str]:
    """Return every name that `cite` knows, besides paths of run files."""
    return list(dict.fromkeys([PACKAGE, *suites(), *(t.name for t in TARGETS), *SOURCES]))


def _works(name: str) -> list[Source]:
    if name == PACKAGE:
        return [_package()]
    if name in SOURCES:
        return [SOURCES[name]]
    works = _suite(name) if name in suites() else []
    works += [SOURCES[key] for key in _FILE["targets"].get(name, ())]
    if works:
        return works
    if not Path(name).exists():
        raise UsageError(
            f"cannot cite {name!r}: choose from {', '.join(citable())}, or give a run file"
        )
    works = [_package(), SOURCES["paper"]]
    for path in run_files(name):
        about = read_run(path).header.task
        if about.suite in suites():  # the header's word is never taken as a path
            works += _suite(about.suite, about.id)
            works += [SOURCES[key] for key in _FILE["targets"].get(about.suite, ())]
    return works


def _package() -> Source:
    return Source(
        key="introspect-bench",
        kind="software",
        title=TITLE,
        authors=_AUTHOR,
        version=__version__,
        licence="Apache-2.0",
        used="the benchmark",
    )


def _suite(name: str, *tasks: str) -> list[Source]:
    works = []
    for task, suite in tasks_of(name, tasks):
        own = Source(
            key=f"introspect-bench-{name}-{task.name}-{suite.version}",
            kind="dataset",
            title=f"introspect-bench suite {name}: {task.name} {suite.version}",
            authors=_AUTHOR,
            version=f"{suite.version}, sha256 {suite.data_sha256}",
            licence="Apache-2.0",
            used="queries and ground truth",
        )
        works += [own, *(SOURCES[key] for key in _FILE["tasks"][task.name])]
    return works


def _text(work: Source) -> str:
    names = [" ".join(filter(None, name)) for name in work.names]
    names += ["et al."] if work.authors.endswith(" and others") else []
    parts = [
        ", ".join(names),
        work.title,
        ", ".join(filter(None, (work.venue, work.volume, work.pages))),
        str(work.year or ""),
        f"version {work.version}" if work.version else "",
        f"arXiv:{work.arxiv}" if work.arxiv else "",
        f"doi:{work.doi}" if work.doi else "",
        work.url or "",
        f"({work.used})" if work.used else "",
    ]
    sentences = [part.rstrip(".") for part in parts if part]
    return ". ".join(sentences).replace("?.", "?") + ".\n"


def _bibtex(work: Source) -> str:
    volume, _, number = (work.volume or "").rstrip(")").partition("(")
    fields = {
        "author": work.authors,
        "title": f"{{{work.title}}}",
        _VENUE.get(work.kind, "howpublished"): work.venue,
        "volume": volume,
        "number": number,
        "pages": (work.pages or "").replace("-", "--"),
        "year": str(work.year or ""),
        "version": work.version,
        "eprint": work.arxiv,
        "archivePrefix": "arXiv" if work.arxiv else None,
        "doi": work.doi,
        "url": work.url,
        "note": f"Licence {work.licence}" if work.kind in ("software", "dataset") else None,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{_BIBTEX.get(work.kind, work.kind)}{{{work.key},", *lines, "}"]) + "\n"


def _cff(works: Sequence[Source]) -> str:
    """Write a Citation File Format 1.2.0 document about the package."""
    package = _package()
    root: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this software or its suites, please cite it and what it rests on.",
        "type": "software",
        **_cff_work(package),
    }
    root.pop("notes")
    if works:
        root["references"] = [
            {"type": _CFF.get(work.kind, "article")} | _cff_work(work) for work in works
        ]
    return _yaml(root)


def _cff_work(work: Source) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "title": work.title,
        "authors": [_cff_name(*name) for name in work.names],
        "version": work.version,
        "year": work.year,
        "doi": work.doi,
        "url": work.url,
        "notes": work.used,
    }
    if work.kind in ("software", "dataset"):
        fields["license"] = work.licence
    if work.venue and work.kind == "book":
        fields["publisher"] = {"name": work.venue}
    elif work.venue:
        fields["collection-title" if work.kind == "proceedings" else "journal"] = work.venue
    if work.arxiv:
        fields["identifiers"] = [{"type": "other", "value": f"arXiv:{work.arxiv}"}]
    return {name: value for name, value in fields.items() if value is not None}


def _cff_name(given: str, family: str) -> dict[str, str]:
    return {"given-names": given, "family-names": family} if given else {"name": family}


def _yaml(root: Mapping[str, Any]) -> str:
    """Write a mapping as YAML, one key a line; every value is JSON, which is YAML."""
    lines = []
    for name, value in root.items():
        items = value if isinstance(value, list) else ()
        lines.append(f"{name}:" if items else f"{name}: {json.dumps(value, ensure_ascii=False)}")
        lines += [f"  - {json.dumps(item, ensure_ascii=False)}" for item in items]
    return "\n".join(lines) + "\n"
