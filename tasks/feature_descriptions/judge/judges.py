"""Judges of descriptions, as the suite names them: exact predicates, and simulators.

What each finds, as fields of a judgement, how a suite's judges are loaded, and descriptions dealt
to other features. No truth is opened. A simulator's model is `benchmark.backends.simulator`'s.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ....benchmark.cache import Progress, cache_dir, silent
from ....benchmark.errors import IntegrityError, UsageError
from ....benchmark.files import reading
from ....benchmark.registry import installed
from ....benchmark.runs.run import MAPPED, PREDICTED
from ....benchmark.scoring.judged import EXACT
from ....benchmark.suite.suite import Suite
from ..predicates.words import HasVocabulary
from ..windows import Floats, Ids
from .exact import ExactJudge
from .phrase_index import TextEmbedder

KNOWN = "predicates.jsonl"
"""File of a suite with the names of the predicates that were searched, simple ones first, then the
conjunctions that describe training features."""
SIMULATOR = "simulator"
NAMES = (EXACT, SIMULATOR)
"""Kinds of judges: the first is the suite's own and ranks; a suite may name one of the second."""
STEPS = 25.5  # stored steps of one unit of activation: 0 to 10 becomes 0 to 255


class DescriptionJudge(Protocol):
    """Finds something about descriptions."""

    @property
    def id(self) -> str:
        """`KIND/NAME@` and 12 digits of a hash of all that its findings depend on."""

    def find(self, texts: Sequence[str], windows: Ids) -> Sequence[Mapping[str, str]]:
        """Return fields of a judgement of each description and its windows, (n, 16, 32)."""


class Simulator(Protocol):
    """Predicts activations from descriptions."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def sha256(self) -> str:
        """Hash of everything its predictions depend on."""

    def predict(self, descriptions: Sequence[str], windows: Ids) -> Floats:
        """Activations 0 to 10, (n, w, 32), of windows, (n, w, 32)."""


class Exact:
    """Exact predicates as a judge: predicted activations, and how each description was read."""

    def __init__(
        self, names: Sequence[str], embedder: TextEmbedder, tokenizer: HasVocabulary
    ) -> None:
        """Take what a suite's file `KNOWN` holds, and the target's tokenizer."""
        self.judge = ExactJudge(
            names, embedder=embedder, tokenizer=tokenizer, folder=cache_dir() / "predicates"
        )
        self.id = judge_id(EXACT, self.judge.name, self.judge.sha256)

    def find(self, texts: Sequence[str], windows: Ids) -> list[dict[str, str]]:
        """Return `predicted` and `mapped`."""
        meanings = self.judge.meanings(texts)
        predicted = self.judge.predict_meanings(meanings, windows)
        return [
            {PREDICTED: stored(row), "mapped": MAPPED[-1] if one is None else one.how}
            for row, one in zip(predicted, meanings, strict=True)
        ]


class Simulating:
    """A simulator as a judge."""

    def __init__(self, simulator: Simulator) -> None:
        self.id = judge_id(SIMULATOR, simulator.name, simulator.sha256)
        self._simulator = simulator

    def find(self, texts: Sequence[str], windows: Ids) -> list[dict[str, str]]:
        """Return `predicted`."""
        return [{PREDICTED: stored(row)} for row in self._simulator.predict(texts, windows)]


def quantise(predicted: Floats) -> npt.NDArray[np.uint8]:
    """Turn activations 0 to 10 of any shape into the bytes that are stored; refuses others."""
    if not bool(((predicted >= 0) & (predicted <= 10)).all()):
        raise UsageError("a predicted activation is not a number from 0 to 10")
    return np.round(predicted.astype(np.float64) * STEPS).astype(np.uint8)


def stored(predicted: Floats) -> str:
    """Predicted activations as they are stored: base64 of uint8."""
    return base64.b64encode(quantise(predicted).tobytes()).decode()


def judge_id(kind: str, name: str, sha256: str) -> str:
    """Return a judge's id: `KIND/NAME@` and 12 digits of its hash."""
    return f"{kind}/{name}@{sha256[:12]}"


