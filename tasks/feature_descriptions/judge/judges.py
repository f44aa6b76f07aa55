"""Judges of descriptions, as the suite names them: exact predicates, and simulators.

Owns what each finds, as fields of a judgement, and how a suite's judges are loaded. No truth is
opened.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ....benchmark.cache import OnProgress, cache_dir, silent
from ....benchmark.errors import IntegrityError, UsageError
from ....benchmark.runs.run import MAPPED, PREDICTED
from ....benchmark.scoring.judged import EXACT
from ....benchmark.suite.suite import Suite
from ..predicates.lexicon import shipped_lexicon
from ..predicates.words import HasVocabulary
from .exact import ExactJudge
from .phrase_index import TextEmbedder
from .predictions import Simulator, quantise
from .slots import is_conjunction

KNOWN = "predicates.jsonl"
"""File of a suite with the names of the predicates that were searched, simple ones first, then the
conjunctions that describe training features."""
SIMULATOR = "simulator"
NAMES = (EXACT, SIMULATOR)
"""Kinds of judges: the first is the suite's own and ranks; a suite may name one of the second."""

Ids = npt.NDArray[np.int32]


class Judge(Protocol):
    """Finds something about descriptions."""

    @property
    def id(self) -> str:
        """`KIND/NAME@` and 12 digits of a hash of all that its findings depend on."""

    def find(self, texts: Sequence[str], windows: Ids) -> Sequence[Mapping[str, str]]:
        """Return fields of judgements, one for each text.

        Args:
            texts: descriptions.
            windows: of each, int32 (n, 16, 32).
        """
        ...


class Exact:
    """Exact predicates as a judge: predicted activations, and how each description was read."""

    def __init__(self, judge: ExactJudge) -> None:
        """Wrap it."""
        self.id = judge_id(EXACT, judge.name, judge.sha256)
        self.judge = judge

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
        """Wrap it."""
        self.id = judge_id(SIMULATOR, simulator.name, simulator.sha256)
        self._simulator = simulator

    def find(self, texts: Sequence[str], windows: Ids) -> list[dict[str, str]]:
        """Return `predicted`."""
        return [{PREDICTED: stored(row)} for row in self._simulator.predict(texts, windows)]


def stored(predicted: npt.NDArray[np.float32]) -> str:
    """Predicted activations as they are stored: base64 of uint8, 25.5 for each unit."""
    return base64.b64encode(quantise(predicted).tobytes()).decode()


def judge_id(kind: str, name: str, sha256: str) -> str:
    """Return a judge's id: `KIND/NAME@` and 12 digits of its hash."""
    return f"{kind}/{name}@{sha256[:12]}"


def exact_judge(names: Sequence[str], embedder: TextEmbedder, tokenizer: HasVocabulary) -> Exact:
    """Make the judge of a suite.

    Args:
        names: what its file `KNOWN` holds.
        embedder: the encoder of sentences.
        tokenizer: the target's.

    Raises:
        MissingPartError: the cache can't be written.
        IntegrityError: a file there is damaged.
    """
    judge = ExactJudge(
        [name for name in names if not is_conjunction(name)],
        [name for name in names if is_conjunction(name)],
        embedder=embedder,
        tokenizer=tokenizer,
        lexicon=shipped_lexicon(),
        folder=cache_dir() / "predicates",
    )
    return Exact(judge)


def open_judges(
    suite: Suite,
    *,
    names: Sequence[str] = (EXACT,),
    device: str = "cpu",
    on_progress: OnProgress = silent,
) -> list[Judge]:
    """Load the judges of a suite.

    Args:
        suite: names them in its manifest.
        names: some of `NAMES`.
        device: a torch device.
        on_progress: told what is fetched and loaded.

    Raises:
        UsageError: unknown name, the suite has no such judge, or its simulator is not here.
        MissingPartError: weights, network or device are missing.
        IntegrityError: a part is corrupt, or a judge is not the one the suite names.
    """
    if unknown := sorted(set(names) - set(NAMES)):
        raise UsageError(f"unknown judge {unknown[0]!r}: choose from {', '.join(NAMES)}")
    if not suite.describes:
        raise UsageError(f"answers to {suite.task} need no judge; score the run as it is")
    judges = []
    for name in sorted(set(names), key=NAMES.index):
        on_progress(f"loading the judge {name}", 0, None)
        judge = _OPEN[name](suite, device, on_progress)
        wanted = suite.manifest["judges"].get(name)
        if wanted is not None and judge.id != wanted:
            raise IntegrityError(f"the suite is judged by {wanted}, this is {judge.id}")
        judges.append(judge)
    return judges


def open_simulator(
    suite: Suite, *, device: str = "cpu", on_progress: OnProgress = silent
) -> Simulator:
    """Load the simulator of a suite: one that lies beside the suite, or is on a hub.

    Raises:
        UsageError: the suite names none, or it is not here.
        MissingPartError: weights, network or device are missing.
        IntegrityError: a part is corrupt.
    """
    from ....benchmark.backends.simulator.model import load_simulator

    judges = suite.manifest["judges"]
    if "hub" in judges:  # the paper's simulator, or another one of its form
        return _hub_simulator(str(judges["hub"]), device, on_progress)
    if SIMULATOR not in judges:
        raise UsageError(f"the suite {suite.name} has no simulator; it is judged by {EXACT}")
    name = str(judges[SIMULATOR]).partition("/")[2].partition("@")[0]
    place = suite.root.parent / "simulators" / name
    if not place.is_dir():
        raise UsageError(f"the simulator {name} is not at {place}")
    base = _target_folder(suite, on_progress)
    return load_simulator(place, name=name, base=base, device=device)


def _open_simulator(suite: Suite, device: str, on_progress: OnProgress) -> Judge:
    return Simulating(open_simulator(suite, device=device, on_progress=on_progress))


def _target_folder(suite: Suite, on_progress: OnProgress) -> Path:
    from ....benchmark.backends.explainer.load import find_model

    target = suite.manifest["target"]
    names = {
        "hub": f"{target.get('location')}@{target.get('revision')}",
        "local": str(target.get("location")),
    }
    name = names.get(target.get("source"), target["name"])
    return find_model(name, on_progress=on_progress).directory


def _hub_simulator(name: str, device: str, on_progress: OnProgress) -> Simulator:
    from ....benchmark.backends.simulator.paper import load_paper_simulator

    return load_paper_simulator(name, device=device, on_progress=on_progress)


def open_exact(suite: Suite, device: str, on_progress: OnProgress) -> Exact:
    """Load a suite's exact predicates; see `open_judges`."""
    from ....benchmark.backends.models.embedding import fetch_embedder, load_embedder
    from ....benchmark.backends.models.pretrained import load_tokenizer

    rows = suite.read(KNOWN).decode().splitlines()
    return exact_judge(
        [json.loads(row)["name"] for row in rows],
        load_embedder(fetch_embedder(on_progress=on_progress), device=device),
        load_tokenizer(_target_folder(suite, on_progress)),
    )


_OPEN: dict[str, Callable[[Suite, str, OnProgress], Judge]] = {
    EXACT: open_exact,
    SIMULATOR: _open_simulator,
}
