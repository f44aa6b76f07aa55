"""Whether a learned simulator follows descriptions of contexts: trains one, measures it.

    python docs/studies/simulator.py SUITE --work WORK -o OUT [--set NAME=VALUE ...] [--test]

A language model with an adapter and a head of classes learns from the train split alone: from each
feature's own windows, and from windows of other features. WORK is the folder that
`introspect-bench data make` built the suite in; it holds the token tables that activations on
others' windows need; all else of those comes from the target and what the suite ships. Validation
is measured, test only with `--test`. Killed at any moment, the same command goes on where it was.
Prints one JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file

from introspect_bench.benchmark.backends.explainer.load import find_model
from introspect_bench.benchmark.backends.interventions.trace import residual_arrays
from introspect_bench.benchmark.backends.models.pretrained import (
    load_model,
    load_tokenizer,
    merge_adapter,
)
from introspect_bench.benchmark.backends.models.target_model import load_target_model
from introspect_bench.benchmark.backends.simulator.examples import Lessons, TrainingSettings
from introspect_bench.benchmark.backends.simulator.model import RECORD, load_simulator
from introspect_bench.benchmark.backends.simulator.train import Base, train_simulator
from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.benchmark.files import (
    canonical_json,
    read_json,
    read_jsonl,
    sha256_bytes,
    write_safetensors_atomic,
)
from introspect_bench.benchmark.suite.features import TOKEN, arrays
from introspect_bench.benchmark.suite.select import find_suite
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.tasks.feature_descriptions.build.stages import folder_of
from introspect_bench.tasks.feature_descriptions.build.table import TokenTable
from introspect_bench.tasks.feature_descriptions.judge import quality
from introspect_bench.tasks.feature_descriptions.judge.conjunctions import denied
from introspect_bench.tasks.feature_descriptions.judge.judges import quantise, shuffled
from introspect_bench.tasks.feature_descriptions.task import HEADLINE, NAME
from introspect_bench.tasks.feature_descriptions.windows import bos_id

Floats = npt.NDArray[np.float32]
BATCH = 64
"""Windows of one forward pass of the target."""
TOLERANCE = 0.01
"""How far an activation may be from the shipped one, as a share of it."""
SETTINGS = TrainingSettings(depth=12, first_layer=2, windows=6, opposite_share=0.1, rows=8)
"""What `--set` changes."""
PART = 10
"""Features whose predictions are kept in one file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes of a trial."""

    n_train: int = 2000
    """Features of train that are learned from."""
    pool: int = 384
    """Windows of train that others' are drawn from."""
    others: int = 8
    """Windows of others beside a feature's own 16."""
    most: int = 60
    """Features of a kind that are measured."""
    seed: int = 0
    """Chooses all of them."""


def make_lessons(suite: Suite, work: Path, target: Any, plan: Plan) -> Lessons:
    """Features of train with their own windows and others', and activations on both.

    Raises:
        CheckFailedError: activations computed from `work` are not those of the suite.
    """
    train, rng = quality.read_split(suite, "train"), np.random.default_rng(plan.seed)
    n, per, width = train.own["ids"].shape
    rows = np.sort(rng.permutation(n)[: plan.n_train])
    pool = rng.permutation(n * per)[: plan.pool]  # windows of features, by number
    ids = train.own["ids"].reshape(n * per, width)[pool]
    found = pool_activations(suite, train, work, target, ids)
    truth = train.own["activations"].astype(np.float32)
    owners = pool // per
    again, shipped = found[owners, range(len(pool))], truth.reshape(n * per, width)[pool]
    both = (again > 0) & (shipped > 0)  # at the threshold rounding decides
    if not (abs(again - shipped)[both] < TOLERANCE * shipped[both]).all() or (
        both.sum() < (1 - TOLERANCE) * (shipped > 0).sum()
    ):
        raise CheckFailedError(f"{work} is of another build: activations are not the suite's")
    drawn = [rng.permutation(np.flatnonzero(owners != row))[: plan.others] for row in rows]
    return Lessons(
        descriptions=tuple(tuple(train.truth[row].descriptions) for row in rows),
        opposites=tuple((denied(train.truth[row].predicate),) for row in rows),
        ids=np.concatenate([train.own["ids"][rows], ids[np.stack(drawn)]], axis=1),
        activations=np.concatenate([truth[rows], found[rows[:, None], np.stack(drawn)]], axis=1),
    )


def pool_activations(
    suite: Suite, train: quality.Split, work: Path, target: Any, ids: npt.NDArray[np.int32]
) -> Floats:
    """Activations of all features on windows (n_windows, 32), (n_features, n_windows, 32)."""
    shipped = arrays(suite, "train", "definitions")
    layers, bos = shipped["layers"].tolist(), bos_id(target.tokenizer)
    read = [
        residual_arrays(target, ids[start : start + BATCH], bos=bos, layers=layers)
        for start in range(0, len(ids), BATCH)
    ]
    found = np.zeros((len(train.queries), *ids.shape), dtype=np.float32)
    folders = [(one.fields["layer"], one.kind == TOKEN) for one in train.queries]
    for layer, plain in sorted(set(folders)):
        own = [row for row, folder in enumerate(folders) if folder == (layer, plain)]
        table = TokenTable(
            mean=shipped["mean"][layers.index(layer)],
            cap=float(shipped["cap"][layers.index(layer)]),
            rows=load_file(work / folder_of(layer, plain=plain) / "table.safetensors")["rows"],
        )
        flat = np.concatenate([one[layer] for one in read]).reshape(ids.size, -1)
        raw = table.left(flat, ids.ravel()) @ shipped["encoder"][own].T + shipped["bias"][own]
        raw[(raw < 0) | (raw < shipped["threshold"][own])] = 0
        found[own] = raw.T.reshape(len(own), *ids.shape)
    return found


