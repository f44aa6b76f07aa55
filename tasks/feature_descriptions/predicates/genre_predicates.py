"""Genre and language of the passage so far: the window up to and including a unit.

A genre or language holds at a unit if at least a number of units so far (`NEEDED`) and a share of
them (`SHARE`) count for it. The past and the present tense need two verbs each, and more than the
other has.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from .words import normal

NEEDED = {"code": 4, "numbers": 3, "names": 4, "first-person": 2, "second-person": 2}
"""Units so far that a genre needs; 3 for what is not named here."""

SHARE = {"code": 0.2, "numbers": 0.2, "names": 0.3, "first-person": 0.08, "second-person": 0.08}
"""Share of the units so far that a genre needs; 0.2 for what is not named here."""

_LANGUAGES = {
    "french": "le la les des du un une et est dans pour que qui sur avec au aux"
    " ce cette il elle ne pas",
    "spanish": "el la los las de del un una y es en por que con para se su como al lo más pero",
    "german": "der die das den dem ein eine und ist nicht mit von zu auf für im auch sich es wie",
    "italian": "il lo la gli le di del della un una e è che per con non si nel alla da sono",
    "latin": "et est non ad cum ut sed qui quae quod ex ab aut esse sunt enim atque nec",
}
_LANGUAGE_WORDS = {name: frozenset(text.split()) for name, text in _LANGUAGES.items()}
_PAST = frozenset({"list:past-auxiliary", "pos:past-verb"})
_PRESENT = frozenset({"list:present-auxiliary", "pos:s-verb"})


def genres_of(kind: str, text: str, names: Set[str]) -> tuple[str, ...]:
    """Genres and languages that a unit counts for."""
    tests = {
        "genre:code": "mark-kind:code" in names,
        "genre:non-latin": "script:non-latin" in names,
        "genre:numbers": kind == "number",
        "genre:names": "case:any-capital" in names,
        "genre:first-person": "list:first-person" in names,
        "genre:second-person": "list:second-person" in names,
        "genre:past": bool(names & _PAST),
        "genre:present": bool(names & _PRESENT),
    }
    word = normal(text)
    spoken = [f"language:{name}" for name, words in _LANGUAGE_WORDS.items() if word in words]
    return (*(name for name, holds in tests.items() if holds), *spoken)


@dataclass(slots=True)
class _Tally:
    """Units so far, by genre."""

    counts: dict[str, int] = field(default_factory=dict)

    def holds(self, name: str, so_far: int) -> bool:
        """Whether a genre has the units and the share it needs."""
        short = name.split(":")[1]
        count = self.counts.get(name, 0)
        return count >= NEEDED.get(short, 3) and count >= SHARE.get(short, 0.2) * so_far


def passage(units: Sequence[Sequence[str]]) -> list[set[str]]:
    """Genres and languages that hold at every unit of a window, from what each unit counts for."""
    tally = _Tally()
    found: list[set[str]] = [set() for _ in units]
    for n, genres in enumerate(units):
        for name in genres:
            tally.counts[name] = tally.counts.get(name, 0) + 1
        for name in tally.counts:
            rival = {"genre:past": "genre:present", "genre:present": "genre:past"}.get(name)
            if rival:
                more = tally.counts[name] > tally.counts.get(rival, 0)
                if more and tally.counts[name] >= 2:
                    found[n].add(name)
            elif tally.holds(name, n + 1):
                found[n].add(name)
    return found
