"""English wordings of predicates, made from their names.

Every predicate has a noun phrase for one thing that it holds for (`one`) and two for all of them
(`many`, `also`); the wordings are made of those three. No two predicates share a wording, which
`library.build_library` checks.
"""

from __future__ import annotations

from ....benchmark.errors import UsageError
from .lexicon import Lexicon
from .marks import KINDS, MARKS, SCRIPTS
from .names import PIECE_FAMILIES, PLACE_FAMILIES, Name, parse, split
from .pieces import decode
from .wordings import Wording, shown, wordings

_SPLIT_MARK = "-run"


def _filled(templates: tuple[str, ...], text: str) -> Wording:
    """A wording of three templates."""
    one, many, also = (template.format(text) for template in templates)
    return one, many, also


def _shown(name: Name, lexicon: Lexicon) -> str:
    """What stands in the templates for the argument of a name."""
    argument = name.argument
    if argument in shown(name.family):
        return shown(name.family)[argument]
    if name.family in PIECE_FAMILIES:
        return repr(decode(argument))
    if name.family in lexicon.categories:
        if argument not in lexicon.categories[name.family]:
            raise UsageError(f"{name.base!r}: no such category in the lexicon")
        return lexicon.categories[name.family][argument].name.replace("_", " ")
    return argument


def _mark(argument: str) -> Wording:
    """Wording of a mark by its name."""
    for name, one, many in MARKS.values():
        if argument == name:
            return one, many, f"occurrences of {one}"
        if argument == name + _SPLIT_MARK:
            return f"a run of several {many}", f"runs of several {many}", f"{many} in a row"
    if argument.endswith(_SPLIT_MARK):
        code = argument.removesuffix(_SPLIT_MARK)
        return f"a run of the character {code}", f"runs of the character {code}", f"{code} in a row"
    return f"the character {argument}", f"the sign {argument}", f"occurrences of {argument}"


def _year(argument: str) -> Wording:
    """Wording of years of a century (``year-19xx``) or decade (``year-198x``)."""
    digits = argument.removeprefix("year-").rstrip("x")
    if len(digits) == 3:
        return f"a year of the {digits}0s", f"years from {digits}0 to {digits}9", f"the {digits}0s"
    return (
        f"a year from {digits}00 to {digits}99",
        f"years that begin with {digits}",
        (f"years of the century from {digits}00 on"),
    )


def _property(name: Name, lexicon: Lexicon) -> Wording:
    """Wording of a property of a unit.

    Raises:
        UsageError: if the argument is not one of the family.
    """
    fixed = wordings("property")
    if name.base in fixed:
        return fixed[name.base]
    if name.family == "list" and name.argument in lexicon.lists:
        entry = lexicon.lists[name.argument]
        return entry.one, *entry.many
    if name.family == "mark":
        return _mark(name.argument)
    if name.family == "number" and name.argument.startswith("year-"):
        return _year(name.argument)
    for family, table in (("mark-kind", KINDS), ("script", SCRIPTS)):
        if name.family == family and name.argument in table:
            return table[name.argument][1:]
    text = _shown(name, lexicon)
    family = name.family
    if family == "noun-category" and lexicon.categories[family][name.argument].proper:
        family = "proper-category"
    if family in wordings("family"):
        return _filled(wordings("family")[family], text)
    raise UsageError(f"{name.base!r}: no such {name.family}")


def wording(text: str, lexicon: Lexicon) -> Wording:
    """Noun phrases of a predicate that is not joined: one thing, all of them, all of them again.

    Raises:
        UsageError: if there is no such predicate.
    """
    name = parse(text)
    if name.family in PLACE_FAMILIES:
        for level in ("unit", "token"):
            if text in wordings(level):
                return wordings(level)[text]
        raise UsageError(f"{text!r}: no such place")
    if not name.relation:
        return _property(name, lexicon)
    if name.relation == "topic":
        if name.family not in wordings("topic"):
            raise UsageError(f"{text!r}: no topics of the family {name.family}")
        return _filled(wordings("topic")[name.family], _shown(name, lexicon))
    one = _property(name, lexicon)[0]
    return _filled(wordings("relation")[name.relation], one)


def phrases(text: str, lexicon: Lexicon) -> tuple[str, ...]:
    """Wordings of a predicate, joined or not; four of one, three of two joined."""
    joined = split(text)
    if joined is None:
        one, many, also = wording(text, lexicon)
        found = (many, also, f"activates on {many}", f"fires at {one}")
        return tuple(dict.fromkeys(found))
    kind, a, b = joined
    (one_a, many_a, also_a), (one_b, many_b, also_b) = wording(a, lexicon), wording(b, lexicon)
    if kind == "and":
        return (
            f"anything that is both {one_a} and {one_b}",
            f"{many_a}, but only where that is also {one_b}",
            f"activates on what is {one_a} and at the same time {one_b}",
        )
    return (
        f"{many_a}, and also {many_b}",
        f"anything that is either {one_a} or {one_b}",
        f"activates on {also_a} as well as on {also_b}",
    )


def reversed_phrases(text: str, lexicon: Lexicon) -> tuple[str, ...]:
    """Wordings of the opposite of a predicate."""
    many, also = phrases(text, lexicon)[:2]
    return (f"everything except {many}", f"all tokens other than {also}", f"anything but {many}")
