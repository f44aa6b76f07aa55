"""Judges descriptions by exact predicates: free text to a known conjunction, then to its values.

A description is taken apart by the grammar of `grammar.py`; each phrase stands for a known
predicate with that wording, or else for the nearest wording by sentence embedding. A description of
which a phrase stands for nothing is mapped as a whole to the nearest wording of a known
conjunction. One that is near none predicts the same everywhere. Deterministic; no training, no
language model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ....benchmark.errors import UsageError
from ....benchmark.files import canonical_json, sha256_bytes
from ..predicates.evaluate import evaluate_named
from ..predicates.lexicon import LEXICON_SHA256
from ..predicates.names import parse, wording
from ..predicates.words import HasVocabulary
from ..windows import Floats
from .conjunctions import clause_table, inner, is_conjunction, parts_of, slot, wordings_of
from .grammar import ParsedDescription, grammar, read
from .phrase_index import OPPOSITE, THRESHOLD, TextEmbedder, match, phrase_index

TOP = 10.0  # prediction where a description holds; 0 elsewhere
_GENERIC = frozenset(
    (
        *("", "whatever", "anything", "something", "everything", "token", "tokens", "text"),
        *("any token", "all tokens", "any text", "words and marks", "whatever stands"),
    )
)
_QUOTES = re.compile(r"[\"'`*\u2018\u2019\u201c\u201d]")
_ARTICLE = re.compile(r"^(?:the|a|an|any|some|every|all|each|occurrences of|instances of) ")

How = Literal["grammar", "nearest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a description stands for."""

    things: tuple[str, ...]
    """Predicates that say what the token is; at most one, and none if that is open."""
    contexts: tuple[str, ...]
    """Predicates of its contexts."""
    denied: bool
    """Whether the contexts, or the thing if there are none, must not hold."""
    how: How
    """Whether the grammar read it or the nearest wording was taken."""


class Vocabulary:
    """The phrases of known single predicates."""

    def __init__(self, names: Sequence[str]) -> None:
        self.places = {
            form: name for name, forms in clause_table("place").items() for form in forms
        }
        bases: dict[str, None] = {}
        self.topics: dict[str, str] = {}
        for name in names:
            parts = parse(name)
            if parts.relation == "topic":
                self.topics[normal(inner(name))] = name
            elif parts.family == "previous-piece":
                bases[f"piece:{parts.argument}"] = None
            elif slot(name) == "thing" or parts.relation:
                bases[parts.base] = None
        self.wordings = {base: wording(base) for base in bases}
        self.exact: dict[str, str] = {}
        for base, wordings in self.wordings.items():
            for phrase in wordings:
                self.exact.setdefault(normal(phrase), base)

    def related(self, where: str, phrase: str, known: dict[str, str | None]) -> str | None:
        """Name of the context that a relation to a phrase is, if there is one."""
        if where == "topic":
            return self.topics.get(normal(phrase))
        base = known[phrase]
        if base is None:
            return None
        if base.startswith("piece:"):
            return f"previous-{base}" if where == "previous" else None
        try:
            parse(f"{where}-{base}")
        except UsageError:
            return None
        return f"{where}-{base}"

    def meaning(self, reading: ParsedDescription, known: dict[str, str | None]) -> Meaning | None:
        """What a reading stands for, None if one of its phrases stands for nothing."""
        contexts = []
        for one in reading.contexts:
            if one.slot is None:
                name: str | None = self.places[one.phrase]
            else:
                name = self.related(one.slot, one.phrase, known)
            if name is None:
                return None
            contexts.append(name)
        generic = normal(reading.thing) in _GENERIC
        thing = None if generic else known[reading.thing]
        if (thing is None and not generic) or not (thing or contexts):
            return None
        things = () if thing is None else (thing,)
        return Meaning(
            things=things, contexts=tuple(contexts), denied=reading.denied, how="grammar"
        )


