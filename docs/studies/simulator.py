"""Whether a learned simulator follows descriptions of contexts: trains one, measures it.

    python docs/studies/simulator.py SUITE --work WORK -o OUT [--set NAME=VALUE ...] [--test]

A language model with an adapter and a head of classes learns from the train split alone: from each
feature's own windows, and from windows of other features. WORK is the folder that
`introspect-bench data make` built the suite in; it holds the token tables that activations on
others' windows need. Validation is measured, test only with `--test`. Killed at any moment, the
same command goes on where it was. Prints one JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file

from introspect_bench.benchmark.backends.adapters import merge_adapter
from introspect_bench.benchmark.backends.loading import find_model
from introspect_bench.benchmark.backends.pretrained import load_model, load_tokenizer
from introspect_bench.benchmark.backends.residuals import residual_arrays
from introspect_bench.benchmark.backends.simulator import RECORD, Simulator, load_simulator
from introspect_bench.benchmark.backends.simulator_lessons import Lessons, TrainingSettings
from introspect_bench.benchmark.backends.simulator_training import Base, train_simulator
from introspect_bench.benchmark.backends.target_model import load_target_model
from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.benchmark.files import read_json, read_jsonl
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.suite_features import TOKEN, arrays
from introspect_bench.benchmark.tensors import write_safetensors_atomic
from introspect_bench.suites import find_suite
from introspect_bench.tasks.feature_descriptions.contextual import quality
from introspect_bench.tasks.feature_descriptions.contextual.stages import folder_of
from introspect_bench.tasks.feature_descriptions.contextual.table import TokenTable
from introspect_bench.tasks.feature_descriptions.contextual.wording import denied
from introspect_bench.tasks.feature_descriptions.predicates.lexicon import shipped_lexicon
from introspect_bench.tasks.feature_descriptions.simulate import quantise, shuffled
from introspect_bench.tasks.feature_descriptions.task import HEADLINE, NAME
from introspect_bench.tasks.feature_descriptions.windows import bos_id

Floats = npt.NDArray[np.float32]
SETTINGS = TrainingSettings(depth=12, first_layer=2, windows=6, opposite_share=0.1, rows=8)
"""What `--set` changes."""
BATCH = 64
"""Windows of one forward pass of the target."""
PART = 10
"""Features whose predictions are kept in one file."""
TOLERANCE = 0.01
"""How far an activation may be from the shipped one, as a share of the feature's greatest."""


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
    n, per = train.own["ids"].shape[:2]
    rows = np.sort(rng.permutation(n)[: plan.n_train])
    pool = rng.permutation(n * per)[: plan.pool]  # a window of a feature, by number
    ids = train.own["ids"].reshape(n * per, -1)[pool]
    values = pool_activations(suite, train, work, target, ids)
    truth = train.own["activations"].astype(np.float32)
    _check(values, truth, pool)
    drawn = np.stack(
        [rng.permutation(np.flatnonzero(pool // per != row))[: plan.others] for row in rows]
    )
    lexicon = shipped_lexicon()
    return Lessons(
        descriptions=tuple(tuple(train.truth[row].descriptions) for row in rows),
        opposites=tuple((denied(train.truth[row].predicate, lexicon),) for row in rows),
        ids=np.concatenate([train.own["ids"][rows], ids[drawn]], axis=1),
        activations=np.concatenate([truth[rows], values[rows[:, None], drawn]], axis=1),
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
    for number, layer in enumerate(layers):
        flat = np.concatenate([one[layer] for one in read]).reshape(ids.size, -1)
        for plain in (False, True):
            own = [
                row
                for row, query in enumerate(train.queries)
                if query.fields["layer"] == layer and (query.kind == TOKEN) == plain
            ]
            if not own:
                continue
            table = load_file(work / folder_of(layer, plain=plain) / "table.safetensors")["rows"]
            mean, cap = shipped["mean"][number], float(shipped["cap"][number])
            left = TokenTable(mean=mean, cap=cap, rows=table).left(flat, ids.ravel())
            raw = left @ shipped["encoder"][own].T + shipped["bias"][own]
            active = np.where((raw > 0) & (raw >= shipped["threshold"][own]), raw, 0)
            found[own] = active.T.reshape(len(own), *ids.shape)
    return found


def _check(values: Floats, truth: Floats, pool: npt.NDArray[np.int64]) -> None:
    """Hold activations on windows of the pool against those of the features they are of."""
    rows, places = np.divmod(pool, truth.shape[1])
    own, shipped = values[rows, np.arange(len(pool))], truth[rows, places]
    top = truth[rows].max(axis=(1, 2))[:, None]
    both = (own > 0) & (shipped > 0)  # rounding decides at the threshold
    if (
        both.sum() < 0.99 * (shipped > 0).sum()
        or (abs(own - shipped) > TOLERANCE * top)[both].any()
    ):
        raise CheckFailedError("activations are not the suite's: WORK is of another build")


def measure(simulator: Simulator, suite: Suite, split: str, out: Path, plan: Plan) -> Any:
    """Score texts whose worth is known, of the headline and of each kind, as `quality` does."""
    whole = quality.read_split(suite, split)
    kinds = quality.kinds_of(whole)
    rows = [
        row
        for kind in kinds
        for row in [n for n, q in enumerate(whole.queries) if q.kind == kind][: plan.most]
    ]
    features = quality.Split(
        queries=[whole.queries[row] for row in rows],
        truth=[whole.truth[row] for row in rows],
        own={name: value[rows] for name, value in whole.own.items()},
    )
    predicted = _predictions(simulator, features, out / split, plan.seed)
    found: dict[str, Any] = {}
    for name, own in {"headline": HEADLINE, **{kind: (kind,) for kind in kinds}}.items():
        mine = [row for row, query in enumerate(features.queries) if query.kind in own]
        part = features.of(own)
        found[name] = {"features": len(mine)}
        found[name] |= {text: quality.scores(part, of[mine]) for text, of in predicted.items()}
    return found


def _predictions(
    simulator: Simulator, features: quality.Split, out: Path, seed: int
) -> dict[str, Floats]:
    """What a simulator predicts from each text, (n, 16, 32); parts are kept on disk."""
    names, lexicon = [one.predicate for one in features.truth], shipped_lexicon()
    wordings = [one.descriptions[0] for one in features.truth]
    kinds = np.array([query.kind for query in features.queries])
    dealt = list(wordings)  # within a kind, as the judge's quality is measured
    for kind in dict.fromkeys(kinds.tolist()):
        rows = np.flatnonzero(kinds == kind)
        places = shuffled([names[row] for row in rows], np.random.default_rng(seed))
        for row, place in zip(rows, places, strict=True):
            dealt[row] = wordings[rows[place]]
    texts = {"wording": wordings, "shuffled": dealt}
    texts["denied"] = [denied(name, lexicon) for name in names]
    parts: dict[str, list[Floats]] = {text: [] for text in (*texts, "empty")}
    for start in range(0, len(names), PART):
        path, part = out / f"{start}.safetensors", slice(start, start + PART)
        if not path.is_file():
            ids = features.own["ids"][part]
            silent = simulator.silent(ids)
            made = {
                text: simulator.predict(of[part], ids, silent=silent) for text, of in texts.items()
            }
            # what `predict` takes off a text without words is what it finds there
            made["empty"] = (silent - silent).astype(np.float32)
            # as a run file keeps them
            write_safetensors_atomic(path, {text: quantise(of) for text, of in made.items()})
        for text, of in load_file(path).items():
            parts[text].append(of)
    return {text: np.concatenate(of) for text, of in parts.items()}


def train(base: Base, lessons: Lessons, out: Path, settings: TrainingSettings) -> Path:
    """Train, or find it done; a line of `training.jsonl` is a step's loss and CPU seconds."""
    out.mkdir(parents=True, exist_ok=True)
    begun = time.process_time()

    def report(step: int, steps: int, loss: float) -> None:
        nonlocal begun
        now = time.process_time()
        row = {"step": step, "of": steps, "loss": loss, "seconds": now - begun}
        begun = now
        with (out / "training.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    return train_simulator(
        base, lessons, settings, out / "simulator", name="trial", save_every=20, report=report
    )


def started(target: Base, start: Path, out: Path) -> Base:
    """Write the target with an earlier simulator's adapter merged, to be trained further."""
    folder = out / "start"
    if not folder.is_dir():
        model = merge_adapter(load_model(target.folder, torch.float32), start)
        model.save_pretrained(folder)
        load_tokenizer(target.folder).save_pretrained(folder)
    return Base(name=f"{target.name}+{read_json(start / RECORD)['name']}", folder=folder)


def changed(values: Any, words: Sequence[str]) -> Any:
    """Settings with `NAME=VALUE` of those that they have."""
    given = dict(word.split("=", 1) for word in words)
    return replace(
        values,
        **{one.name: json.loads(given[one.name]) for one in fields(values) if one.name in given},
    )


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
    plan, settings = changed(Plan(), options.set), changed(SETTINGS, options.set)
    lessons = make_lessons(suite, options.work, load_target_model(target.folder), plan)
    base = started(target, options.start, out) if options.start else target
    simulator = load_simulator(train(base, lessons, out, settings), base=base.folder)
    steps = [row for _, row in read_jsonl(out / "training.jsonl")]
    found = {
        "base": base.name,
        "plan": asdict(plan),
        "training": settings.as_json(),
        "seconds": round(sum(row["seconds"] for row in steps), 1),
        "loss": round(float(np.mean([row["loss"] for row in steps[-50:]])), 4),
    }
    for split in ("validation", "test")[: 1 + options.test]:
        found[split] = measure(simulator, suite, split, out, plan)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
