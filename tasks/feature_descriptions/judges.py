"""Judges of descriptions: simulators and a sentence embedding, as the suite names them.

Owns what each finds, as bytes, and how a suite's judges are loaded. No truth is opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from introspect_bench.benchmark.cache import OnProgress, cache_dir, silent
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.suite import Suite
from introspect_bench.tasks.feature_descriptions.simulate import Simulator, quantise

SIMULATORS = Path(__file__).parent / "simulator"
"""Folder of the simulators that ship with the package."""
KNOWN = "predicates.jsonl"
"""File of a suite with the names of the predicates that were searched, simple ones first."""
NAMES = ("simulator", "embedding", "predicates")
"""Kinds of judges: the first two are the suite's own, the third is an independent check."""

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a judge reads besides descriptions; rows are queries."""

    windows: Ids
    """Held-out windows, int32 (n, n_windows, 32)."""
    silent: npt.NDArray[np.float16] | None = None
    """What the suite's simulator predicts there without a description, if that is kept."""

    def rows(self, places: slice) -> Shown:
        """Return some of the rows."""
        silent = None if self.silent is None else self.silent[places]
        return Shown(windows=self.windows[places], silent=silent)


class Judge(Protocol):
    """Finds something about descriptions, which is kept as bytes."""

    id: str
    """`KIND/NAME@` and 12 digits of a hash of all that its findings depend on."""
    field: str
    """Field of a judgement that holds what it finds."""

    def find(self, texts: Sequence[str], shown: Shown) -> Sequence[bytes]:
        """Return what it finds, one for each text.

        Args:
            texts: descriptions.
            shown: the windows of each query.
        """
        ...


class Simulating:
    """A simulator as a judge: predicted activations, uint8, 25.5 for each unit."""

    field = "predicted"

    def __init__(self, simulator: Simulator, *, kind: str = "simulator") -> None:
        """Wrap a simulator; `kind` begins its id."""
        self.id = judge_id(kind, simulator.name, simulator.sha256)
        self._simulator = simulator

    def find(self, texts: Sequence[str], shown: Shown) -> list[bytes]:
        """Return predictions of (n_windows * 32,) tokens."""
        predict: Any = self._simulator.predict
        more = {"silent": shown.silent} if getattr(self._simulator, "contrast", False) else {}
        predicted = predict(texts, shown.windows, **more)
        return [row.tobytes() for row in quantise(predicted)]


class TextEmbedder(Protocol):
    """Turns texts into unit vectors; `benchmark.backends.embedding.Embedder` is one."""

    sha256: str

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit rows, float32 (n_texts, width)."""
        ...


class Embedding:
    """A sentence embedding as a judge: int8, 127 for 1."""

    field = "embedding"

    def __init__(self, embedder: TextEmbedder, *, name: str = "minilm") -> None:
        """Wrap an encoder."""
        self.id = judge_id("embedding", name, embedder.sha256)
        self._embedder = embedder

    def find(self, texts: Sequence[str], shown: Shown) -> list[bytes]:  # noqa: ARG002
        """Return embeddings; windows do not matter."""
        return [row.tobytes() for row in quantise_embedding(self._embedder.embed(texts))]


def quantise_embedding(unit: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """Turn unit rows into the bytes that are stored."""
    return np.round(127 * unit.astype(np.float64)).astype(np.int8)


def judge_id(kind: str, name: str, sha256: str) -> str:
    """Return a judge's id: `KIND/NAME@` and 12 digits of its hash."""
    return f"{kind}/{name}@{sha256[:12]}"


