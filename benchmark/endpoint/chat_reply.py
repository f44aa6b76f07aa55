"""What a server says to one question: the first choice of a chat completion."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# Words of servers for text that they do not give out
FILTERS = ("content_filter", "content_policy_violation")
FILTERED = "content filter"  # Why such a reply holds no text, or not all of it
MAX_TOKENS = 10**9  # Of one prompt or reply, as in a run file


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server says to one question."""

    message: Mapping[str, Any]  # The assistant's turn; empty if it was filtered
    finish: str | None = None  # Why it ended, in the server's words
    n_in: int | None = None  # Tokens of the prompt; None if it does not say
    n_out: int | None = None  # Tokens of the reply

    @property
    def text(self) -> str:
        """The turn's text, empty if it has none."""
        content = self.message.get("content")
        return content if isinstance(content, str) else ""

    @property
    def no_text(self) -> str | None:
        """Why there is no text, as far as the server says it."""
        if self.finish in FILTERS:
            return FILTERED
        if self.text.strip():
            return None
        if self.message.get("refusal"):
            return "refused by the model"
        return "ended at the longest reply" if self.finish == "length" else None


def read_reply(value: Any, clean: Callable[[str], str]) -> Reply:
    """Read a response; a refusal or a call of a tool has no text. `clean` takes the key out.

    Raises LookupError, TypeError or AttributeError if it is no chat completion.
    """
    choice = value["choices"][0]
    finish, message = choice.get("finish_reason"), choice.get("message")
    if message is None and finish in FILTERS:
        message = {}
    if not isinstance(message, Mapping):
        raise TypeError("a choice without a message")
    usage = value.get("usage")
    counts = usage if isinstance(usage, Mapping) else {}
    return Reply(
        message=json.loads(clean(json.dumps(message))),
        finish=finish if isinstance(finish, str) else None,
        n_in=_count(counts.get("prompt_tokens")),
        n_out=_count(counts.get("completion_tokens")),
    )


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None
