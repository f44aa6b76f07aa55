"""Runs in the paper's words, replies made elsewhere, and the paper's metrics beside ours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_published as published
from program import ABLATIONS, PATCHING, Call, one_run, refused, succeeded, the_sentence
from tiny_entries import rows_of
from tiny_families import QWEN
from tiny_models import make_tokenizer, save_model
from tiny_suites import D_TARGET

import introspect_bench as ib
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.leaderboard.submissions.checks import content_findings

SUITE = "suites/paper-qwen3-8b"
NEVER = "The output would remain unchanged from <<<Answer: B>>>."
EXPLAINER = f"""
class Never:
    def complete(self, prompts):
        assert all("If the hint were removed" in one.question for one in prompts)
        return ["{NEVER}"] * len(prompts)
"""


def write_source(folder: Path) -> Path:
    rows = [published.ablation(n) for n in range(6)]
    rows.insert(2, published.ablation(1))  # a duplicate, so that rows and queries differ
    return published.write_parquet(folder / "source", {"test": rows}, published.ABLATIONS)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("imported")
    source, output = write_source(place), place / "suites"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTROSPECT_BENCH_CACHE", str(place / "cache"))
        options: dict[str, Any] = {"target": "qwen3-8b", "task": ABLATIONS, "splits": ["test"]}
        ib.data_import("paper", source=source, output=output, **options)
    return output


@pytest.fixture
def suite(imported: Path, here: Path) -> Path:
    shutil.copytree(imported, here / "suites")
    return Path(SUITE)


def test_an_import_says_what_it_left_out(cache: Path, call: Call) -> None:
    assert not cache.exists()  # one of the test's own
    words = ("--target", "qwen3-8b", "-t", ABLATIONS, "--split", "test")
    code, out, err = call("data", "import", "paper", *words, "--source", str(write_source(Path())))
    assert code == 0, err
    assert "test, row 2: duplicate: the query of row 1 of test" in err
    assert [line.split() for line in out.splitlines()] == [
        ["split", "rows", "number"],
        ["test", "rows", "7"],
        ["test", "queries", "6"],
        ["test", "duplicate", "1"],
        [f"{SUITE}/{ABLATIONS}/v2"],
    ]


def paper(call: Call, path: str, suite: str = SUITE) -> dict[str, Any]:
    out = succeeded(call("score", path, "--suite", suite, "--protocol", "paper", "--json"))
    (result,) = json.loads(out)["results"]
    found: dict[str, Any] = result["paper"]
    return found


def test_own_code_is_asked_in_the_paper_s_words(suite: Path, call: Call) -> None:
    assert suite.is_dir()
    Path("never.py").write_text(EXPLAINER)
    words = ("run", "-m", "py:never:Never", "--suite", SUITE, "--protocol", "paper")
    succeeded(call(*words))
    (run,) = Path("runs").glob("*.paper.*.jsonl")
    assert ib.load(run).header.generation.protocol == "paper"
    said = [str(one) for one in content_findings(ib.load(run))]
    assert any("generation.protocol" in one for one in said)
    found = paper(call, str(run))
    assert found["metrics"] == {
        "exact_strict": 0.5,
        "exact_parsed": 0.5,
        "content": 0.5,
        "valid": 1.0,
        "f1_changed": 0.0,
        "f1_unchanged": pytest.approx(2 / 3),
        "f1": pytest.approx(1 / 3),
    }
    out = succeeded(call("score", str(run), "--suite", SUITE, "--protocol", "paper"))
    assert "exact strict 50.0, exact parsed 50.0, content 50.0, valid 100.0, f1 changed 0.0" in out
    assert "protocol" not in ib.score(run, suite=SUITE)


def test_untrained_models_are_asked_otherwise(suite: Path, call: Call) -> None:
    assert suite.is_dir()
    asked = EXPLAINER.replace("If the hint were removed", "exactly one of the two options below")
    Path("untrained.py").write_text(
        asked.replace("remain unchanged from <<<Answer: B", "change to <<<Answer: A")
    )
    words = ("-m", "py:untrained:Never", "--suite", SUITE, "--protocol", "paper-zero-shot")
    succeeded(call("run", *words))
    (run,) = Path("runs").glob("*.paper-zero-shot.*.jsonl")
    assert ib.load(run).header.generation.protocol == "paper-zero-shot"
    said = [str(one) for one in content_findings(ib.load(run))]
    assert any("generation.protocol" in one for one in said)
    metrics = paper(call, str(run))["metrics"]
    assert (metrics["exact_strict"], metrics["exact_parsed"], metrics["valid"]) == (0.0, 0.5, 1.0)


@pytest.mark.parametrize("decoding", ["greedy", "compared"])
def test_a_local_model_is(call: Call, decoding: str) -> None:
    """Also one that declares another decoding, which is not the paper's."""
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(QWEN)
    sizes = {"hidden_size": D_TARGET, "max_position_embeddings": 2048}
    save_model(Path("model"), tokenizer, **sizes)
    declared = {"injection": Injection().as_json(), "decoding": decoding}
    Path("model/explainer.json").write_text(json.dumps(declared))
    words = ("run", "-m", "model", "--suite", "toy", "--split", "mini", "-t", PATCHING)
    succeeded(call(*words, "--protocol", "paper"))
    header = ib.load(f"runs/model.paper.toy.{PATCHING}.mini.jsonl").header
    assert (header.generation.protocol, header.generation.max_new_tokens) == ("paper", 50)
    settings = header.explainer.settings
    assert (settings["family"], settings["decoding"]) == ("paper", "greedy")
    assert call(*words)[0] == 0  # in our own words, another file
    assert ib.load(f"runs/model.toy.{PATCHING}.mini.jsonl").header.generation.protocol is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "baseline/constant"), "is for local language models and your own code"),
        (("-m", "py:x:Y", "--shots", "2"), "no solved queries"),
        (("-m", "model", "--family", "latentqa"), "family latentqa is not that"),
        (("-m", "py:x:Y", "-t", ABLATIONS), "the paper asks nothing of kind"),
    ],
)
def test_what_the_protocol_cannot_do(call: Call, words: tuple[str, ...], said: str) -> None:
    Path("x.py").write_text("class Y:\n    complete = None\n")
    assert said in refused(call("run", "--suite", "toy", "--protocol", "paper", *words), 2)


