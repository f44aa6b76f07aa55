"""Whether embeddings of a description's parts can simulate features of context.

    python docs/studies/simulator_parts.py SUITE -o OUT [--set NAME=VALUE ...] [--test]

No language model: the judge's grammar takes a description apart; a phrase matches a token as far
as learned maps of the phrase's sentence embedding and of the token's input embedding agree; the
matches of all parts, each where its relation looks, are multiplied. Learned from train alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from simulator import Plan, changed, measure
from torch import Tensor, nn

from introspect_bench.benchmark.backends.explainer.load import find_model
from introspect_bench.benchmark.backends.models.embedding import fetch_embedder, load_embedder
from introspect_bench.benchmark.backends.models.pretrained import load_model
from introspect_bench.benchmark.files import sha256_file, write_safetensors_atomic
from introspect_bench.benchmark.suite.select import find_suite
from introspect_bench.tasks.feature_descriptions.judge import quality
from introspect_bench.tasks.feature_descriptions.judge.conjunctions import clause_table
from introspect_bench.tasks.feature_descriptions.judge.grammar import ParsedDescription, read
from introspect_bench.tasks.feature_descriptions.task import NAME

Ids = npt.NDArray[np.int32]
SLOTS = ("thing", "previous", "second-previous", "lately", "sentence", "earlier", "topic", "place")
"""Where a phrase can be looked for."""
VECTOR = 384
"""Width of a phrase's embedding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How it is trained."""

    epochs: int = 6
    """Times that every feature is taken."""
    batch: int = 24
    """Features of one step."""
    width: int = 64
    """Dimensions in which phrases and tokens are compared."""
    components: int = 192
    """Principal components of the input embeddings that are read."""
    learning_rate: float = 4e-3
    """Highest one of AdamW; it falls to 0 as a cosine."""
    decay: float = 0.05
    """Weight decay."""


class Parts(nn.Module):
    """Matches phrases with tokens; a simulator once it is trained."""

    sha256 = ""
    """Hash of the weights, once it is trained."""

    def __init__(self, tokens: Tensor, embedder: Any, settings: Settings, seed: int) -> None:
        """Take what tokens look like, (vocabulary, components), and what embeds phrases."""
        super().__init__()
        self._tokens, self._embedder = tokens, embedder
        self._known: dict[str, npt.NDArray[np.float32]] = {}
        self._places = [form for forms in clause_table("place").values() for form in forms]
        self.phrase = nn.Linear(VECTOR, settings.width)
        self.token = nn.Linear(2 * settings.components, settings.width)
        self.prior = nn.Linear(VECTOR, 1)
        self.scale = nn.Parameter(torch.full((len(SLOTS),), settings.width**-0.5))
        self.bias = nn.Parameter(torch.full((len(SLOTS),), -1.0))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for part in (self.phrase, self.token, self.prior):
                bound = part.in_features**-0.5
                part.weight.uniform_(-bound, bound, generator=generator)
                part.bias.zero_()

    def readings(self, texts: Sequence[str]) -> list[ParsedDescription]:
        """Take texts apart, and embed the phrases that are new."""
        found = [read(text, self._places) for text in texts]
        phrases = {one.thing for one in found} | {c.phrase for one in found for c in one.contexts}
        if new := sorted(phrases - self._known.keys()):
            self._known |= dict(zip(new, self._embedder.embed(new), strict=True))
        return found

    def chances(self, readings: Sequence[ParsedDescription], ids: Ids) -> Tensor:
        """Chance that each description holds at a token, (n, w, 32), 0 for one of no parts."""
        looks = self._tokens[torch.from_numpy(ids.astype(np.int64))]
        seen = self.token(torch.cat([looks, nn.functional.pad(looks, (0, 0, 1, -1))], dim=-1))
        return torch.stack([self._chance(*pair) for pair in zip(readings, seen, strict=True)])

    def _chance(self, reading: ParsedDescription, seen: Tensor) -> Tensor:
        things = [("thing", reading.thing)] if reading.thing else []
        contexts = [(one.slot or "place", one.phrase) for one in reading.contexts]
        if not things + contexts:
            return torch.zeros(seen.shape[:2])
        thing, context = (self._all(parts, seen) for parts in (things, contexts))
        if not reading.denied:
            return thing * context
        return thing * (1 - context) if contexts else 1 - thing

    def _all(self, parts: Sequence[tuple[str, str]], seen: Tensor) -> Tensor:
        chance = torch.ones(seen.shape[:2])
        for slot, phrase in parts:
            vector = torch.from_numpy(self._known[phrase])
            number = SLOTS.index(slot)
            own = seen @ self.phrase(vector) * self.scale[number] + self.bias[number]
            chance = chance * torch.sigmoid(_looked(slot, own + self.prior(vector)))
        return chance

    def predict(self, texts: Sequence[str], ids: Ids, *, silent: Any = None) -> Any:  # noqa: ARG002
        """Activations 0 to 10, float32 (n, w, 32)."""
        with torch.inference_mode():
            return 10 * self.chances(self.readings(texts), ids).numpy()

    def silent(self, ids: Ids) -> Any:
        """What is predicted from an empty text."""
        return self.predict([""] * len(ids), ids)


