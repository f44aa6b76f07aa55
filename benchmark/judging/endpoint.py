"""A judge behind an HTTP server that speaks OpenAI's chat completions.

The key comes from an environment variable, leaves in one request header only, and is cut out of
everything a server says; neither it nor the address is part of any result.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from threading import Event
from typing import Any

import httpx

from ..errors import MissingPartError, UsageError
from ..files import sha256_bytes
from .rubric import REPLY_SCHEMA, Message

ATTEMPTS = 5  # Most times one question is sent
TIMEOUT_SECONDS = 60.0  # Longest wait for a server, for one attempt
FIRST_WAIT_SECONDS = 1.0  # Wait before the second attempt; doubled before each further one
MAX_WAIT_SECONDS = 30.0  # Between two attempts, whatever the server asks for
MAX_REPLY_BYTES = 1 << 20
MAX_NEW_TOKENS = 64
CONCURRENCY = 4

_RETRIED = frozenset({408, 409, 425, 429})  # Statuses below 500 that pass; from 500 on all do


class _RetryError(Exception):
    """An attempt failed in a way that may pass; never leaves this module."""

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class EndpointJudge(AbstractContextManager["EndpointJudge"]):
    """A judge that is asked over HTTP; a context manager that closes its connections."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        key_variable: str | None = None,
        structured: bool = True,
        timeout_seconds: float = TIMEOUT_SECONDS,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
        concurrency: int = CONCURRENCY,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        `base_url` goes up to `/chat/completions`, such as `http://localhost:8000/v1`; without
        `key_variable` no key is sent. `structured` holds replies to a JSON schema; False for a
        server that does not know `response_format`. `first_wait_seconds` doubles with each attempt.
        """
        url = _address(base_url)
        if concurrency < 1 or timeout_seconds <= 0 or first_wait_seconds <= 0:
            raise UsageError("waits and the number of questions under way must be positive")
        self.name = model
        self.server_sha256 = sha256_bytes(url.encode())
        """Hash of the address, for the key of cached replies only."""
        self._key = _key(key_variable)
        self._key_variable = key_variable
        self._structured = structured
        self._timeout_seconds = timeout_seconds
        self._concurrency = concurrency
        self._first_wait_seconds = first_wait_seconds
        self._url = url
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        # no redirects: the key is for this address only
        self._client = httpx.Client(
            headers=headers, timeout=timeout_seconds, follow_redirects=False
        )

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self._client.close()

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
        """Yield `(index of the conversation, raw reply)` as replies come."""
        pool = ThreadPoolExecutor(self._concurrency)
        stop = Event()
        try:
            asked = {
                pool.submit(self._reply, messages, stop): index
                for index, messages in enumerate(conversations)
            }
            for done in as_completed(asked):
                yield asked[done], done.result()
        finally:  # whoever stops listening stops the asking
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _reply(self, messages: Sequence[Message], stop: Event) -> str:
        body = self._body(messages)
        wait = self._first_wait_seconds
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._attempt(body)
            except _RetryError as error:
                if attempt == ATTEMPTS or stop.is_set():
                    raise MissingPartError(
                        f"judge {self.name}: no reply in {attempt} attempts, last: {error}; "
                        "check the server and run the same command again, replies so far are kept"
                    ) from error
                asked = error.wait_seconds
            stop.wait(min(MAX_WAIT_SECONDS, max(wait, asked or 0.0)))
            wait *= 2
        raise AssertionError("the last attempt returns or raises")

    def _body(self, messages: Sequence[Message]) -> bytes:
        body: dict[str, Any] = {
            "model": self.name,
            "messages": [dict(message) for message in messages],
            "temperature": 0,
            "max_tokens": MAX_NEW_TOKENS,
        }
        if self._structured:
            schema = {"name": "rating", "strict": True, "schema": REPLY_SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return json.dumps(body).encode()

    def _attempt(self, body: bytes) -> str:
        try:
            with self._client.stream("POST", self._url, content=body) as response:
                data = self._read(response)
        except httpx.HTTPError as error:
            raise _RetryError(self._clean(f"{type(error).__name__}: {error}")) from None
        status = response.status_code
        if status in _RETRIED or status >= 500:
            raise _RetryError(f"status {status}", _retry_after(response))
        if status != 200:
            raise UsageError(self._refusal(status, data))
        return self._content(data)

    def _read(self, response: httpx.Response) -> bytes:
        """The response's bytes; a server that sends without end, or drop by drop, is cut off."""
        deadline = time.monotonic() + self._timeout_seconds
        data = bytearray()
        for piece in response.iter_bytes():
            data += piece
            if len(data) > MAX_REPLY_BYTES:
                raise _RetryError(f"a response of more than {MAX_REPLY_BYTES} bytes")
            if time.monotonic() > deadline:
                raise _RetryError(f"a response that took over {self._timeout_seconds:g} s")
        return bytes(data)

    def _content(self, data: bytes) -> str:
        """The first choice's text; a refusal or a call of a tool is given as its JSON."""
        try:
            message = json.loads(data)["choices"][0]["message"]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise _RetryError("a response that is no chat completion") from error
        content = message.get("content") if isinstance(message, Mapping) else None
        return self._clean(content if isinstance(content, str) else json.dumps(message))

    def _refusal(self, status: int, data: bytes) -> str:
        said = " ".join(self._clean(data.decode("utf-8", "replace")).split())[:200]
        start = f"judge {self.name}: the server refuses with status {status}"
        if status in (401, 403):
            place = self._key_variable or "an environment variable, and name that"
            return f"{start}; put a valid key into {place}"
        if self._structured and "response_format" in said:
            return f"{start}: {said}; ask without a structured reply"
        return f"{start}: {said or 'no reason given'}; check address and model name"

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _address(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError("the judge's address cannot be read: expected http://HOST/v1") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query:
        raise UsageError(
            "the judge's address must be http(s)://HOST/PATH without a name, a password or a "
            "query; a key comes from an environment variable"
        )
    return f"{str(url).rstrip('/')}/chat/completions"


def _key(variable: str | None) -> str | None:
    """The key; surrounding white space, as a file of secrets leaves it, is dropped."""
    if variable is None:
        return None
    value = os.environ.get(variable, "").strip()
    if not value:
        raise UsageError(f"the environment variable {variable} holds no key; set it")
    if not value.isascii() or not value.isprintable():
        raise UsageError(f"the environment variable {variable} holds no key that a header can hold")
    return value


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds the server asks to wait; None if it names none, or a date."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
