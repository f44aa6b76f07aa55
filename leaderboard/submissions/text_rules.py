"""What a stranger may publish: text without tricks, links that lead where they say, no secrets.

Every function returns a sentence that says what is wrong, or None; nothing is repaired. A reader of
run files takes more in a row than this allows; what is submitted is held to it.
"""

from __future__ import annotations

import datetime
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

HOSTS = frozenset(
    {
        *("aclanthology.org", "alignmentforum.org", "arxiv.org", "bitbucket.org", "codeberg.org"),
        *("dl.acm.org", "doi.org", "github.com", "gitlab.com", "huggingface.co"),
        *("ieeexplore.ieee.org", "lesswrong.com", "link.springer.com", "modelscope.cn"),
        *("nature.com", "openreview.net", "papers.nips.cc", "proceedings.mlr.press"),
        *("proceedings.neurips.cc", "pypi.org", "science.org", "transformer-circuits.pub"),
        "zenodo.org",
    }
)
"""Hosts that the board links to, also with `www.` in front; others are added by a pull request."""
MAX_LINK, MAX_BIBTEX = 300, 4_000  # characters

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._+()/,:@-]*[A-Za-z0-9)+])?")
LINK = re.compile(
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
_RECORDS = re.compile(r"\s*(?:@[A-Za-z]+\s*\{\s*)+")
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that cannot be seen: control, format (bidi marks and zero widths),
surrogate, private, unassigned, and the two separators that act as line ends."""
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC")
# Characters that are drawn as nothing although they are letters or marks: Unicode's ignorable ones
# (variation selectors among them) and a blank pattern of Braille.
_IGNORED = ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0000, 0xE0FFF))
_BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800\u034f").union(
    chr(code) for first, last in _IGNORED for code in range(first, last + 1)
)
_SAME = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "8": "b"})


def name_problem(text: str, *, max_chars: int) -> str | None:
    """Say what is wrong with the name of an entry or organisation.

    Names are plain ASCII: the only alphabet in which nothing looks like something else by design.
    """
    if not 1 <= len(text) <= max_chars:
        return f"has {len(text)} characters, 1 to {max_chars} are allowed"
    if not NAME.fullmatch(text) or "  " in text:
        return "holds more than ASCII letters, digits, single spaces and ._+-()/,:@"
    return None


def is_hidden(character: str) -> bool:
    """Whether a character cannot be seen."""
    return unicodedata.category(character) in INVISIBLE or character in _BLANK


def text_problem(text: str, *, max_chars: int, keep: str = "") -> str | None:
    """Say what is wrong with a sentence or a person's name, in any language.

    `keep` holds control characters that are allowed, such as a line feed.
    """
    if not text.strip():
        return "is empty"
    if len(text) > max_chars:
        return f"has {len(text)} characters, at most {max_chars} are allowed"
    for character in text:
        if is_hidden(character) and character not in keep:
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
    if not LINK.fullmatch(text):
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
    """Say what is wrong with a BibTeX record, empty or shown and downloaded as text, never run."""
    if not text:
        return None
    problem = text_problem(text, max_chars=MAX_BIBTEX, keep="\n\t")
    if problem:
        return problem
    if not text.lstrip().startswith("@"):
        return "does not begin with @"
    depth, outside = 0, ""
    for sign in text:
        outside += "" if depth or sign == "}" else sign
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth < 0:
            break
    if depth != 0:
        return "has braces that do not match"
    if not _RECORDS.fullmatch(outside):
        return "holds text outside of its records, such as @misc{key, title = {A title}}"
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


MAX_RAW_BYTES = 4_096  # longest raw reply that is submitted, in bytes of UTF-8

PARTS = ("package", "task", "target", "explainer", "env")
"""Objects of a header whose texts are short."""
ROW = frozenset(
    {
        *("kind", "qid", "i", "prompt_sha", "key", "raw", "parsed", "status", "reason"),
        *("n_in", "n_out", "ms", "confidence", "logprob_verdict", "logprob_reply"),
    }
)
"""Of a prediction row, `ms` may be left out; the last three are there if they are known."""
JUDGEMENT = frozenset(
    {"kind", "qid", "judge", "text", "predicted", "mapped", "raw", "value", "status"}
)
FOOTER = frozenset({"kind", "complete", "counts", "cost", "claimed", "body_sha256"})

_FORMS = {
    "run_id": re.compile("[0-9a-f]{32}"),
    "created": re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
}
_SHA = re.compile("[0-9a-f]{64}")
_SECRETS = {
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "an API key": r"\bsk-(?:[A-Za-z]+-)*[A-Za-z0-9_-]{20,}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})",
    "an AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a Google API key": r"\bAIza[0-9A-Za-z_-]{30,}",
    "a Slack token": r"\bxox[abprs]-[0-9A-Za-z-]{10,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a password in an address": r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"]{1,80}:[^\s/@\"]{1,80}@",
    "a bearer token": r"\bBearer [A-Za-z0-9._~+/-]{24,}",
}
_SECRET = re.compile(
    "|".join(f"(?P<s{n}>{pattern})" for n, pattern in enumerate(_SECRETS.values()))
)
# A path on somebody's machine, or a server of their own.
_PLACE = re.compile(
    r"(?<![\w.:/])(?:/(?:home|Users|root|mnt|media|data|scratch|tmp|var|opt|srv|workspace)/[^\s\"]+"
    r"|~/[^\s\"]+|[A-Za-z]:\\\\?[^\s\"]+|file://\S+|https?://(?:localhost|[0-9.]+)[:/]\S*)"
)


def secret(text: str) -> str | None:
    """Return what kind of secret a text holds, or None; the secret itself is not repeated."""
    match = _SECRET.search(text)
    if match is None or match.lastgroup is None:
        return None
    return list(_SECRETS)[int(match.lastgroup[1:])]


def header_problems(header: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a run file's header says that it should not, each a sentence."""
    for name, value in header.items():
        if problem := _form_problem(name, value):
            yield problem
        text = json.dumps(value, ensure_ascii=False)
        if kind := secret(text):
            yield f"field {name} seems to hold {kind}"
        elif _PLACE.search(text):
            yield f"field {name} names a place on somebody's machine"


def _form_problem(name: str, value: Any) -> str | None:
    if name in _FORMS and not _FORMS[name].fullmatch(value):
        return f"field {name} is not of the form that a run writes"
    if name == "created" and not _is_time(value):
        return f"field {name} is no time of any day"
    for text in _texts(value):
        if hidden := [sign for sign in text if is_hidden(sign) and sign not in "\n\r\t"]:
            return f"field {name} holds the invisible character U+{ord(hidden[0]):04X}"
    hashes = (value.get("weights_sha256") if name in PARTS else None) or {}
    if wrong_hash := [key for key, sha in hashes.items() if not _SHA.fullmatch(sha)]:
        return f"field {name}.weights_sha256 holds no hash for {wrong_hash[0][:80]}"
    for key, one in value.items() if name in PARTS else ():
        if isinstance(one, str) and one and (wrong := text_problem(one, max_chars=300)):
            return f"field {name}.{key[:80]} {wrong}"
    return None


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield key
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _is_time(text: str) -> bool:
    try:
        return bool(datetime.datetime.fromisoformat(text))
    except ValueError:
        return False


def row_problem(row: Mapping[str, Any], known: frozenset[str]) -> str | None:
    """Say what a row of a run file, whose fields are `known`, holds that it should not."""
    if unknown := sorted(row.keys() - known):
        return f"field {unknown[0][:80]} is not one that a run writes"
    raw = row.get("raw")
    if isinstance(raw, str):
        size = len(raw.encode("utf-8", "surrogatepass"))
        if size > MAX_RAW_BYTES:
            return f"the raw reply has {size} bytes, at most {MAX_RAW_BYTES} are submitted"
        if kind := secret(raw):
            return f"the raw reply seems to hold {kind}"
    return None
