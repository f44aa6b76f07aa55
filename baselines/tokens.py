"""Lists of tokens as descriptions: what a direction promotes, responds to, and where it is largest.

The logit lens (nostalgebraist, 2020) reads the direction as if it were the last layer's output; the
input lens reads it as a probe of the input (`benchmark/backends/input_lens.py`). The oracle is told
windows of the vector with its activations, those that descriptions are made from; the windows that
are scored are others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from introspect_bench.baselines.untrained import target_name
from introspect_bench.benchmark.cache import OnProgress
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.files import canonical_json, sha256_bytes
from introspect_bench.benchmark.records import Prompt
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.suite_features import arrays
from introspect_bench.benchmark.targets import weight_files
from introspect_bench.tasks.feature_descriptions.shipped_text import shipped_texts

N_PROMOTED = 8
"""Promoted tokens that are named."""
N_TOP = 5
"""Most active tokens that are named, and tokens that a direction responds to."""
LEAST_SHARE = 0.5
"""Share of the largest activation that a token must reach to be named."""


def name_tokens(tokens: Sequence[str]) -> str:
    """Return tokens as a description."""
    return "tokens such as " + ", ".join(f"'{token}'" for token in tokens)


def distinct(tokens: Sequence[str], most: int) -> list[str]:
    """Return the first tokens that differ in more than case and space around, blank ones left."""
    found: dict[str, str] = {}
    for token in tokens:
        shown = token.strip()
        if shown and shown.isprintable():
            found.setdefault(shown.lower(), shown)
    return list(found.values())[:most]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitLens:
    """Names the tokens that a direction promotes."""

    promoted: Callable[[Any], Any]
    """From vectors, float32 (n, d_target), to token ids, best first, int64 (n, k)."""
    decode: Callable[[int], str]
    """Text of a token."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Name the promoted tokens of each prompt's vector."""
        vectors = [prompt.vector for prompt in prompts if prompt.vector is not None]
        if len(vectors) < len(prompts):
            raise UsageError("baseline/logit-lens reads vectors; it cannot do without them")
        rows = self.promoted(np.stack(vectors))
        return [name_tokens(distinct([self.decode(i) for i in row], N_PROMOTED)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTokens:
    """Names the tokens that a direction responds to."""

    responded: Callable[[Any, Sequence[int], int], Any]
    """From vectors, float32 (n, d_target), their layers and k to token ids, best first, (n, k)."""
    decode: Callable[[int], str]
    """Text of a token."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Name the tokens that each prompt's vector responds to most."""
        vectors = [prompt.vector for prompt in prompts if prompt.vector is not None]
        if len(vectors) < len(prompts):
            raise UsageError("baseline/input-lens reads vectors; it cannot do without them")
        layers = [int(prompt.query.fields["layer"]) for prompt in prompts]
        rows = self.responded(np.stack(vectors), layers, 8 * N_TOP)
        return [name_tokens(distinct([self.decode(i) for i in row], N_TOP)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopTokens:
    """Names the tokens on which a vector is largest, in windows it is told."""

    replies: Mapping[str, str]
    """Reply by query id."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Look each query up."""
        return [self.replies[prompt.query.id] for prompt in prompts]


def load_logit_lens(suite: Suite, *, device: str) -> tuple[LogitLens, ExplainerCard]:
    """Load the target's last norm and output layer.

    Raises:
        UsageError: unknown device, or the model's last norm cannot be told.
        MissingPartError: weights or device are missing.
    """
    from introspect_bench.benchmark.backends.readout import load_readout

    folder, readout, tokenizer = load_readout(target_name(suite), device=device)
    explainer = LogitLens(
        promoted=lambda vectors: readout(vectors, 8 * N_PROMOTED), decode=_decoder(tokenizer)
    )
    return explainer, ExplainerCard(
        name="baseline/logit-lens",
        kind="baseline",
        weights_sha256=weight_files(folder),
        settings={"tokens": N_PROMOTED},
    )


def load_input_lens(
    suite: Suite, split: str, *, device: str, on_progress: OnProgress
) -> tuple[InputTokens, ExplainerCard]:
    """Measure what the layers of a split's queries take from the input, on the target's own text.

    Raises:
        UsageError: no text of the target ships with the package, or unknown device.
        MissingPartError: weights or device are missing.
        IntegrityError: a file is corrupt.
    """
    from introspect_bench.benchmark.backends import input_lens

    texts = shipped_texts(str(suite.manifest["target"].get("name")))
    folder, lens, tokenizer = input_lens.load_input_lens(
        target_name(suite),
        [int(query.fields["layer"]) for query in suite.queries(split)],
        texts,
        device=device,
        told=lambda _found, _wanted: on_progress("measuring the input lens", 0, None),
    )
    return InputTokens(responded=lens, decode=_decoder(tokenizer)), ExplainerCard(
        name="baseline/input-lens",
        kind="baseline",
        weights_sha256=weight_files(folder),
        settings={
            "tokens": N_TOP,
            "texts_sha256": sha256_bytes(canonical_json(texts).encode()),
        },
    )


def load_top_tokens(suite: Suite, split: str) -> tuple[TopTokens, ExplainerCard]:
    """Name the tokens with the largest activations in the describing windows of every query.

    Raises:
        UsageError: the suite does not say where its target is.
        MissingPartError: the target's tokenizer is missing.
        IntegrityError: a file of the suite is corrupt.
    """
    from introspect_bench.benchmark.backends.loading import find_model
    from introspect_bench.benchmark.backends.pretrained import load_tokenizer

    folder: Path = find_model(target_name(suite)).directory
    decode = _decoder(load_tokenizer(folder))
    told = arrays(suite, split, "oracle")
    replies = {
        query.id: name_tokens(_largest(ids.ravel(), values.ravel().astype(np.float32), decode))
        for query, ids, values in zip(
            suite.queries(split), told["ids"], told["activations"], strict=True
        )
    }
    card = ExplainerCard(
        name="baseline/top-tokens",
        kind="oracle",
        settings={"tokens": N_TOP, "least_share": LEAST_SHARE},
    )
    return TopTokens(replies=replies), card


def _largest(ids: Any, values: Any, decode: Callable[[int], str]) -> list[str]:
    order = np.argsort(-values, kind="stable")
    named = [int(ids[i]) for i in order if values[i] >= LEAST_SHARE * values[order[0]]]
    found = distinct([decode(token) for token in named], N_TOP)
    return found or [decode(int(ids[order[0]]))]  # nothing but blanks: the blank itself


def _decoder(tokenizer: Any) -> Callable[[int], str]:
    return lambda token: str(tokenizer.decode([int(token)]))
