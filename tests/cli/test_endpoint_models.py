"""Models behind an endpoint: `--model openai:NAME`, against a real server on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program import ABLATIONS, PATCHING, Call, refused, succeeded, the_sentence
from tiny_entries import make_entry, rows_of
from tiny_servers import KEY, VARIABLE, ChatServer, Reply, chats, said

import introspect_bench as ib
from introspect_bench.benchmark.backends.explainer import local, through_endpoint
from introspect_bench.benchmark.backends.explainer.through_endpoint import open_endpoint
from introspect_bench.benchmark.endpoint.limits import EndpointSpec
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.leaderboard.verification.rerun import Recheck, request_again

__all__ = ["chats"]
WORDS = ("run", "--suite", "toy", "-m", "openai:toy")
FILE = Path(f"runs/openai-toy.toy.{ABLATIONS}.test.jsonl")
N = 15
PRICES = ("--price-in", "1", "--price-out", "10")


@pytest.fixture
def ask(call: Call, chats: ChatServer) -> Call:
    """`run` of one task on the server."""

    def run(*words: str) -> tuple[int, str, str]:
        return call(*WORDS, "-t", ABLATIONS, "--endpoint", chats.url, *words)

    return run


def test_it_answers_and_the_file_says_what_it_took(ask: Call, chats: ChatServer) -> None:
    chats.script = lambda _text, _n: said("changed: Paris\nbecause")
    out = succeeded(ask("--key-env", VARIABLE, *PRICES, "--system", "Be brief."))
    assert f"{FILE}: {N} queries answered, price of all replies 0.003" in out
    header, *body, footer = rows_of(FILE)
    assert [(row["raw"], row["n_in"], row["n_out"]) for row in body] == [
        ("changed: Paris\n", 100, 10)
    ] * N
    cost = footer["cost"]
    assert (cost["tokens_in"], cost["tokens_out"]) == (100 * N, 10 * N)
    assert cost["price"] == pytest.approx(N * (100 * 1 + 10 * 10) / 1e6)
    explainer = header["explainer"]
    assert (explainer["kind"], explainer["weights_sha256"]) == ("endpoint", {})
    assert explainer["settings"]["request"] == {"temperature": 0, "max_tokens": 32}
    assert header["access"] == "undeclared"  # a server of one's own
    assert header["generation"]["max_new_tokens"] == 32
    text = FILE.read_text()
    assert KEY not in text
    assert "127.0.0.1" not in text
    sent = chats.requests[-1]
    assert [turn["role"] for turn in sent["messages"]] == ["system", "user"]
    assert sent["messages"][0]["content"].startswith("Be brief.\n\n")
    assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("toy", 0, 32)
    assert ask("--key-env", VARIABLE, *PRICES, "--system", "Be brief.")[0] == 0
    assert len(chats.requests) == N


def test_solved_queries_are_turns_and_fields_can_be_set(ask: Call, chats: ChatServer) -> None:
    words = ("--shots", "2", "--explainer-args", "temperature=null", "--max-new-tokens", "9")
    assert ask(*words, "--explainer-args", "reasoning_effort=low")[0] == 0
    body = chats.requests[-1]
    roles = [turn["role"] for turn in body["messages"]]
    assert roles == ["system", *["user", "assistant"] * 2, "user"]
    assert (body["max_tokens"], body["reasoning_effort"]) == (9, "low")
    assert "temperature" not in body
    assert set(chats.keys) == {None}


def test_killed_it_asks_only_for_what_is_missing(ask: Call, chats: ChatServer) -> None:
    assert ask()[0] == 0
    first, *lines = FILE.read_text().splitlines(keepends=True)
    FILE.write_text("".join([first, *lines[:3], lines[3][:40]]))  # a line is torn
    succeeded(ask())
    assert len(chats.requests) == N + 12
    assert FILE.read_text().startswith("".join([first, *lines[:3]]))
    assert len({row["qid"] for row in rows_of(FILE)[1:-1]}) == N


def test_replies_are_kept_as_they_come(ask: Call, chats: ChatServer) -> None:
    chats.script = lambda _text, _n: (
        said("unchanged: A") if len(chats.requests) <= 3 else Reply(status=401)
    )
    assert f"put a valid key into {VARIABLE}" in refused(
        ask("--concurrency", "1", "--key-env", VARIABLE), 2
    )
    assert [row["kind"] for row in rows_of(FILE)] == ["header", "pred", "pred", "pred"]
    chats.script = lambda _text, _n: said("unchanged: A")
    assert ask("--concurrency", "1", "--key-env", VARIABLE)[0] == 0
    assert len(rows_of(FILE)) == N + 2
    assert (
        sum(row.get("ms", 0) for row in rows_of(FILE)) / 1000
        == rows_of(FILE)[-1]["cost"]["seconds"]
    )


def test_the_highest_cost_stops_it_and_a_higher_one_goes_on(ask: Call, chats: ChatServer) -> None:
    chats.script = lambda _text, _n: said("unchanged: A", n_in=1_000_000, n_out=0)
    words = (*PRICES, "--concurrency", "1")
    assert "stopped at --max-cost 2.5: 3 is spent" in refused(ask(*words, "--max-cost", "2.5"), 5)
    assert len(chats.requests) == 3
    assert ask(*words, "--max-cost", "2.5")[0] == 5  # replies that are there count
    assert len(chats.requests) == 3
    out = succeeded(ask(*words, "--max-cost", "99"))
    assert "price of all replies 15" in out
    assert len(chats.requests) == N
    assert ask(*words, "--max-cost", "1")[0] == 0  # nothing is left to ask


def test_what_a_filter_holds_back_is_recorded_and_shown(ask: Call, chats: ChatServer) -> None:
    chats.script = lambda _text, _n: (
        said(None, finish="content_filter") if len(chats.requests) == 1 else said("unchanged: A")
    )
    code, _, err = ask()
    assert code == 0
    assert f"{FILE}: replies held back by a content filter: 1" in err
    (held,) = (row for row in rows_of(FILE)[1:-1] if not row["raw"])
    assert (held["status"], held["reason"]) == ("unparsed", "content filter")
    (shown,) = ib.show(f"{FILE}:{held['qid']}", suite="toy")
    assert (shown["status"], shown["exact"]) == ("unparsed", False)


def test_vectors_are_refused_and_can_be_left_out(call: Call, chats: ChatServer) -> None:
    words = (*WORDS, "--endpoint", chats.url)
    assert "give the model's folder or hub id as --model" in refused(
        call(*words, "-t", PATCHING), 2
    )
    assert not chats.requests
    code, out, err = call(*words)  # of all tasks, those without vectors are answered
    assert code == 2
    assert f"{PATCHING}: models behind an endpoint read text alone" in the_sentence(err)
    assert ABLATIONS in out
    assert call(*words, "-t", PATCHING, "--no-vector")[0] == 0
    (path,) = Path("runs").glob(f"*no-vector*{PATCHING}*.jsonl")
    assert ib.load(path).header.explainer.no_vector is True
    assert "⟦vector⟧" not in json.dumps(chats.requests, ensure_ascii=False)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--dtype", "float16"), "--dtype is for models that this package loads"),
        (("--family", "paper"), "--family"),
        (("--no-thinking",), "--thinking"),
        (("--injection", "add:1"), "--injection"),
        (("--explainer-args", "api_key=abc"), "a key comes from the environment"),
        (("--explainer-args", "stream=true"), "stream can't be one of them"),
        (("--endpoint", "http://10.0.0.1/v1", "--key-env", VARIABLE), "give an https address"),
        (("--endpoint", "ftp://x"), "address must be http"),
        (("--key-env", "NO_SUCH_KEY"), "NO_SUCH_KEY holds no key"),
        (("--max-cost", "3"), "give --price-in and --price-out"),
        (("-m", "openai:"), "names no model"),
        (("-m", "baseline/constant"), "are for --model openai:NAME"),
    ],
)
def test_what_no_endpoint_can_be_asked_is_refused(
    ask: Call, chats: ChatServer, words: tuple[str, ...], part: str
) -> None:
    code, _, err = ask(*words, "--dry-run")
    assert code == 2
    assert part in the_sentence(err)
    assert KEY not in err
    assert not chats.requests


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ((), {"temperature": 0, "max_tokens": 9}),
        (("--explainer-args", "temperature=null"), {"temperature": None, "max_tokens": 9}),
    ],
)
def test_it_is_asked_again_as_it_was(
    ask: Call, more: tuple[str, ...], fields: dict[str, Any]
) -> None:
    assert ask("--max-new-tokens", "9", "--system", "Be brief.", *more)[0] == 0
    again = request_again(ib.load(FILE), Recheck(model="openai:toy"), output=Path("again"))
    assert (again.max_new_tokens, again.system) == (9, "Be brief.")
    assert again.explainer_args == fields


def test_an_entry_is_rechecked_at_the_server_that_is_named(
    ask: Call, call: Call, chats: ChatServer
) -> None:
    chats.script = lambda _text, _n: said("changed: Paris")
    assert ask()[0] == 0
    entry = make_entry([FILE], Path("submissions"), Path("toy"), kind="untrained")
    asked = len(chats.requests)
    words = ("recheck", str(entry), "-m", "openai:toy", "--suite", "toy", "--json")
    code, out, err = call(*words, "--endpoint", chats.url, "--key-env", VARIABLE)
    assert code == 0, err
    (found,) = json.loads(out)["tasks"]
    assert (found["asked"], found["agreed"]) == (N, N)
    assert (len(chats.requests) - asked, chats.keys[-1]) == (N, f"Bearer {KEY}")
    first, again = chats.requests[:asked], chats.requests[asked:]
    assert sorted(map(json.dumps, again)) == sorted(map(json.dumps, first))


def test_openai_itself_is_known_and_its_models_count_tokens_otherwise() -> None:
    options: dict[str, Any] = {"max_new_tokens": 9, "system": None, "fields": {}}
    explainer, card = open_endpoint("openai:gpt", EndpointSpec(), **options)
    explainer.close()
    assert card.settings["request"] == {"temperature": 0, "max_completion_tokens": 9}
    assert "own_code" not in card.settings


@pytest.mark.parametrize("longest", ["many", -1, [9], 0.5])
def test_a_longest_reply_that_is_no_number_is_refused(longest: Any) -> None:
    fields = {"max_completion_tokens": longest}
    options: dict[str, Any] = {"max_new_tokens": None, "system": None, "fields": fields}
    with pytest.raises(UsageError, match="give a whole number above 0"):
        open_endpoint("openai:gpt", EndpointSpec(), **options)


def test_the_longest_reply_is_that_of_a_local_model() -> None:
    assert through_endpoint.MAX_NEW_TOKENS == local.MAX_NEW_TOKENS
