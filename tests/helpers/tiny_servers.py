"""What tests of several files share with `benchmark/judging/test_endpoint.py`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
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
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:  # the client has left
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(VARIABLE, KEY)
    state = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler(state))
    state.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()