def shuffled(names: Sequence[str], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Give every feature the place of another one whose description means something else.

    `names` say what each description means. Returns a permutation, (n,), with
    `names[permutation[i]] != names[i]` for every i; there is none (`UsageError`) if more than half
    mean the same.
    """
    kinds, meaning = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    largest = int(np.bincount(meaning).max()) if len(names) else 1
    if 2 * largest > len(names):
        raise UsageError(f"{largest} of {len(names)} descriptions mean the same")
    # Equal meanings side by side in random order; moving on by at least the largest group, and by
    # as much less than the whole, leaves no feature within its own.
    order = np.lexsort((rng.permutation(len(names)), rng.permutation(len(kinds))[meaning]))
    found = np.zeros(len(names), dtype=np.int64)
    found[order] = np.roll(order, int(rng.integers(largest, len(names) - largest + 1)))
    return found


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return all names of judges, those that packages bring last; UsageError: one is unknown."""
    known = (*NAMES, *installed("judges"))
    if unknown := sorted(set(names) - set(known)):
        raise UsageError(f"unknown judge {unknown[0]!r}: choose from {', '.join(known)}")
    return known


def open_judges(
    suite: Suite,
    *,
    names: Sequence[str] = (EXACT,),
    device: str = "cpu",
    progress: Progress = silent,
) -> list[DescriptionJudge]:
    """Load judges of a suite, of `NAMES`.

    Other packages bring judges of other names, made by `MAKER(suite, device=...)`.
    `UsageError`: unknown name, the suite has no such judge, or its simulator is not here;
    `IntegrityError`: a judge is not the one that the suite's manifest names.
    """
    known, others = check_names(names), installed("judges")
    if not suite.describes:
        raise UsageError(f"answers to {suite.task} need no judge; score the run as it is")
    if not suite.has_windows:
        raise UsageError(
            f"{suite.root} has references and no activations; have a language model rate the "
            "descriptions, `introspect-bench judge --model`"
        )
    judges: list[DescriptionJudge] = []
    for name in sorted(set(names), key=known.index):
        progress(f"loading the judge {name}")
        judge: DescriptionJudge
        if name in others:
            judge = others[name](suite, device=device)
        elif name == EXACT:
            judge = open_exact(suite, device, progress)
        else:
            judge = Simulating(open_simulator(suite, device=device, progress=progress))
        wanted = suite.manifest["judges"].get(name)
        if wanted is not None and judge.id != wanted:
            raise IntegrityError(f"the suite is judged by {wanted}, this is {judge.id}")
        judges.append(judge)
    return judges


def open_simulator(suite: Suite, *, device: str = "cpu", progress: Progress = silent) -> Simulator:
    """Load the simulator of a suite: one that lies beside the suite, or is on a hub."""
    from ....benchmark.backends.simulator.model import load_simulator

    judges = suite.manifest["judges"]
    if "hub" in judges:  # the paper's simulator, or another one of its form
        return _hub_simulator(suite, str(judges["hub"]), device, progress)
    if SIMULATOR not in judges:
        raise UsageError(f"the suite {suite.name} has no simulator; it is judged by {EXACT}")
    name = str(judges[SIMULATOR]).partition("/")[2].partition("@")[0]
    place = suite.root.parent / "simulators" / name
    if not place.is_dir():
        raise UsageError(f"the simulator {name} is not at {place}")
    base = _target_folder(suite, progress)
    return load_simulator(place, name=name, base=base, device=device)


def _target_folder(suite: Suite, progress: Progress) -> Path:
    from ....benchmark.backends.explainer.load import find_model

    target = suite.manifest["target"]
    names = {
        "hub": f"{target.get('location')}@{target.get('revision')}",
        "local": str(target.get("location")),
    }
    name = names.get(target.get("source"), target["name"])
    return find_model(name, progress=progress).directory


def _hub_simulator(suite: Suite, name: str, device: str, progress: Progress) -> Simulator:
    from ....benchmark.backends.models.pretrained import load_tokenizer
    from ....benchmark.backends.simulator.paper import load_paper_simulator

    simulator = load_paper_simulator(name, device=device, progress=progress)
    simulator.check_target(load_tokenizer(_target_folder(suite, progress)))
    return simulator


def open_exact(suite: Suite, device: str, progress: Progress) -> Exact:
    """Load a suite's exact predicates; see `open_judges`."""
    from ....benchmark.backends.models.embedding import fetch_embedder, load_embedder
    from ....benchmark.backends.models.pretrained import load_tokenizer

    embedder = load_embedder(fetch_embedder(progress=progress), device=device)
    tokenizer = load_tokenizer(_target_folder(suite, progress))
    with reading(suite.root / KNOWN, "a list of predicates that are known here"):
        names = [json.loads(row)["name"] for row in suite.read(KNOWN).decode().splitlines()]
        return Exact(names, embedder, tokenizer)
