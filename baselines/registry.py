"""The list of baselines: what each is called, what it opens and which tasks it answers."""

from __future__ import annotations

from ..benchmark.explainer import BaselineSpec
from ..benchmark.records import ORACLE, REPLAYS, RUNS_TARGET

PATCHING = "activation-patching"
CAUSAL = (PATCHING, "input-ablations")
FEATURES = "feature-descriptions"
EVERY = (FEATURES, *CAUSAL)

BASELINES = (
    BaselineSpec(
        name="constant",
        kind="baseline",
        summary=(
            "Always gives the answer that is right most often on the training split, and one part "
            "where a part is asked for."
        ),
        needs=("train",),
        one_verdict=True,
        tasks=EVERY,
    ),
    BaselineSpec(
        name="input-only",
        kind="baseline",
        summary=(
            "Gives the answer most frequent on the training split among queries with the same text "
            "features, reading only what a contrast group shares."
        ),
        needs=("train",),
    ),
    BaselineSpec(
        name="rule-of-thumb",
        kind="baseline",
        summary="As input-only, but it also reads the part that is removed.",
        needs=("train",),
        tasks=("input-ablations",),
    ),
    BaselineSpec(
        name="nearest-neighbour",
        kind="baseline",
        summary=(
            "Gives the answer of the most similar training query: cosine of vectors in the same "
            "layers and position kind, or of character n-grams for text-only tasks."
        ),
        needs=("train", "vectors"),
        tasks=EVERY,
    ),
    BaselineSpec(
        name="zero-shot",
        kind="baseline",
        summary=(
            "The untrained target model explains itself; its reply is made to begin with the "
            "verdict it finds likelier, for left alone it writes none."
        ),
        needs=("target-model", "vectors"),
        opens=True,
        tasks=EVERY,
    ),
    BaselineSpec(
        name="few-shot",
        kind="baseline",
        summary="The untrained target model explains itself after some solved training queries.",
        needs=("target-model", "vectors", "train"),
        shots=4,
        tasks=EVERY,
    ),
    BaselineSpec(
        name="calculator",
        kind="baseline",
        summary=(
            "Carries out the query's intervention on the target and says what comes out: the "
            "ceiling."
        ),
        access=REPLAYS,
        needs=("target-model", "vectors"),
    ),
    BaselineSpec(
        name="nearest-neighbour-pooled",
        kind="baseline",
        summary="As nearest-neighbour, among the training features of all layers.",
        needs=("train", "vectors"),
        tasks=(FEATURES,),
    ),
    BaselineSpec(
        name="random",
        kind="baseline",
        summary="Gives the description of a training feature drawn by the query's id.",
        needs=("train",),
        tasks=(FEATURES,),
    ),
    BaselineSpec(
        name="logit-lens",
        kind="baseline",
        summary="Names the tokens that the vector promotes if the target's output layer reads it.",
        needs=("target-model", "vectors"),
        tasks=(FEATURES,),
    ),
    BaselineSpec(
        name="input-lens",
        kind="baseline",
        summary=(
            "Names the token whose embedding moves the vector's layer most along it, by a linear "
            "map measured on text that the target wrote."
        ),
        needs=("target-model", "vectors"),
        tasks=(FEATURES,),
    ),
    BaselineSpec(
        name="input-lens-2",
        kind="baseline",
        summary="As input-lens, of the last two tokens: names both, one right after the other.",
        needs=("target-model", "vectors"),
        tasks=(FEATURES,),
    ),
    BaselineSpec(
        name="selfie",
        kind="baseline",
        summary="Asks the untrained target what a word means whose hidden state is the vector.",
        needs=("target-model", "vectors"),
        tasks=(FEATURES,),
    ),
    BaselineSpec(
        name="reference-description",
        kind="oracle",
        summary="Is told the reference description and says it: the ceiling.",
        needs=("oracle",),
        access=ORACLE,
        tasks=(FEATURES,),
    ),
    BaselineSpec(
        name="unchanged",
        kind="baseline",
        summary=(
            "Says `unchanged` with the target's output on the shown text, which is stored and "
            "which anyone can have who runs the target."
        ),
        needs=("oracle",),
        access=RUNS_TARGET,
        one_verdict=True,
    ),
    BaselineSpec(
        name="source-oracle",
        kind="oracle",
        summary=(
            "Is told the outputs of the target and of the vector's source prompt; says which of "
            "the two comes out, by what is commoner on the training split for the same layers and "
            "position kind."
        ),
        needs=("oracle", "train"),
        access=ORACLE,
        tasks=("activation-patching",),
    ),
)
"""Every baseline."""