def open_judges(
    suite: Suite,
    *,
    names: Sequence[str] = NAMES[:2],
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
        UsageError: unknown name, the suite has no judges, or its simulator is not here.
        MissingPartError: weights, network or device are missing.
        IntegrityError: a part is corrupt, or a judge is not the one the suite names.
    """
    if unknown := sorted(set(names) - set(NAMES)):
        raise UsageError(f"unknown judge {unknown[0]!r}: choose from {', '.join(NAMES)}")
    if not suite.describes:
        raise UsageError(f"answers to {suite.task} need no judge; score the run as it is")
    judges = []
    for name in sorted(set(names), key=NAMES.index):
        on_progress(f"loading the {name}", 0, None)
        judge = _OPEN[name](suite, device, on_progress)
        wanted = suite.manifest["judges"].get(name)
        if wanted is not None and judge.id != wanted:
            raise IntegrityError(f"the suite is judged by {wanted}, this is {judge.id}")
        judges.append(judge)
    return judges


def open_simulator(
    suite: Suite, *, device: str = "cpu", on_progress: OnProgress = silent
) -> Simulator:
    """Load the simulator of a suite: one that ships, lies beside the suite, or is on a hub.

    Raises:
        UsageError: it is not here.
        MissingPartError: weights, network or device are missing.
        IntegrityError: a part is corrupt.
    """
    from introspect_bench.benchmark.backends.simulator import load_simulator

    hub = suite.manifest["judges"].get("hub")
    if hub is not None:  # the paper's simulator, or another one of its form
        return _hub_simulator(str(hub), device, on_progress)
    name = str(suite.manifest["judges"]["simulator"]).partition("/")[2].partition("@")[0]
    places = [SIMULATORS / name, suite.root.parent / "simulators" / name]
    place = next((place for place in places if place.is_dir()), None)
    if place is None:
        raise UsageError(f"the simulator {name} is neither in the package nor at {places[1]}")
    base = _target_folder(suite, on_progress)
    return load_simulator(place, name=name, base=base, device=device)


def _open_simulator(suite: Suite, device: str, on_progress: OnProgress) -> Judge:
    return Simulating(open_simulator(suite, device=device, on_progress=on_progress))


def _target_folder(suite: Suite, on_progress: OnProgress) -> Path:
    from introspect_bench.benchmark.backends.loading import find_model

    target = suite.manifest["target"]
    names = {
        "hub": f"{target.get('location')}@{target.get('revision')}",
        "local": str(target.get("location")),
    }
    name = names.get(target.get("source"), target["name"])
    return find_model(name, on_progress=on_progress).directory


def _hub_simulator(name: str, device: str, on_progress: OnProgress) -> Simulator:
    from introspect_bench.benchmark.backends.paper_simulator import load_paper_simulator

    return load_paper_simulator(name, device=device, on_progress=on_progress)


def _open_embedding(suite: Suite, device: str, on_progress: OnProgress) -> Judge:  # noqa: ARG001
    from introspect_bench.benchmark.backends.embedding import fetch_embedder, load_embedder

    return Embedding(load_embedder(fetch_embedder(on_progress=on_progress), device=device))


def _open_predicates(suite: Suite, device: str, on_progress: OnProgress) -> Judge:
    from introspect_bench.benchmark.backends.embedding import fetch_embedder, load_embedder
    from introspect_bench.benchmark.backends.pretrained import load_tokenizer
    from introspect_bench.tasks.feature_descriptions.predicate_simulator import (
        PredicateSimulator,
        known_predicates,
        phrase_index,
    )
    from introspect_bench.tasks.feature_descriptions.predicates.lexicon import shipped_lexicon

    lexicon = shipped_lexicon()
    rows = suite.read(KNOWN).decode().splitlines()
    known = known_predicates([json.loads(row)["name"] for row in rows], lexicon)
    tokenizer = load_tokenizer(_target_folder(suite, on_progress))
    embedder = load_embedder(fetch_embedder(on_progress=on_progress), device=device)
    index = phrase_index(
        known,
        embedder,
        folder=cache_dir() / "predicates",
        on_progress=on_progress,
    )
    return Simulating(PredicateSimulator(index, embedder, tokenizer, lexicon), kind="predicates")


_OPEN: dict[str, Callable[[Suite, str, OnProgress], Judge]] = {
    "simulator": _open_simulator,
    "embedding": _open_embedding,
    "predicates": _open_predicates,
}
