"""A hub on this machine: what huggingface_hub asks of a server, with refusals and failures."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from tiny_servers import listening

TOKEN = "hf_veryvery" + "secret0123456789"
REPOSITORY = re.compile(r"/(?:api/)?(?P<id>(?:datasets/|models/)?org/[\w.-]+)(?:/(?P<rest>[^?]*))?")
REFUSALS = {
    "gated": (403, {"X-Error-Code": "GatedRepo"}),
    "misspelt": (404, {"X-Error-Code": "RepoNotFound"}),
    "private": (401, {"X-Error-Code": "RepoNotFound"}),
}
Files = dict[str, bytes]


def files_below(folder: Path) -> Files:
    """The files of a folder by their names in a repository."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@dataclass
class Hub:
    """Repositories by `org/name`, or `datasets/org/name`; each has a branch `main`."""

    url: str = ""
    commits: dict[str, dict[str, Files]] = field(default_factory=dict)
    main: dict[str, str] = field(default_factory=dict)  # commit by repository
    created: list[dict[str, Any]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)  # how often a path answers 503
    cuts: Counter[str] = field(default_factory=Counter)  # how often a file ends after half
    asked: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    """Method, path, token and range of each request."""

    def put(self, name: str, files: Files) -> str:
        """Add a commit and return it."""
        digest = hashlib.sha1(b"".join(k.encode() + v for k, v in sorted(files.items())))
        self.commits.setdefault(name, {})[commit := digest.hexdigest()] = files
        self.main[name] = commit
        return commit

    def respond(
        self, method: str, path: str, token: str | None, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        if path == "/api/repos/create":
            asked = json.loads(body)
            self.created.append(asked)
            if token is None:
                return 401, {}, b"{}"
            name = f"datasets/{asked['organization']}/{asked['name']}"
            status = 409 if name in self.main else 200
            self.main.setdefault(name, "")
            return status, {}, json.dumps({"url": f"{self.url}/{name}"}).encode()
        if path == "/api/validate-yaml":
            return 200, {}, b"{}"
        found = REPOSITORY.match(path)
        name = found["id"].removeprefix("models/") if found else ""
        kind = name.rpartition("/")[2].partition("-")[0]
        if self.failures[name] > 0:
            self.failures[name] -= 1
            return 503, {}, b""
        if kind in REFUSALS and token is None:
            return *REFUSALS[kind], b""
        if found is None or name not in self.main:
            return *REFUSALS["misspelt"], b""
        verb, _, rest = (found["rest"] or "revision/main").partition("/")
        if method == "POST":
            return 200, {}, self.written(name, verb, body)
        return self.read(name, verb, rest)

    def written(self, name: str, verb: str, body: bytes) -> bytes:
        """Say that all is stored in git, or store it."""
        if verb == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            said = [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]
            return json.dumps({"files": said}).encode()
        rows = [json.loads(line)["value"] for line in body.splitlines()[1:]]
        new = {row["path"]: base64.b64decode(row["content"]) for row in rows}
        commit = self.put(name, self.commits.get(name, {}).get(self.main[name], {}) | new)
        url = f"{self.url}/{name}/commit/{commit}"
        return json.dumps({"commitUrl": url, "commitOid": commit}).encode()

    def read(self, name: str, verb: str, rest: str) -> tuple[int, dict[str, str], bytes]:
        """A revision, the names of its files, or a file."""
        revision, _, file = rest.partition("/")
        commit = self.main[name] if revision == "main" else revision
        files = self.commits[name].get(commit)
        if files is None:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if verb == "revision":
            return 200, {}, json.dumps({"id": name, "sha": commit, "siblings": []}).encode()
        if verb == "tree":
            rows = [
                {"type": "file", "path": n, "size": len(d), "oid": hashlib.sha1(d).hexdigest()}
                for n, d in files.items()
            ]
            return 200, {}, json.dumps(rows).encode()
        if file not in files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        tag = f'"{hashlib.sha1(files[file]).hexdigest()}"'
        return 200, {"ETag": tag, "X-Repo-Commit": commit}, files[file]


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token, span = self.headers.get("Authorization"), self.headers.get("Range")
            path = self.path.partition("?")[0]
            hub.asked.append((self.command, path, token, span))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, data = hub.respond(self.command, path, token, body)
            if span and status == 200:
                start = int(span.removeprefix("bytes=").rstrip("-"))
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
                status, data = 206, data[start:]
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "HEAD":
                return
            name = path.rpartition("/")[2]
            if hub.cuts[name] > 0 and len(data) > 1:
                hub.cuts[name] -= 1
                data = data[: len(data) // 2]
            self.wfile.write(data)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that this process takes for the only one, with caches of the test's own."""
    state = Hub()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    template = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("INTROSPECT_BENCH_CACHE", str(tmp_path / "own-cache"))
    for module in ("huggingface_hub.utils._http", "huggingface_hub.file_download"):
        monkeypatch.setattr(f"{module}.time.sleep", lambda _seconds: None)
    with listening(handler(state)) as state.url:
        monkeypatch.setattr(constants, "ENDPOINT", state.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", state.url + template)
        yield state