class Simulates(Protocol):
    """What is measured, such as a `Simulator`."""

    sha256: str
    """Hash of what it predicts by."""

    def predict(self, texts: Sequence[str], ids: Any, /, *, silent: Any) -> Any:
        """Activations 0 to 10, float32 (n, w, 32)."""
        ...

    def silent(self, ids: Any, /) -> Any:
        """What is predicted without a description."""
        ...


def measure(simulator: Simulates, suite: Suite, split: str, out: Path, plan: Plan) -> Any:
    """Score texts whose worth is known, of the headline and of each kind."""
    features = quality.read_split(suite, split)
    kinds = {"headline": HEADLINE} | {kind: (kind,) for kind in quality.kinds_of(features)}

    def rows_of(wanted: Sequence[str]) -> list[int]:
        return [row for row, query in enumerate(features.queries) if query.kind in wanted]

    some = [row for kind in quality.kinds_of(features) for row in rows_of([kind])[: plan.most]]
    features = features.take(some)
    predicted = predictions(simulator, features, out / split, plan.seed)
    return {
        name: {"features": len(rows_of(own))}
        | {
            text: quality.scores(features.of(own), list(rows[rows_of(own)]))
            for text, rows in predicted.items()
        }
        for name, own in kinds.items()
    }


def predictions(
    simulator: Simulates, features: quality.Split, out: Path, seed: int
) -> dict[str, npt.NDArray[np.uint8]]:
    """What is predicted from each text, (n, 16, 32), as run files keep it; parts are on disk."""
    names = [one.predicate for one in features.truth]
    wordings = [one.descriptions[0] for one in features.truth]
    texts = {
        "wording": wordings,
        "shuffled": [wordings[row] for row in shuffled(names, np.random.default_rng(seed))],
        "denied": [denied(name) for name in names],
    }
    parts = []
    for start in range(0, len(names), PART):
        part = slice(start, start + PART)
        ids = features.own["ids"][part]
        asked = [simulator.sha256, ids.tolist(), {name: of[part] for name, of in texts.items()}]
        path = out / f"{sha256_bytes(canonical_json(asked).encode())[:16]}.safetensors"
        if not path.is_file():
            silent = simulator.silent(ids)
            made = {
                name: simulator.predict(of[part], ids, silent=silent) for name, of in texts.items()
            }
            # what `predict` takes off a text without words is what it finds there
            made["empty"] = (silent - silent).astype(np.float32)
            write_safetensors_atomic(path, {name: quantise(one) for name, one in made.items()})
        parts.append(load_file(path))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def train(base: Base, lessons: Lessons, out: Path, settings: TrainingSettings) -> Path:
    """Train, or find it done; a line of `training.jsonl` is a step's loss and CPU seconds."""
    out.mkdir(parents=True, exist_ok=True)
    begun = time.process_time()

    def progress(
        _what: str, done: int = 0, total: int | None = None, *, note: str = "", **_: Any
    ) -> None:
        nonlocal begun
        now, loss = time.process_time(), float(note.removeprefix("loss "))
        row = {"step": done, "of": total, "loss": loss, "seconds": now - begun}
        begun = now
        with (out / "training.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    return train_simulator(
        base, lessons, settings, out / "simulator", name="trial", save_every=20, progress=progress
    )


def started(target: Base, start: Path, out: Path) -> Base:
    """Write the target with an earlier simulator's adapter merged, to be trained further."""
    folder = out / "start"
    if not (folder / "tokenizer_config.json").is_file():  # written last
        model = merge_adapter(load_model(target.folder, torch.float32), start)
        model.save_pretrained(folder)
        load_tokenizer(target.folder).save_pretrained(folder)
    return Base(name=f"{target.name}+{read_json(start / RECORD)['name']}", folder=folder)


def changed(values: Any, given: dict[str, str]) -> Any:
    """Settings with new values of those that they have."""
    names = [one.name for one in fields(values) if one.name in given]
    return replace(values, **{name: json.loads(given[name]) for name in names})


def main(words: Sequence[str] | None = None) -> None:
    """Train and measure what is not done yet, then print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("suite", help="name or folder")
    parser.add_argument("--work", type=Path, required=True, help="folder of the suite's build")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--target", help="where its weights are, if that is not known")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--start", type=Path, help="simulator to go on from; default: none")
    parser.add_argument("--test", action="store_true", help="measure test, too")
    options = parser.parse_args(words)
    suite, out = find_suite(options.suite, NAME), options.output
    name = options.target or suite.manifest["target"]["name"]
    target = Base(name=name, folder=find_model(name).directory)
    given = dict(word.split("=", 1) for word in options.set)
    if unknown := sorted(given.keys() - asdict(Plan()).keys() - asdict(SETTINGS).keys()):
        parser.error(f"--set {unknown[0]}: no such setting")
    plan, settings = changed(Plan(), given), changed(SETTINGS, given)
    lessons = make_lessons(suite, options.work, load_target_model(target.folder), plan)
    base = started(target, options.start, out) if options.start else target
    simulator = load_simulator(train(base, lessons, out, settings), base=base.folder)
    steps = [row for _, row in read_jsonl(out / "training.jsonl")]
    found = {
        "base": base.name,
        "plan": asdict(plan),
        "training": asdict(settings),
        "seconds": round(sum(row["seconds"] for row in steps), 1),
        "loss": round(float(np.mean([row["loss"] for row in steps[-50:]])), 4),
    }
    for split in ("validation", "test")[: 1 + options.test]:
        found[split] = measure(simulator, suite, split, out, plan)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
