"""What turns prompts into ids: the benchmark's own encoder, or that of a family."""

from __future__ import annotations

from typing import Any

from ...errors import UsageError
from ..injection.spec import Injection
from .chat import Encoder
from .families import Family, FamilyEncoder


def make_encoder(
    tokenizer: Any,
    family: Family | None,
    injection: Injection,
    use_vectors: bool,
    target_tokenizer: Any,
    thinking: bool | None,
    system: str | None,
) -> Encoder | FamilyEncoder:
    """Return what turns prompts into ids, by a family's convention or the benchmark's own.

    Raises:
        UsageError: as either encoder, or thinking or a system text is asked of a family.
    """
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
