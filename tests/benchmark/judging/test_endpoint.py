"""Judges over HTTP, against a real server on this machine that speaks chat completions."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_judges import ATTACKS, compared, rated
from tiny_servers import KEY, VARIABLE, Reply, Server, server

from introspect_bench.benchmark.endpoint.client import ATTEMPTS
from introspect_bench.benchmark.errors import CheckFailedError, MissingPartError, UsageError
from introspect_bench.benchmark.judging.endpoint import EndpointJudge
from introspect_bench.benchmark.judging.rubric import INSTRUCTIONS, judge_answers

__all__ = ["server"]


def judge(server: Server, **changes: Any) -> EndpointJudge:
    options: dict[str, Any] = {"key_variable": VARIABLE, "first_wait_seconds": 0.01} | changes
    return EndpointJudge(server.url, "toy-judge", **options)


def values(server: Server, cache: Path, *answers: str, **changes: Any) -> list[float | None]:
    with judge(server, **changes) as asked:
        return [row["value"] for row in judge_answers(asked, compared(*answers), cache=cache)]


def test_a_request_is_what_servers_understand(server: Server, tmp_path: Path) -> None:
    assert values(server, tmp_path, "a") == [0.5]
    (body,) = server.requests
    assert server.keys == [f"Bearer {KEY}"]
    assert (body["model"], body["temperature"]) == ("toy-judge", 0)
    assert body["messages"][0] == {"role": "system", "content": INSTRUCTIONS}
    schema = body["response_format"]["json_schema"]
    assert body["response_format"]["type"] == "json_schema"
    assert schema["strict"] is True
    assert schema["schema"]["properties"]["rating"]["enum"] == [1, 2, 3, 4, 5]


def test_no_key_and_no_schema_if_not_wanted(server: Server, tmp_path: Path) -> None:
    assert values(server, tmp_path, "a", key_variable=None, structured=False) == [0.5]
    assert server.keys == [None]
    assert "response_format" not in server.requests[0]


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_arrives_inside_one_string(server: Server, tmp_path: Path, attack: str) -> None:
    values(server, tmp_path, attack)
    user = server.requests[0]["messages"][1]
    assert len(server.requests[0]["messages"]) == 2
    assert json.loads(user["content"])["answer"] == attack
    assert user["content"].isascii()


def test_a_second_call_sends_nothing(server: Server, tmp_path: Path) -> None:
    assert values(server, tmp_path, "a", "b") == values(server, tmp_path, "a", "b")
    assert len(server.requests) == 2


def test_order_does_not_depend_on_who_replies_first(server: Server, tmp_path: Path) -> None:
    def script(answer: str, _n: int) -> Reply:
        number = int(answer)
        return Reply(text=rated(number % 5 + 1), wait_seconds=0.15 if number % 3 == 0 else 0.0)

    server.script = script
    found = values(server, tmp_path, *map(str, range(12)), concurrency=3)
    assert found == [n % 5 / 4 for n in range(12)]
    assert 1 < server.most_under_way <= 3


@pytest.mark.parametrize(
    "failure",
    [
        Reply(status=500),
        Reply(status=503),
        Reply(status=429),
        Reply(status=429, headers={"Retry-After": "0"}),
        Reply(status=429, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}),
        Reply(body=b"<html>busy</html>"),
        Reply(body=b'{"choices": []}'),
        Reply(body=b'{"error": "overloaded"}'),
        Reply(body=b"[" * 100_000),
        Reply(body=b" " * (1 << 21)),
        Reply(wait_seconds=1.0),
    ],
    ids=lambda reply: f"{reply.status} {(reply.body or b'')[:12]!r} {reply.headers}",
)
def test_what_may_pass_is_tried_again(server: Server, tmp_path: Path, failure: Reply) -> None:
    server.script = lambda _answer, n: failure if n <= 2 else Reply(text=rated(4))
    seconds = 0.5 if failure.wait_seconds else 30.0
    assert values(server, tmp_path, "a", timeout_seconds=seconds) == [0.75]
    assert len(server.requests) == 3


def test_the_server_may_ask_for_a_longer_wait(server: Server, tmp_path: Path) -> None:
    busy = Reply(status=429, headers={"Retry-After": "1"})
    server.script = lambda _answer, n: busy if n == 1 else Reply()
    start = time.monotonic()
    assert values(server, tmp_path, "a") == [0.5]
    assert time.monotonic() - start >= 1.0


def test_attempts_are_bounded_and_finished_replies_kept(server: Server, tmp_path: Path) -> None:
    server.script = lambda answer, _n: Reply(status=500) if answer == "b" else Reply()
    with pytest.raises(MissingPartError, match=rf"no reply in {ATTEMPTS} attempts, last: status"):
        values(server, tmp_path, "a", "b", concurrency=1)
    assert server.answers().count("b") == ATTEMPTS
    server.script = lambda _answer, _n: Reply()
    assert values(server, tmp_path, "a", "b") == [0.5, 0.5]
    assert server.answers().count("a") == 1


def test_a_server_that_is_not_there(server: Server, tmp_path: Path) -> None:
    server.url = "http://127.0.0.1:9/v1"
    with pytest.raises(MissingPartError, match="ConnectError"):
        values(server, tmp_path, "a")


def test_after_a_failure_nothing_more_is_sent(server: Server, tmp_path: Path) -> None:
    server.script = lambda _answer, _n: Reply(status=404, body=b"no such model")
    with pytest.raises(UsageError, match="status 404: no such model"):
        values(server, tmp_path, *map(str, range(100)), concurrency=1)
    assert len(server.requests) < 50


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(status=401), f"put a valid key into {VARIABLE}"),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:9/"}), "status 302"),
        (
            Reply(status=400, body=b'{"error": "response_format is not supported"}'),
            "ask without a structured reply",
        ),
    ],
)
def test_a_refusal_is_one_sentence_and_not_repeated(
    server: Server, tmp_path: Path, reply: Reply, message: str
) -> None:
    server.script = lambda _answer, _n: reply
    with pytest.raises(UsageError, match=message):
        values(server, tmp_path, "a")
    assert len(server.requests) == 1


@pytest.mark.parametrize("text", ["5", "```json\n{}```", None, "", rated("5"), {"rating": 5}])
def test_malformed_replies_are_kept_and_have_no_value(
    server: Server, tmp_path: Path, text: object
) -> None:
    server.script = lambda answer, _n: Reply(text=text if answer == "7" else rated(1))
    with judge(server) as asked:
        rows = judge_answers(asked, compared(*map(str, range(50))), cache=tmp_path)
    assert (rows[7]["status"], rows[7]["value"]) == ("malformed", None)
    assert rows[7]["raw"] == text if isinstance(text, str) else json.loads(rows[7]["raw"])
    assert [row["value"] for row in rows].count(0.0) == 49


def test_too_many_malformed_replies_fail(server: Server, tmp_path: Path) -> None:
    server.script = lambda answer, _n: Reply(text="5" if int(answer) < 2 else rated(1))
    with pytest.raises(CheckFailedError, match="2 of 50 replies are malformed"):
        values(server, tmp_path, *map(str, range(50)))


def test_the_key_and_the_address_are_nowhere(server: Server, tmp_path: Path) -> None:
    """Not even if the server repeats the key."""
    server.script = lambda answer, _n: Reply(
        text=f"your key is {KEY}" if answer == "7" else rated(1)
    )
    with judge(server) as asked:
        rows = judge_answers(asked, compared(*map(str, range(50))), cache=tmp_path)
        shown = repr(asked) + json.dumps(dict(asked.settings)) + json.dumps(rows)
    written = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert rows[7]["raw"] == "your key is [key]"
    assert written.count('"raw"') == 50
    for text in (shown, written):
        assert KEY not in text
        assert "127.0.0.1" not in text
    server.script = lambda _answer, _n: Reply(status=400, body=f"bad key {KEY}".encode())
    with pytest.raises(UsageError, match=r"bad key \[key\]"):
        values(server, tmp_path, "new")


@pytest.mark.parametrize(
    "url",
    ["localhost:8000", "ftp://host/v1", "http://", "http://user:pass@host/v1", "http://h/v1?key=1"],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UsageError, match="address"):
        EndpointJudge(url, "toy-judge")


@pytest.mark.parametrize("value", [None, "", " ", "ké", "a\nb"])
def test_a_variable_without_a_key(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(UsageError, match=VARIABLE):
        EndpointJudge("http://host/v1", "toy-judge", key_variable=VARIABLE)


def test_another_server_is_asked_for_itself(server: Server, tmp_path: Path) -> None:
    assert values(server, tmp_path, "a") == [0.5]
    other = EndpointJudge(server.url + "/", "toy-judge", key_variable=VARIABLE)
    with other, judge(server) as same:
        assert other.server_sha256 == same.server_sha256
    elsewhere = EndpointJudge(server.url.replace("127.0.0.1", "localhost"), "toy-judge")
    with elsewhere:
        rows = judge_answers(elsewhere, compared("a"), cache=tmp_path)
    assert [row["value"] for row in rows] == [0.5]
    assert len(server.requests) == 2
    assert server.url not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))
