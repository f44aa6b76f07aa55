"""Tokens as descriptions: what a direction promotes, and the one or two tokens it responds to.

The logit lens (nostalgebraist, 2020) reads the direction as if it were the last layer's output; the
input lenses read it as a probe of the input (`benchmark/backends/interventions/readout.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..benchmark.cache import Progress
from ..benchmark.errors import UsageError
from ..benchmark.explainer import ExplainerCard
from ..benchmark.files import canonical_json, sha256_bytes
from ..benchmark.models.targets import weight_files
from ..benchmark.records import Prompt
from ..benchmark.suite.suite import Suite
from ..tasks.feature_descriptions.shipped_text import shipped_texts
from .prompted import target_name

if TYPE_CHECKING:
    from ..benchmark.backends.injection.alignment import Reader

N_PROMOTED = 8
"""Promoted tokens that are named."""
N_TRIED = 40
"""Tokens among which the input lens looks for one that can be named."""


def name_tokens(tokens: Sequence[str]) -> str:
    """Tokens as a description."""
    return "tokens such as " + ", ".join(f"'{token}'" for token in tokens)


def distinct(tokens: Sequence[str], most: int) -> list[str]:
    """The first tokens that differ in more than case and surrounding space, without blank ones."""
    shown = [token.strip() for token in tokens]
    named: dict[str, str] = {}
    for token in shown:
        if token and token.isprintable():
            named.setdefault(token.lower(), token)
    return list(named.values())[:most]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitLens:
    """Names the tokens that a direction promotes."""

    promoted: Callable[[Any], Any]
    """From vectors, float32 (n, d_target), to token ids, best first, int64 (n, k)."""
    decode: Callable[[int], str]
    """Text of a token."""

    def complete(self, prompts: Sequence[Prompt]) -> list[str]:
        """Name the promoted tokens of each prompt's vector."""
        rows = self.promoted(_vectors(prompts, "logit-lens"))
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
        rows = self.responded(_vectors(prompts, "input-lens"), _layers(prompts), N_TRIED)
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
        tokens = self.responded(_vectors(prompts, "input-lens-2"), _layers(prompts))
        words = [[_word(self.decode, [token]) for token in own] for own in tokens]
        return [f"{here} right after {before}" for here, before in zip(*words, strict=True)]


def _vectors(prompts: Sequence[Prompt], name: str) -> Any:
    vectors = [prompt.vector for prompt in prompts if prompt.vector is not None]
    if len(vectors) < len(prompts):
        raise UsageError(f"baseline/{name} reads vectors; it cannot do without them")
    return np.stack(vectors)


def _layers(prompts: Sequence[Prompt]) -> list[int]:
    return [int(prompt.query.fields["layer"]) for prompt in prompts]


def _word(decode: Callable[[int], str], tokens: Sequence[int]) -> str:
    """The first token that can be named, as a description names a word."""
    texts = [decode(token) for token in tokens]
    return f"the word '{(distinct(texts, 1) or [repr(texts[0])[1:-1]])[0]}'"


def load_logit_lens(suite: Suite, *, device: str) -> tuple[LogitLens, ExplainerCard]:
    """Load the target's last norm and output layer."""
    from ..benchmark.backends.interventions.readout import make_readout

    folder, reader = _target(suite, device)
    readout = make_readout(reader.model)
    explainer = LogitLens(
        promoted=lambda vectors: readout(vectors, 8 * N_PROMOTED), decode=_decoder(reader)
    )
    return explainer, _card("logit-lens", folder, {"tokens": N_PROMOTED})


def load_input_lens(
    suite: Suite, split: str, *, tokens: int, device: str, progress: Progress
) -> tuple[InputTokens | InputBigrams, ExplainerCard]:
    """Measure what a split's layers take from the last 1 or 2 tokens, on the target's own text."""
    from ..benchmark.backends.interventions import readout

    texts = shipped_texts(str(suite.manifest["target"].get("name")))
    layers = [int(query.fields["layer"]) for query in suite.queries(split)]
    folder, reader = _target(suite, device)
    settings = {"texts_sha256": sha256_bytes(canonical_json(texts).encode())}

    if tokens == 1:
        lens = readout.make_input_lens(reader, layers, texts, progress)
        one = InputTokens(responded=lens, decode=_decoder(reader))
        return one, _card("input-lens", folder, settings)
    both = readout.make_bigram_lens(reader, layers, texts, progress)
    two = InputBigrams(responded=both, decode=_decoder(reader))
    return two, _card("input-lens-2", folder, settings)


def _target(suite: Suite, device: str) -> tuple[Path, Reader]:
    from ..benchmark.backends.explainer.load import find_model
    from ..benchmark.backends.injection.alignment import load_reader

    folder = find_model(target_name(suite)).directory
    return folder, load_reader(folder, device=device)


def _decoder(reader: Reader) -> Callable[[int], str]:
    return lambda token: str(reader.tokenizer.decode([int(token)]))


def _card(name: str, folder: Path, settings: dict[str, Any]) -> ExplainerCard:
    return ExplainerCard(
        name=f"baseline/{name}",
        kind="baseline",
        weights_sha256=weight_files(folder),
        settings=settings,
    )