def _looked(slot: str, match: Tensor) -> Tensor:
    """Where a relation looks: matches (w, 32) at each token to the one that counts there."""
    far = torch.full_like(match[:, :1], -20.0)
    before = torch.cat([far, match[:, :-1]], dim=1)
    if slot == "thing":
        return match
    if slot in ("previous", "place"):
        return before
    second = torch.cat([far, before[:, :-1]], dim=1)
    if slot == "second-previous":
        return second
    if slot == "lately":
        third = torch.cat([far, second[:, :-1]], dim=1)
        return torch.stack([before, second, third]).amax(dim=0)
    return before.cummax(dim=1).values


def train(model: Parts, split: quality.Split, settings: Settings, seed: int) -> float:
    """Learn where features of train are active; returns the loss of the last epoch, in nats."""
    rng, n = np.random.default_rng(seed), len(split.queries)
    wordings = [model.readings(one.descriptions) for one in split.truth]
    steps = settings.epochs * -(-n // settings.batch)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=settings.decay)
    losses: list[float] = []
    while len(losses) < steps:
        order = rng.permutation(n)
        for start in range(0, n, settings.batch):
            rows = order[start : start + settings.batch]
            texts = [wordings[row][int(rng.integers(len(wordings[row])))] for row in rows]
            chances = model.chances(texts, split.own["ids"][rows]).clamp(1e-6, 1 - 1e-6)
            active = torch.from_numpy((split.own["activations"][rows] > 0).astype(np.float32))
            loss: Any = nn.functional.binary_cross_entropy(chances, active)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            rate = settings.learning_rate * 0.5 * (1 + np.cos(np.pi * len(losses) / steps))
            optimiser.param_groups[0]["lr"] = float(rate)
            optimiser.step()
            losses.append(float(loss.detach()))
        print(len(losses), steps, losses[-1], file=sys.stderr, flush=True)  # noqa: T201
    return float(np.mean(losses[-steps // settings.epochs :]))


def looks_of(folder: Path, components: int) -> Tensor:
    """Principal components of a model's input embeddings, of unit variance."""
    rows = load_model(folder, torch.float32).get_input_embeddings().weight.detach()
    centred = rows - rows.mean(dim=0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(rows))
    looks: Tensor = centred @ vectors[:, -components:] / values[-components:].sqrt()
    return looks


def main(words: Sequence[str] | None = None) -> None:
    """Train and measure, then print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("suite", help="name or folder")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--test", action="store_true", help="measure test, too")
    options = parser.parse_args(words)
    given = dict(word.split("=", 1) for word in options.set)
    plan, settings = changed(Plan(most=1000), given), changed(Settings(), given)
    suite = find_suite(options.suite, NAME)
    split = quality.read_split(suite, "train")
    folder = find_model(suite.manifest["target"]["name"]).directory
    begun = time.process_time()
    looks = looks_of(folder, settings.components)
    model = Parts(looks, load_embedder(fetch_embedder()), settings, plan.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "parts.safetensors"
    found: dict[str, Any] = {"settings": asdict(settings), "seed": plan.seed}
    found["loss"] = train(model, split, settings, plan.seed)
    found["seconds"] = round(time.process_time() - begun, 1)
    write_safetensors_atomic(path, {n: v.detach().numpy() for n, v in model.named_parameters()})
    model.sha256 = sha256_file(path)
    for name in ("validation", "test")[: 1 + options.test]:
        found[name] = measure(model, suite, name, options.output, plan)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
