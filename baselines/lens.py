"""Tokens as descriptions: what a direction promotes, and the one or two tokens it responds to.

The logit lens (nostalgebraist, 2020) reads the direction as if it were the last layer's output; the
input lenses read it as a probe of the input (`benchmark/backends/injection/input_lens.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..benchmark.cache import OnProgress
from ..benchmark.errors import UsageError
from ..benchmark.explainer import ExplainerCard
from ..benchmark.files import canonical_json, sha256_bytes
from ..benchmark.models.targets import weight_files
from ..benchmark.records import Prompt
from ..benchmark.suite.suite import Suite
from ..tasks.feature_descriptions.shipped_text import shipped_texts
from .prompted import target_name

N_PROMOTED = 8
"""Promoted tokens that are named."""
N_TRIED = 40
"""Tokens among which the input lens looks for one that can be named."""


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
    """Names the token that a direction responds to."""

    responded: Callable[[Any, Sequence[int], int], Any]
    """From vectors, float32 (n, d_target), their layers and k to token ids, best first, (n, k)."""
    decode: Callable[[int], str]
    """Text of a token."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Name the token that each prompt's vector responds to most."""
        rows = self.responded(*_asked(prompts, "input-lens"), N_TRIED)
        return [_word(self.decode, row) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputBigrams:
    """Names the token that a direction responds to, and the token before it."""

    responded: Callable[[Any, Sequence[int]], Any]
    """From vectors, float32 (n, d_target), and their layers to token ids there and before, (n,)."""
    decode: Callable[[int], str]
    """Text of a token."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Name both tokens."""
        pairs = zip(*self.responded(*_asked(prompts, "input-lens-2")), strict=True)
        return [
            f"{_word(self.decode, [here])} right after {_word(self.decode, [before])}"
            for here, before in pairs
        ]


def _asked(prompts: Sequence[Prompt], name: str) -> tuple[Any, list[int]]:
    """Vectors and layers of prompts."""
    vectors = [prompt.vector for prompt in prompts if prompt.vector is not None]
    if len(vectors) < len(prompts):
        raise UsageError(f"baseline/{name} reads vectors; it cannot do without them")
    return np.stack(vectors), [int(prompt.query.fields["layer"]) for prompt in prompts]


def _word(decode: Callable[[int], str], tokens: Sequence[int]) -> str:
    """The first token that can be named, as a description names a word."""
    texts = [decode(token) for token in tokens]
    return f"the word '{(distinct(texts, 1) or [repr(texts[0])[1:-1]])[0]}'"


def load_logit_lens(suite: Suite, *, device: str) -> tuple[LogitLens, ExplainerCard]:
    """Load the target's last norm and output layer.

    Raises:
        UsageError: unknown device, or the model's last norm cannot be told.
        MissingPartError: weights or device are missing.
    """
    from ..benchmark.backends.interventions.readout import load_readout

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
    suite: Suite, split: str, *, tokens: int, device: str, on_progress: OnProgress
) -> tuple[InputTokens | InputBigrams, ExplainerCard]:
    """Measure what the layers of a split's queries take from the input, on the target's own text.

    Args:
        suite: names the target.
        split: whose layers are measured.
        tokens: 1 or 2, the last tokens that are read.
        device: a torch device.
        on_progress: told what is measured.

    Raises:
        UsageError: no text of the target ships with the package, or unknown device.
        MissingPartError: weights or device are missing.
        IntegrityError: a file is corrupt.
    """
    from ..benchmark.backends.injection import input_lens

    texts = shipped_texts(str(suite.manifest["target"].get("name")))
    layers = [int(query.fields["layer"]) for query in suite.queries(split)]
    folder, reader = input_lens.load_reader(target_name(suite), device=device)
    decode = _decoder(reader.tokenizer)
    explainer: InputTokens | InputBigrams

    def told(_found: int, _wanted: int) -> None:
        on_progress("measuring the input lens", 0, None)

    if tokens == 1:
        lens = input_lens.make_input_lens(reader, layers, texts, told=told)
        explainer = InputTokens(responded=lens, decode=decode)
    else:
        both = input_lens.make_bigram_lens(reader, layers, texts, told=told)
        explainer = InputBigrams(responded=both, decode=decode)
    return explainer, ExplainerCard(
        name="baseline/input-lens" if tokens == 1 else "baseline/input-lens-2",
        kind="baseline",
        weights_sha256=weight_files(folder),
        settings={"texts_sha256": sha256_bytes(canonical_json(texts).encode())},
    )


def _decoder(tokenizer: Any) -> Callable[[int], str]:
    return lambda token: str(tokenizer.decode([int(token)]))
