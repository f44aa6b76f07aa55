"""What turns prompts into ids: the benchmark's own encoder, or that of a family."""

from __future__ import annotations

from typing import Any

from introspect_bench.benchmark.backends.explainer.chat import Encoder
from introspect_bench.benchmark.backends.explainer.families import Family, FamilyEncoder
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.errors import UsageError


def make_encoder(
    tokenizer: Any,
    family: Family | None,
    injection: Injection,
    use_vectors: bool,
    target_tokenizer: Any,
    thinking: bool | None,
    system: str | None,
) -> Encoder | FamilyEncoder:
    """Return what turns prompts into ids, by a family's convention or the benchmark's own."""
    if family is None:
        return Encoder(
            tokenizer,
            use_vectors=use_vectors,
            injection=injection,
            target_tokenizer=target_tokenizer,
            thinking=thinking,
            system=system,
        )
    if thinking is not None or system:
        raise UsageError(
            f"family {family.name} has its own prompts; leave --thinking and --system out"
        )
    return FamilyEncoder(tokenizer, family, use_vectors=use_vectors, injection=injection)
