"""The client, against a real server on this machine; waits are counted, not waited."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from threading import Lock
from typing import Any

import pytest
from tiny_servers import KEY, VARIABLE, ChatServer, Reply, chats, said

from introspect_bench.benchmark.endpoint.address import default_key
from introspect_bench.benchmark.endpoint.chat_reply import FILTERED
from introspect_bench.benchmark.endpoint.chat_reply import Reply as Said
from introspect_bench.benchmark.endpoint.client import (
    ATTEMPTS,
    MAX_REPLY_BYTES,
    EndpointClient,
    NoReplyError,
    RefusedError,
)
from introspect_bench.benchmark.endpoint.limits import EndpointSpec, Limits, MaxCostError
from introspect_bench.benchmark.errors import UsageError

__all__ = ["chats"]
MAX_TOKENS = 32


class Time:
    """A clock that only waits move on."""

    def __init__(self) -> None:
        self.now, self.lock = 0.0, Lock()

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.now += seconds


def ask(chats: ChatServer, *texts: str, time: Time | None = None, **more: Any) -> dict[int, Said]:
    time = time or Time()
    spec = EndpointSpec(**{"url": chats.url, "key_env": VARIABLE, "concurrency": 1, **more})
    bodies = [{"messages": [{"role": "user", "content": text}]} for text in texts]
    with EndpointClient(spec, "openai:toy", clock=time.clock, sleep=time.sleep) as client:
        return dict(client.asked(bodies, MAX_TOKENS))


def in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def test_a_reply_has_its_tokens(chats: ChatServer) -> None:
    assert chats.keys == []
    reply = ask(chats, "a")[0]
    assert (reply.text, reply.n_in, reply.n_out) == ("unchanged: A", 100, 10)
    assert chats.keys == [f"Bearer {KEY}"]


BOMB = gzip.compress(b" " * (64 << 20))
FAILURES = {
    "status 500: no reason given": Reply(status=500, body=b""),
    "status 429: slow down": Reply(status=429, body=b"slow down"),
    "ReadTimeout": Reply(wait_seconds=0.4),
    "RemoteProtocolError": Reply(body=b'{"choices": [', missing_bytes=50),
    "no chat completion: nothing": Reply(body=b""),
    "no chat completion: <html>": Reply(body=b"<html>busy</html>"),
    "completion: {.choices.: \\[\\]": Reply(body=b'{"choices": []}'),
    "completion: .*overloaded": Reply(body=b'{"error": {"message": "overloaded"}}'),
    "completion: {.choices.: \\[{}": Reply(body=b'{"choices": [{}]}'),
    "completion: null": Reply(body=b"null"),
    f"more than {MAX_REPLY_BYTES} bytes": Reply(body=BOMB, headers={"Content-Encoding": "gzip"}),
    "was cut off": Reply(body=gzip.compress(b"{}" * 99)[:-9], headers={"Content-Encoding": "gzip"}),
    "error: Error -3": Reply(body=b"no gzip", headers={"Content-Encoding": "gzip"}),
    "packed as br": Reply(body=b"{}", headers={"Content-Encoding": "br"}),
}


@pytest.mark.parametrize("said_of_it", FAILURES)
def test_what_may_pass_is_tried_again_and_has_a_name(chats: ChatServer, said_of_it: str) -> None:
    failure = FAILURES[said_of_it]
    seconds = 0.1 if failure.wait_seconds else 30.0
    chats.script = lambda _text, n: failure if n == 1 else said("fine")
    time = Time()
    assert ask(chats, "a", time=time, timeout_seconds=seconds)[0].text == "fine"
    assert time.now == 1.0
    chats.script = lambda _text, _n: failure
    if not failure.wait_seconds:
        with pytest.raises(NoReplyError, match=f"{ATTEMPTS} attempts, last: .*{said_of_it}"):
            ask(chats, "b")
        assert chats.answers().count("b") == ATTEMPTS


def test_a_packed_reply_is_read(chats: ChatServer) -> None:
    body = gzip.compress(said("fine").body or b"")
    chats.script = lambda _text, _n: Reply(body=body, headers={"Content-Encoding": "gzip"})
    assert ask(chats, "a")[0].text == "fine"


@pytest.mark.parametrize(
    ("after", "least", "most"),
    [("7", 7, 7), ("7.5", 7.5, 7.5), ("0", 1, 1), ("soon", 1, 1), ("", 1, 1)],
)
def test_the_server_says_how_long_to_wait(
    chats: ChatServer, after: str, least: float, most: float
) -> None:
    busy = Reply(status=429, headers={"Retry-After": after})
    chats.script = lambda _text, n: busy if n == 1 else said("fine")
    time = Time()
    ask(chats, "a", time=time)
    assert least <= time.now <= most


def test_it_may_say_until_when(chats: ChatServer) -> None:
    time = Time()
    for seconds, low, high in ((60, 58, 60), (-60, 1, 1)):
        busy = iter([Reply(status=503, headers={"Retry-After": in_seconds(seconds)})])
        chats.script = lambda _text, _n, busy=busy: next(busy, said("fine"))  # type: ignore[misc]
        before = time.now
        ask(chats, f"{seconds}", time=time)
        assert low <= time.now - before <= high


def test_nobody_waits_for_hours(chats: ChatServer) -> None:
    chats.script = lambda _text, _n: Reply(status=429, headers={"Retry-After": "7200"})
    with pytest.raises(NoReplyError, match="asks to wait 7200 s, run the same command again then"):
        ask(chats, "a")
    assert len(chats.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (401, b"who are you", f"who are you; put a valid key into {VARIABLE}"),
        (403, b"not you", f"put a valid key into {VARIABLE}"),
        (404, b"no such model", "404: no such model; check address and model name"),
        (400, b"use max_completion_tokens, not max_tokens", "--explainer-args max_tokens=null"),
        (400, b"temperature does not support 0", "--explainer-args temperature=null"),
    ],
)
def test_a_refusal_is_not_repeated(
    chats: ChatServer, status: int, body: bytes, sentence: str
) -> None:
    chats.script = lambda _text, _n: Reply(status=status, body=body)
    with pytest.raises(RefusedError, match=sentence) as caught:
        ask(chats, "a", "b", "c")
    assert (caught.value.status, len(chats.requests)) == (status, 1)


@pytest.mark.parametrize(
    ("reply", "text", "why"),
    [
        (said(None, finish="content_filter"), "", FILTERED),
        (said("half an ans", finish="content_filter"), "half an ans", FILTERED),
        (
            Reply(body=b'{"choices": [{"finish_reason": "content_filter"}]}'),
            "",
            FILTERED,
        ),
        (
            Reply(status=400, body=b'{"error": {"code": "content_filter", "message": "no"}}'),
            "",
            FILTERED,
        ),
        (said(None, refusal="I will not"), "", "refused by the model"),
        (said("", finish="length"), "", "ended at the longest reply"),
        (said("half", finish="length"), "half", None),
        (said(""), "", None),
    ],
)
def test_a_reply_without_text_is_one(
    chats: ChatServer, reply: Reply, text: str, why: str | None
) -> None:
    chats.script = lambda _text, _n: reply
    found = ask(chats, "a")[0]
    assert (found.text, found.no_text, len(chats.requests)) == (text, why, 1)


def test_what_is_under_way_when_another_fails_is_kept(chats: ChatServer) -> None:
    chats.script = lambda text, _n: (
        Reply(status=401) if text == "bad" else Reply(body=said("fine").body, wait_seconds=0.3)
    )
    spec = EndpointSpec(url=chats.url, concurrency=3)
    bodies = [{"messages": [{"content": text}]} for text in ("a", "b", "bad", "c", "d")]
    found = list[int]()
    with EndpointClient(spec, "openai:toy") as client, pytest.raises(RefusedError):
        found.extend(index for index, _ in client.asked(bodies, MAX_TOKENS))
    assert sorted(found) == [0, 1]
    assert sorted(chats.answers()) == ["a", "b", "bad"]


def test_requests_and_tokens_are_spread_over_the_minute(chats: ChatServer) -> None:
    for limits, seconds in (
        (EndpointSpec(requests_per_minute=30), 2.0),
        (EndpointSpec(tokens_per_minute=600), 1.0),
        (EndpointSpec(requests_per_minute=120, tokens_per_minute=600), 1.0),
    ):
        time = Time()
        own = Limits(limits, time.clock)
        assert [own.delay(10) for _ in range(4)] == [0.0, seconds, 2 * seconds, 3 * seconds]
    time = Time()
    ask(chats, *"abcdefgh", time=time, requests_per_minute=6)
    assert time.now == 70.0


def test_the_highest_cost_is_never_passed(chats: ChatServer) -> None:
    prices: dict[str, Any] = {"price_in": 1.0, "price_out": 10.0, "concurrency": 4}
    chats.script = lambda _text, _n: said("fine", n_in=10, n_out=20)
    assert len(ask(chats, *"abcdefgh", **prices)) == 8
    most = EndpointSpec(**prices).cost(len(json.dumps({"messages": []})), MAX_TOKENS)
    spent = EndpointSpec(**prices).cost(10, 20)
    assert spent < most < 4 * spent
    time, found = Time(), list[Said]()
    spec = EndpointSpec(url=chats.url, max_cost=5 * spent, **prices)
    bodies = [{"messages": [{"content": text}]} for text in "abcdefgh"]
    with EndpointClient(spec, "x", clock=time.clock, sleep=time.sleep) as client:
        with pytest.raises(MaxCostError, match=r"--max-cost 0.00105.*0.00084 is spent"):
            found.extend(reply for _, reply in client.asked(bodies, MAX_TOKENS))
        assert len(found) == 4  # a fifth could cost more than is left
        assert client.limits.spent == pytest.approx(4 * spent)


def test_what_failed_may_have_been_charged(chats: ChatServer) -> None:
    prices: dict[str, Any] = {"price_in": 0.0, "price_out": 1_000_000.0, "max_cost": 2 * MAX_TOKENS}
    chats.script = lambda _text, _n: Reply(body=b"{}")
    with pytest.raises(NoReplyError):
        ask(chats, "a", **prices)
    chats.script = lambda _text, n: Reply(body=b"{}") if n == 1 else said("fine", n_out=1)
    with pytest.raises(MaxCostError, match="33 is spent"):
        ask(chats, "b", "c", **prices)
    assert chats.answers().count("c") == 0


def test_without_counts_there_is_no_price(chats: ChatServer) -> None:
    chats.script = lambda _text, _n: Reply(text="fine")
    assert ask(chats, "a")[0].n_in is None
    with pytest.raises(UsageError, match="does not say how many tokens"):
        ask(chats, "a", price_in=1, price_out=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"timeout_seconds": 0},
        {"requests_per_minute": 0},
        {"tokens_per_minute": -1},
        {"max_cost": float("nan"), "price_in": 1, "price_out": 1},
        {"max_cost": 1},
        {"price_in": 1},
        {"price_in": -1, "price_out": 1},
    ],
)
def test_limits_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        EndpointSpec(**wrong)


OPEN = ("http://192.168.1.2:8000/v1", "http://gpu-box/v1", "http://localhost.example/v1")
SAFE = ("https://gpu-box/v1", "http://localhost:1/v1", "http://127.0.0.1:1/v1", "http://[::1]/v1")


@pytest.mark.parametrize("url", [*OPEN, *SAFE])
def test_a_key_never_leaves_by_plain_http(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert default_key(url) == (None if url in OPEN else "OPENAI_API_KEY")
    spec = EndpointSpec(url=url, key_env="OPENAI_API_KEY")
    if url in OPEN:
        with pytest.raises(UsageError, match="plain http to another machine; give an https"):
            EndpointClient(spec, "openai:toy")
    else:
        EndpointClient(spec, "openai:toy").__exit__()
    monkeypatch.delenv("OPENAI_API_KEY")
    assert default_key(url) is None


def test_no_proxy_stands_between_this_machine_and_itself(
    chats: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would read the key."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert ask(chats, "a")[0].text == "unchanged: A"


def test_a_key_that_is_a_word_is_no_secret(
    chats: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "none")
    chats.script = lambda _text, _n: said("changed: none")
    assert ask(chats, "a")[0].text == "changed: none"
    monkeypatch.setenv(VARIABLE, 'se"cret-\\0123')
    chats.script = lambda _text, _n: said('it is se"cret-\\0123')
    assert ask(chats, "a")[0].text == "it is [key]"
