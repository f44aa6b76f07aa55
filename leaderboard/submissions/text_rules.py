"""What a stranger may write on the board: text without tricks, and links that lead where they say.

Every function returns a sentence that says what is wrong, or None; nothing is repaired.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

HOSTS = frozenset(
    {
        "aclanthology.org",
        "alignmentforum.org",
        "arxiv.org",
        "bitbucket.org",
        "codeberg.org",
        "dl.acm.org",
        "doi.org",
        "github.com",
        "gitlab.com",
        "huggingface.co",
        "ieeexplore.ieee.org",
        "lesswrong.com",
        "link.springer.com",
        "modelscope.cn",
        "nature.com",
        "openreview.net",
        "papers.nips.cc",
        "proceedings.mlr.press",
        "proceedings.neurips.cc",
        "pypi.org",
        "science.org",
        "transformer-circuits.pub",
        "zenodo.org",
    }
)
"""Hosts that the board links to, also with `www.` in front; others are added by a pull request."""
MAX_LINK = 300
"""Longest link, in characters."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._+()/,:@-]*[A-Za-z0-9)+])?")
_LINK = re.compile(
    r"https://[A-Za-z0-9.-]+(?:/[A-Za-z0-9._~!$&()*+,;=:@%/-]*)?"
    r"(?:\?[A-Za-z0-9._~!$&()*+,;=:@%/?-]*)?(?:#[A-Za-z0-9._~!$&()*+,;=:@%/?-]*)?"
)
_MAIL = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
)
_COMMAND = re.compile(
    r"\\(?:input|include|write|openin|openout|read|immediate|csname|catcode|def|edef|gdef|xdef"
    r"|let|newcommand|renewcommand|usepackage|special|directlua|ShellEscape)(?![a-z])"
)
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that cannot be seen: control, format (bidi marks and zero widths),
surrogate, private, unassigned, and the two separators that act as line ends."""
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
# Characters that are drawn as nothing although they are letters or marks.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f")
_SAME = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "8": "b"})


def name_problem(text: str, *, max_chars: int) -> str | None:
    """Say what is wrong with the name of an entry or organisation.

    Names are plain ASCII: the only alphabet in which nothing looks like something else by design.
    """
    if not 1 <= len(text) <= max_chars:
        return f"has {len(text)} characters, 1 to {max_chars} are allowed"
    if not _NAME.fullmatch(text) or "  " in text:
        return "holds more than ASCII letters, digits, single spaces and ._+-()/,:@"
    return None


def text_problem(text: str, *, max_chars: int, keep: str = "") -> str | None:
    """Say what is wrong with a sentence or a person's name, in any language.

    `keep` holds control characters that are allowed, such as a line feed.
    """
    if not text.strip():
        return "is empty"
    if len(text) > max_chars:
        return f"has {len(text)} characters, at most {max_chars} are allowed"
    for character in text:
        hidden = unicodedata.category(character) in INVISIBLE and character not in keep
        if hidden or character in _BLANK:
            return f"holds the invisible character U+{ord(character):04X}"
    if unicodedata.normalize("NFKC", text) != text:
        return "holds characters that Unicode writes in a plainer way (NFKC)"
    for word in text.split():
        scripts = set(filter(None, map(_script, word)))
        if len(scripts) > 1:
            return f"mixes {' and '.join(sorted(scripts)).title()} letters in one word"
    return None


def link_problem(text: str) -> str | None:
    """Say what is wrong with a link: only https, on a known host, with nothing hidden in it."""
    if len(text) > MAX_LINK:
        return f"has {len(text)} characters, at most {MAX_LINK} are allowed"
    if not _LINK.fullmatch(text):
        return "is not a plain https:// address without user, port and special characters"
    host = (urlsplit(text).hostname or "").removeprefix("www.")
    if host not in HOSTS:
        return f"leads to {host}, which is not among the hosts that the board links to"
    return None


ISSUES = "issues of this repository"
"""The contact of entries that the benchmark itself makes, whatever address it is cloned from."""


def contact_problem(text: str) -> str | None:
    """Say what is wrong with a contact: an e-mail address, a link, or `ISSUES`."""
    if text == ISSUES:
        return None
    if text.startswith("https:"):
        return link_problem(text)
    if len(text) > 200 or not _MAIL.fullmatch(text):
        return f"is neither an e-mail address nor an https:// address, nor {ISSUES!r}"
    return None


def bibtex_problem(text: str) -> str | None:
    """Say what is wrong with a BibTeX record; it is shown and downloaded as text, never run."""
    problem = text_problem(text, max_chars=4_000, keep="\n\t")
    if problem:
        return problem
    if not text.lstrip().startswith("@"):
        return "does not begin with @"
    if text.count("{") != text.count("}"):
        return "has braces that do not match"
    if command := _COMMAND.search(text):
        return f"holds the TeX command {command.group()}"
    return None


def skeleton(name: str) -> str:
    """Return what two names share if a hasty eye takes one for the other (`0rg` and `Org`)."""
    plain = re.sub(r"[^a-z0-9]+", "", name.lower()).translate(_SAME)
    return plain.replace("rn", "m").replace("vv", "w")


def _script(character: str) -> str | None:
    script = unicodedata.name(character, "").split(" ", 1)[0]
    return script if character.isalpha() and script in _SCRIPTS else None
