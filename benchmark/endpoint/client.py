"""A server that speaks OpenAI's chat completions, asked several questions at once.

The key comes from an environment variable, leaves in one request header only, never by plain http
to another machine, and is cut out of everything a server says; neither it nor the address is part
of any result.
"""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event
from typing import Any, Self

import httpx

from ..errors import MissingPartError, UsageError
from ..files import sha256_bytes
from .address import is_open, read_address, read_key
from .chat_reply import FILTERS, Reply, read_reply
from .limits import EndpointSpec, Limits

ATTEMPTS = 5  # Most times one question is sent
MAX_WAIT_SECONDS = 30.0  # Between two attempts, if the server asks for no longer wait
MAX_RETRY_AFTER_SECONDS = 300.0  # Longest wait that a server may ask for
MAX_REPLY_BYTES = 1 << 20  # Of a response as it is read, unpacked
SECRET_CHARS = 8  # Length from which a key is a secret
BYTES_PER_TOKEN = 3  # To estimate prompts, rather too long

_RETRIED = frozenset({408, 409, 425, 429})  # Statuses below 500 that pass; from 500 on all do
# What to do about a field that a server refuses
_HINTS = {
    "response_format": "ask without a structured reply",
    "max_tokens": "give --explainer-args max_tokens=null max_completion_tokens=N",
    "temperature": "give --explainer-args temperature=null",
}


