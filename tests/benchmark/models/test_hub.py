"""A hub that refuses or fails: each way is told apart, and failures are asked again."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from program import python

ANSWERS: dict[str, list[tuple[int, dict[str, str]]]] = {
    "gated": [(403, {"X-Error-Code": "GatedRepo"})],
    "private": [(401, {"X-Error-Code": "RepoNotFound"})],
    "misspelt": [(404, {"X-Error-Code": "RepoNotFound"})],
    "token": [(401, {"X-Error-Message": "Invalid credentials in Authorization header"})],
    "revision": [(404, {"X-Error-Code": "RevisionNotFound"})],
    "down": [(503, {})],
    "flaky": [(500, {}), (429, {}), (404, {"X-Error-Code": "RepoNotFound"})],
}
"""Status and headers, one a request; the last again and again."""
SAID = {
    "gated": "it is gated; accept its terms at https://huggingface.co/org/gated",
    "private": "private or misspelt",
    "misspelt": "the hub has no such model, or none that you may see; check the spelling",
    "token": "the hub refuses your token (401); renew HF_TOKEN",
    "revision": "it has no revision 'v9'",
    "down": "the hub failed (503) 3 times; try again later",
    "flaky": "the hub has no such model",
}
ASK = """
import json, sys
from introspect_bench.benchmark.models import hub, targets
from introspect_bench.benchmark.errors import MissingPartError
hub.WAITS = (0.0, 0.0)
said = {}
for name in json.loads(sys.argv[1]):
    try:
        targets.hub_snapshot(f"org/{name}", "v9" if name == "revision" else None)
    except MissingPartError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


@pytest.fixture
def hub() -> Iterator[tuple[str, Counter[str]]]:
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = next(name for name in ANSWERS if f"/org/{name}" in self.path)
            answers = ANSWERS[name]
            status, headers = answers[min(asked[name], len(answers) - 1)]
            asked[name] += 1
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_refusal_is_told_apart_and_failures_are_asked_again(
    hub: tuple[str, Counter[str]], tmp_path: Path
) -> None:
    url, asked = hub
    done = python(
        *("-c", ASK, json.dumps(list(ANSWERS))),
        HF_ENDPOINT=url,
        HF_HUB_OFFLINE="0",
        HF_HOME=str(tmp_path),
        NO_PROXY="*",
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    for name, part in SAID.items():
        assert said[name].startswith(f"cannot get 'org/{name}': ")
        assert part in said[name]
    assert (asked["down"], asked["flaky"]) == (3, 3)
    assert all(asked[name] == 1 for name in ("gated", "private", "misspelt", "token", "revision"))