def test_our_short_answers_are_not_valid_there(call: Call) -> None:
    run = one_run(call)
    found = paper(call, str(run), "toy")
    assert found["metrics"]["valid"] == 0
    # queries that ask for a part are none of the paper's
    assert found["n"] == sum(one["truth"] not in "ABCD" for one in ib.show(str(run), suite="toy"))


def replies(name: str, text: str) -> tuple[str, ...]:
    Path(name).write_text(text)
    return ("import-run", name, "--name", "me/x", "--suite", SUITE, "-t", ABLATIONS)


def test_replies_by_row_of_the_dataset(suite: Path, call: Call) -> None:
    rows = "".join(json.dumps({"row": n, "raw": f"{NEVER} {n}"}) + "\n" for n in range(7))
    out = succeeded(call(*replies("replies.jsonl", rows), "--json"))
    said = json.loads(out)
    assert (said["rows"], said["missing"]) == (6, 0)
    run = ib.load(said["path"])
    assert run.complete
    assert (run.header.explainer.name, run.header.explainer.kind) == ("me/x", "imported")
    assert run.header.access == "undeclared"
    told = {own["origin"]["row"] for own in rows_of(suite / ABLATIONS / "v2/test/oracle.jsonl")}
    assert told == {0, 1, 3, 4, 5, 6}
    assert {raw["raw"].rpartition(" ")[2] for raw in run.rows.values()} == {*map(str, told)}
    found = paper(call, said["path"])
    assert (found["metrics"]["exact_strict"], found["metrics"]["exact_parsed"]) == (0, 0.5)


def test_replies_by_id_in_csv(suite: Path, call: Call) -> None:
    qid = ib.data_split(ABLATIONS, "test", suite=suite).queries[0].id
    text = f'id,raw\n{qid},"It would change to <<<Answer: A>>>,\nI say"\n'
    out = succeeded(call(*replies("replies.csv", text), "--format", "csv"))
    assert "1 replies, 5 have no reply, which is wrong" in out
    (run,) = Path("runs").glob("me-x*.jsonl")
    assert not ib.load(run).complete
    assert ib.load(run).rows[qid]["raw"] == "It would change to <<<Answer: A>>>,\nI say"
    assert paper(call, str(run))["left_out"]["missing"] == 5


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("jsonl", '{"row": 0}\n', ":1: expected `raw`, a text, and one of `id` and `row`"),
        ("jsonl", '{"row": 0, "id": "x", "raw": ""}\n', ":1: expected `raw`"),
        ("jsonl", '{"row": 7, "raw": ""}\n', ":1: '7' is no query of this split"),
        ("jsonl", '{"row": true, "raw": ""}\n', ":1: 'True' is no query of this split"),
        ("jsonl", '{"row": 0, "raw": ""}\n' * 2, ":2: a second reply to query "),
        ("jsonl", "{]\n", ":1: not valid JSON"),
        ("csv", "row,raw\n-1,x\n", ":2: '-1' is no query of this split"),
        ("csv", f"row,raw\n{'9' * 5_000},x\n", ":2: '9999"),
        ("csv", "row\n1\n", ":2: expected `raw`"),
        ("csv", 'row,raw\n1,"x\n', "not CSV in UTF-8"),
        ("csv", "", "holds no replies"),
    ],
)
def test_bad_replies_are_named(suite: Path, call: Call, form: str, text: str, said: str) -> None:
    assert suite.is_dir()
    code, _, err = call(*replies("replies", text), "--format", form)
    assert code in (2, 4)
    assert said in the_sentence(err)
    assert not list(Path("runs").glob("*.jsonl"))