class RefusedError(UsageError):
    """The server refuses a request, and would again; `status` is that of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        """Keep the status."""
        super().__init__(message)
        self.status = status


class NoReplyError(MissingPartError):
    """A question got no reply in all attempts, or the server asks for a long wait."""


class _StoppedError(Exception):
    """A question is not asked, since another one failed; never leaves this module."""


class _RetryError(Exception):
    """An attempt failed in a way that may pass; never leaves this module."""

    def __init__(
        self, reason: str, wait_seconds: float | None = None, *, charged: bool = False
    ) -> None:
        super().__init__(reason)
        self.wait_seconds, self.charged = wait_seconds, charged


class EndpointClient:
    """Asks a server; a context manager that closes its connections."""

    def __init__(
        self,
        spec: EndpointSpec,
        who: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:
        """Prepare to ask; nothing is sent yet. `who` begins errors; without `key_env` no key."""
        url = read_address(spec.url)
        self.spec, self.who, self.limits = spec, who, Limits(spec, clock)
        # Hash of the address, for keys of cached replies only
        self.server_sha256 = sha256_bytes(str(url).encode())
        self._key = read_key(spec.key_env)
        if self._key and is_open(url):
            raise UsageError(
                f"the key in {spec.key_env} would go over plain http to another machine; give an "
                "https address"
            )
        self._url, self._sleep = url, sleep
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        # no redirects: the key is for this address only; no proxy between this machine and itself;
        # certificates take a second to load
        tls = url.scheme == "https"
        self._client = httpx.Client(
            headers=headers,
            timeout=spec.timeout_seconds,
            follow_redirects=False,
            trust_env=tls,
            verify=tls,
        )

    def __enter__(self) -> Self:
        """Ask, then close."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self._client.close()

    def asked(
        self, bodies: Sequence[Mapping[str, Any]], max_tokens: int
    ) -> Iterator[tuple[int, Reply]]:
        """Yield `(index of the body, reply)` as replies come, each of `max_tokens` at most.

        After a failure nothing more is sent; what is under way is waited for and given, then the
        failure is raised: RefusedError, NoReplyError or MaxCostError.
        """
        pool, stop = ThreadPoolExecutor(self.spec.concurrency), Event()
        failed: BaseException | None = None
        try:
            under_way = {
                pool.submit(self._ask, json.dumps(body).encode(), max_tokens, stop): index
                for index, body in enumerate(bodies)
            }
            for done in as_completed(under_way):
                if (error := done.exception()) is None:
                    yield under_way[done], done.result()
                elif not isinstance(error, _StoppedError):
                    failed = failed or error
        finally:  # whoever stops listening stops the asking
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        if failed is not None:
            raise failed

    def _ask(self, data: bytes, max_tokens: int, stop: Event) -> Reply:
        try:
            return self._reply(data, max_tokens, stop)
        except BaseException:
            stop.set()
            raise

    def _reply(self, data: bytes, max_tokens: int, stop: Event) -> Reply:
        n_in = len(data) / BYTES_PER_TOKEN
        most = self.spec.cost(n_in, max_tokens)
        with self.limits.held(most):
            wait = self.spec.first_wait_seconds
            for attempt in range(1, ATTEMPTS + 1):
                self._wait(self.limits.delay(n_in + max_tokens), stop)
                if stop.is_set():
                    raise _StoppedError
                try:
                    return self._counted(self._attempt(data))
                except _RetryError as error:
                    if error.charged:
                        self.limits.spend(most)
                    self._check_again(error, attempt)
                    if error.wait_seconds:
                        self.limits.pause(error.wait_seconds)
                    self._wait(min(MAX_WAIT_SECONDS, wait), stop)
                wait *= 2
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, seconds: float, stop: Event) -> None:
        if seconds > 0:
            (self._sleep or stop.wait)(seconds)

    def _check_again(self, error: _RetryError, attempt: int) -> None:
        if (wait := error.wait_seconds or 0) > MAX_RETRY_AFTER_SECONDS:
            raise NoReplyError(
                f"{self.who}: {error}; the server asks to wait {wait:.0f} s, run the same command "
                "again then, replies so far are kept"
            ) from error
        if attempt == ATTEMPTS:
            raise NoReplyError(
                f"{self.who}: no reply in {attempt} attempts, last: {error}; "
                "check the server and run the same command again, replies so far are kept"
            ) from error

    def _counted(self, reply: Reply) -> Reply:
        if self.spec.priced and None in (reply.n_in, reply.n_out):
            raise UsageError(
                f"{self.who}: the server does not say how many tokens it read and wrote, so its "
                "replies have no price; leave out --max-cost, --price-in and --price-out"
            )
        self.limits.spend(self.spec.cost(reply.n_in or 0, reply.n_out or 0))
        return reply

    def _attempt(self, data: bytes) -> Reply:
        try:
            with self._client.stream("POST", self._url, content=data) as response:
                body = self._read(response)
        except (httpx.HTTPError, zlib.error) as error:
            there = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            reason = self._clean(f"{type(error).__name__}: {error}")
            raise _RetryError(reason, charged=there) from None
        status = response.status_code
        said = " ".join(self._clean(body.decode("utf-8", "replace")).split())[:200]
        if status in _RETRIED or status >= 500:
            raise _RetryError(f"status {status}: {said or 'no reason given'}", _after(response))
        if status == 400 and any(f'"{name}"'.encode() in body for name in FILTERS):
            return Reply(message={}, finish=FILTERS[0], n_in=0, n_out=0)
        if status != 200:
            raise RefusedError(self._refusal(status, said), status)
        return self._read_reply(body, said)

    def _read(self, response: httpx.Response) -> bytes:
        """The response's bytes; a server that sends without end, or drop by drop, is cut off."""
        deadline = time.monotonic() + self.spec.timeout_seconds
        packing = response.headers.get("Content-Encoding", "").strip().lower()
        if packing not in ("", "identity", "gzip"):
            raise _RetryError(f"a response packed as {packing[:20]}", charged=True)
        unpack = zlib.decompressobj(31) if packing == "gzip" else None
        data = bytearray()
        for piece in response.iter_raw():
            room = MAX_REPLY_BYTES + 1 - len(data)  # a few bytes can hold very many
            data += unpack.decompress(piece, room) if unpack else piece
            if len(data) > MAX_REPLY_BYTES:
                raise _RetryError(f"a response of more than {MAX_REPLY_BYTES} bytes", charged=True)
            if time.monotonic() > deadline:
                reason = f"a response that took over {self.spec.timeout_seconds:g} s"
                raise _RetryError(reason, charged=True)
        if unpack and not unpack.eof:
            raise _RetryError("a response that was cut off", charged=True)
        return bytes(data)

    def _read_reply(self, body: bytes, said: str) -> Reply:
        try:
            return read_reply(json.loads(body), self._clean)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            reason = f"a response that is no chat completion: {said or 'nothing'}"
            raise _RetryError(reason, charged=True) from error

    def _refusal(self, status: int, said: str) -> str:
        start = f"{self.who}: the server refuses with status {status}"
        if status in (401, 403):
            place = self.spec.key_env or "an environment variable, and name that"
            return f"{start}: {said}; put a valid key into {place}"
        for word, hint in _HINTS.items():
            if word in said:
                return f"{start}: {said}; {hint}"
        return f"{start}: {said or 'no reason given'}; check address and model name"

    def _clean(self, text: str) -> str:
        """A text without the key, unless that is a word that protects nothing, such as `none`."""
        if self._key is None or len(self._key) < SECRET_CHARS:
            return text
        return text.replace(json.dumps(self._key)[1:-1], "[key]").replace(self._key, "[key]")


def _after(response: httpx.Response) -> float | None:
    """Seconds the server asks to wait, said in seconds or as a date; None if it says nothing."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
