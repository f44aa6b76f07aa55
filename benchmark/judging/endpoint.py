"""A judge behind an HTTP server that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..endpoint.client import EndpointClient
from ..endpoint.limits import EndpointSpec
from .rubric import REPLY_SCHEMA, Message

MAX_NEW_TOKENS = 64


class EndpointJudge(EndpointClient):
    """A judge that is asked over HTTP; a context manager that closes its connections."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        key_variable: str | None = None,
        structured: bool = True,
        **more: Any,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        `base_url` goes up to `/chat/completions`, such as `http://localhost:8000/v1`; without
        `key_variable` no key is sent. `structured` holds replies to a JSON schema; False for a
        server that does not know `response_format`. `more` are fields of `EndpointSpec`.
        """
        spec = EndpointSpec(url=base_url, key_env=key_variable, **more)
        super().__init__(spec, f"judge {model}")
        self.name = model
        self._structured = structured

    @property
    def settings(self) -> dict[str, Any]:
        """All that could change a reply besides the model, without address and key."""
        return {
            "kind": "endpoint",
            "temperature": 0,
            "max_tokens": MAX_NEW_TOKENS,
            "response_format": "json_schema" if self._structured else None,
        }

    def replies(self, conversations: Sequence[Sequence[Message]]) -> Iterator[tuple[int, str]]:
        """Yield `(index of the conversation, raw reply)` as replies come.

        A refusal or a call of a tool is given as its JSON.
        """
        for index, reply in self.asked([self._body(one) for one in conversations], MAX_NEW_TOKENS):
            content = reply.message.get("content")
            yield index, content if isinstance(content, str) else json.dumps(reply.message)

    def _body(self, messages: Sequence[Message]) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [dict(message) for message in messages],
            "temperature": 0,
            "max_tokens": MAX_NEW_TOKENS,
        }
        if self._structured:
            schema = {"name": "rating", "strict": True, "schema": REPLY_SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body