class ExactJudge:
    """Predicts the values of the conjunction that a description stands for."""

    name = "grammar-1"
    """Which version of the rules it reads by."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        embedder: TextEmbedder,
        tokenizer: HasVocabulary,
        folder: Path,
    ) -> None:
        """Embed the wordings of known predicates, and behind them of conjunctions.

        `tokenizer` is the target's; vectors are kept in the folder.
        """
        self._vocabulary = Vocabulary([name for name in names if not is_conjunction(name)])
        self._embedder, self._tokenizer = embedder, tokenizer
        whole = {name: wordings_of(name) for name in sorted(names, key=is_conjunction)}
        self._phrases = phrase_index(self._vocabulary.wordings, embedder, folder=folder)
        self._whole = phrase_index(whole, embedder, folder=folder)
        known = {
            "phrases": self._phrases.sha256,
            "whole": self._whole.sha256,
            "grammar": grammar(),
            "places": list(self._vocabulary.places),
            "generic": sorted(_GENERIC),
            "edges": [_QUOTES.pattern, _ARTICLE.pattern, OPPOSITE.pattern, THRESHOLD],
            "lexicon": LEXICON_SHA256,
        }
        self.sha256 = sha256_bytes(canonical_json(known).encode())
        """Hash of all that a prediction depends on besides the target's tokenizer."""

    def meanings(self, descriptions: Sequence[str]) -> list[Meaning | None]:
        """Say what descriptions stand for; None for nothing."""
        readings = [read(text, list(self._vocabulary.places)) for text in descriptions]
        asked = {one.thing for one in readings} | {
            context.phrase for one in readings for context in one.contexts
        }
        known = self._known(sorted(asked))
        found = [self._vocabulary.meaning(one, known) for one in readings]
        open_ = [n for n, one in enumerate(found) if one is None and descriptions[n].strip()]
        if open_:
            near = match([descriptions[n] for n in open_], self._whole, self._embedder)
            for n, one in zip(open_, near, strict=True):
                if one.name is not None:
                    opposite = one.opposite or readings[n].denied
                    found[n] = exact_meaning(one.name, denied=opposite, how="nearest")
        return found

    def predict(self, descriptions: Sequence[str], windows: npt.NDArray[np.integer]) -> Floats:
        """Predicted activations of each description's own windows, (n_descriptions, n_windows, 32).

        Returns that shape: `TOP` where the description holds, else 0; 0 everywhere if it stands for
        nothing.
        """
        if windows.ndim != 3 or len(windows) != len(descriptions):
            raise ValueError(f"{len(descriptions)} descriptions, windows {windows.shape}")
        return self.predict_meanings(self.meanings(descriptions), windows)

    def predict_meanings(
        self, meanings: Sequence[Meaning | None], windows: npt.NDArray[np.integer]
    ) -> Floats:
        """Predict as `predict` does, from meanings."""
        found = np.zeros(windows.shape, dtype=np.float32)
        names = sorted({name for one in meanings if one for name in (*one.things, *one.contexts)})
        if not names:
            return found
        flat = windows.reshape(-1, windows.shape[2])
        values = evaluate_named(names, flat, self._tokenizer).tocsr()
        column = {name: place for place, name in enumerate(names)}
        size = windows[0].size
        for row, one in enumerate(meanings):
            if one is None:
                continue
            own = values[row * size : (row + 1) * size]
            thing, context = (
                np.asarray(own[:, [column[name] for name in parts]].todense()).all(axis=1)
                if parts
                else np.ones(size, dtype=np.bool_)
                for parts in (one.things, one.contexts)
            )
            outside = thing & ~context if one.contexts else ~thing
            held = outside if one.denied else thing & context
            found[row] = TOP * held.reshape(windows.shape[1:])
        return found

    def _known(self, phrases: Sequence[str]) -> dict[str, str | None]:
        """Property that each phrase stands for."""
        found: dict[str, str | None] = {}
        exact = self._vocabulary.exact
        for phrase in phrases:
            words = normal(phrase)
            found[phrase] = exact.get(words) or exact.get(f"word {words}")
        rest = [p for p in phrases if found[p] is None and normal(p) not in _GENERIC]
        if rest:
            near = match(rest, self._phrases, self._embedder)
            found |= {phrase: one.name for phrase, one in zip(rest, near, strict=True)}
        return found


def normal(phrase: str) -> str:
    """A phrase as it is compared: lower case, no quotes, no article before it."""
    plain = " ".join(_QUOTES.sub("", phrase.lower()).split()).strip(" .,;")
    return _ARTICLE.sub("", plain)


def exact_meaning(name: str, *, denied: bool = False, how: How = "grammar") -> Meaning:
    """What a conjunction itself stands for, by its name."""
    parts = parts_of(name)
    things = tuple(part for part in parts if slot(part) == "thing")
    contexts = tuple(part for part in parts if part not in things)
    return Meaning(things=things, contexts=contexts, denied=denied, how=how)
