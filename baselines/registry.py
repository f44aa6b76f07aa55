"""The list of baselines: what each is called, what it opens and which tasks it answers."""

from __future__ import annotations

from typing import Any

from ..benchmark.explainer import BaselineSpec, Need
from ..benchmark.records import ORACLE, REPLAYS, RUNS_TARGET

PATCHING = "activation-patching"
CAUSAL = (PATCHING, "input-ablations")
FEATURES = "feature-descriptions"
EVERY = (FEATURES, *CAUSAL)

TRAIN: tuple[Need, ...] = ("train",)
MODEL: tuple[Need, ...] = ("target-model", "vectors")


def _spec(name: str, summary: str, **fields: Any) -> BaselineSpec:
    return BaselineSpec(**{"kind": "baseline", "name": name, "summary": summary, **fields})


BASELINES = (
    _spec(
        "constant",
        "Always gives the answer that is right most often on the training split, and one part "
        "where a part is asked for.",
        needs=TRAIN,
        one_verdict=True,
        tasks=EVERY,
    ),
    _spec(
        "input-only",
        "Gives the answer most frequent on the training split among queries with the same text "
        "features, reading only what a contrast group shares.",
        needs=TRAIN,
    ),
    _spec(
        "rule-of-thumb",
        "As input-only, but it also reads the part that is removed.",
        needs=TRAIN,
        tasks=("input-ablations",),
    ),
    _spec(
        "nearest-neighbour",
        "Gives the answer of the most similar training query: cosine of vectors in the same "
        "layers and position kind, or of character n-grams for text-only tasks.",
        needs=("train", "vectors"),
        tasks=EVERY,
    ),
    _spec(
        "zero-shot",
        "The untrained target model explains itself; its reply is made to begin with the "
        "verdict it finds likelier, for left alone it writes none.",
        needs=MODEL,
        opens=True,
        tasks=EVERY,
    ),
    _spec(
        "few-shot",
        "The untrained target model explains itself after some solved training queries.",
        needs=("target-model", "vectors", "train"),
        shots=4,
        tasks=EVERY,
    ),
    _spec(
        "calculator",
        "Carries out the query's intervention on the target and says what comes out: the ceiling.",
        access=REPLAYS,
        needs=MODEL,
    ),
    _spec(
        "nearest-neighbour-pooled",
        "As nearest-neighbour, among the training features of all layers.",
        needs=("train", "vectors"),
        tasks=(FEATURES,),
    ),
    _spec(
        "random",
        "Gives the description of a training feature drawn by the query's id.",
        needs=TRAIN,
        tasks=(FEATURES,),
    ),
    _spec(
        "logit-lens",
        "Names the tokens that the vector promotes if the target's output layer reads it.",
        needs=MODEL,
        tasks=(FEATURES,),
    ),
    _spec(
        "input-lens",
        "Names the token whose embedding moves the vector's layer most along it, by a linear "
        "map measured on text that the target wrote.",
        needs=MODEL,
        tasks=(FEATURES,),
    ),
    _spec(
        "input-lens-2",
        "As input-lens, of the last two tokens: names both, one right after the other.",
        needs=MODEL,
        tasks=(FEATURES,),
    ),
    _spec(
        "selfie",
        "Asks the untrained target what a word means whose hidden state is the vector.",
        needs=MODEL,
        tasks=(FEATURES,),
    ),
    _spec(
        "reference-description",
        kind="oracle",
        summary="Is told the reference description and says it: the ceiling.",
        needs=("oracle",),
        access=ORACLE,
        tasks=(FEATURES,),
    ),
    _spec(
        "unchanged",
        "Says `unchanged` with the target's output on the shown text, which is stored and "
        "which anyone can have who runs the target.",
        needs=("oracle",),
        access=RUNS_TARGET,
        one_verdict=True,
    ),
    _spec(
        "source-oracle",
        "Is told the outputs of the target and of the vector's source prompt; says which of "
        "the two comes out, by what is commoner on the training split for the same layers and "
        "position kind.",
        kind="oracle",
        needs=("oracle", "train"),
        access=ORACLE,
        tasks=("activation-patching",),
    ),
)
"""Every baseline."""
