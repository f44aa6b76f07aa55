"""A server on this machine that speaks chat completions, for judges and explainers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

KEY = "sk-very-secret-0123456789"


VARIABLE = "TOY_JUDGE_KEY"


@dataclass
class Reply:
    """What the server sends."""

    text: Any = '{"rating": 3}'
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    wait_seconds: float = 0.0
    missing_bytes: int = 0  # announced and never sent


@dataclass
class Server:
    """A server whose replies are made by `script(answer, nth request for that answer)`."""

    script: Callable[[str, int], Reply] = lambda _answer, _n: Reply()
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    url: str = ""
    lock: Any = field(default_factory=threading.Lock)

    def answer_to(self, body: dict[str, Any], key: str | None) -> Reply:
        answer = json.loads(body["messages"][1]["content"])["answer"]
        with self.lock:
            self.requests.append(body)
            self.keys.append(key)
            return self.script(answer, self.answers().count(answer))

    def answers(self) -> list[str]:
        return [json.loads(one["messages"][1]["content"])["answer"] for one in self.requests]


def handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/chat/completions"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.under_way += 1
                server.most_under_way = max(server.most_under_way, server.under_way)
            reply = server.answer_to(body, self.headers.get("Authorization"))
            time.sleep(reply.wait_seconds)
            message = {"choices": [{"message": {"role": "assistant", "content": reply.text}}]}
            data = json.dumps(message).encode() if reply.body is None else reply.body
            with server.lock:
                server.under_way -= 1
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data) + reply.missing_bytes))
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = reply.missing_bytes > 0
            except OSError:  # the client has left
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class ChatServer(Server):
    """A server that any chat is asked of; its script gets the last turn."""

    def answer_to(self, body: dict[str, Any], key: str | None) -> Reply:
        with self.lock:
            self.requests.append(body)
            self.keys.append(key)
            return self.script(self.answers()[-1], self.answers().count(self.answers()[-1]))

    def answers(self) -> list[str]:
        return [one["messages"][-1]["content"] for one in self.requests]


def said(
    text: Any, *, n_in: int = 100, n_out: int = 10, finish: str = "stop", **more: Any
) -> Reply:
    """A reply as OpenAI's server sends it, tokens counted."""
    choice = {"index": 0, "finish_reason": finish, "message": {"content": text, **more}}
    usage = {"prompt_tokens": n_in, "completion_tokens": n_out}
    return Reply(body=json.dumps({"choices": [choice], "usage": usage}).encode())


@pytest.fixture
def chats(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A server that says that nothing changes."""
    with serving(ChatServer(script=lambda _text, _n: said("unchanged: A")), monkeypatch) as state:
        assert isinstance(state, ChatServer)
        yield state


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(Server(), monkeypatch) as state:
        yield state


@contextmanager
def serving(state: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(VARIABLE, KEY)
    with listening(handler(state)) as url:
        state.url = f"{url}/v1"
        yield state


@contextmanager
def listening(kind: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server on this machine."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()
