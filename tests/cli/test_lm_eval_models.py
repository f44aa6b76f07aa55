"""Models that lm-eval runs: `--model lm-eval:BACKEND,ARGS`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from program import ABLATIONS, PATCHING, Call, refused, succeeded, the_sentence
from tiny_answerers import save_answerer
from tiny_servers import ChatServer, Reply, chats, said

import introspect_bench as ib
from introspect_bench.benchmark.backends.explainer import through_lm_eval
from introspect_bench.benchmark.errors import MissingPartError, UsageError
from introspect_bench.benchmark.evaluation.text_models import shown_name, split_name
from introspect_bench.benchmark.records import Prompt, Query

assert chats  # a fixture
pytestmark = pytest.mark.filterwarnings("ignore")  # of what lm-eval imports
N = 40


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lm_eval", reason="pip install 'introspect-bench[lm-eval]'")
    folder = tmp_path_factory.mktemp("models")
    for form in ("chat", "plain"):
        save_answerer(folder / form, chat=form == "chat")
    return folder


def hf(folder: Path) -> str:
    return f"lm-eval:hf,pretrained={folder}"


@pytest.mark.parametrize("form", ["chat", "plain"])
@pytest.mark.parametrize("shots", [0, 2])
def test_it_answers_as_the_model_itself_does(models: Path, form: str, shots: int) -> None:
    options: dict[str, Any] = {"tasks": (ABLATIONS,), "split": "validation", "limit": N}
    (own,) = ib.run(str(models / form), shots=shots, **options)
    (through,) = ib.run(hf(models / form), shots=shots, batch_size=16, **options)
    assert {key: row["raw"] for key, row in through.rows.items()} == {
        key: row["raw"] for key, row in own.rows.items()
    }
    assert {row["n_in"] for row in through.rows.values()} == {
        row["n_in"] for row in own.rows.values()
    }
    assert ib.score(through.path)["overall"] == ib.score(own.path)["overall"]
    explainer = through.header.explainer
    assert explainer.kind == "lm-eval"
    assert explainer.settings["prompt_form"] == form
    assert explainer.weights_sha256 == own.header.explainer.weights_sha256
    assert through.header.access == own.header.access == "words"


def test_the_command_scores_resumes_and_hides_where_things_are(call: Call, models: Path) -> None:
    words = ("run", "--suite", "toy", "-t", ABLATIONS, "-m", hf(models / "chat"))
    out = succeeded(call(*words))
    assert "lm-eval:hf,pretrained=chat" in out
    path = Path(f"runs/lm-eval-hf-pretrained-chat.toy.{ABLATIONS}.test.jsonl")
    whole = path.read_text()
    assert str(models) not in whole
    first, *rows = whole.splitlines(keepends=True)[:-1]
    path.write_text("".join([first, *rows[:5]]))
    assert call(*words)[0] == 0
    again = path.read_text().splitlines()
    assert again[:6] == whole.splitlines()[:6]
    raw = [[json.loads(row)["raw"] for row in text[1:-1]] for text in (again, whole.splitlines())]
    assert raw[0] == raw[1]
    assert "max_new_tokens" in refused(call(*words, "--max-new-tokens", "5"), 4)


def test_vectors_are_refused_and_can_be_left_out(call: Call, models: Path) -> None:
    words = ("run", "--suite", "toy", "-m", hf(models / "plain"))
    assert "give the model's folder or hub id as --model" in refused(
        call(*words, "-t", PATCHING), 2
    )
    assert not Path("runs").exists()
    code, out, err = call(*words)  # of all tasks, those without vectors are answered
    assert code == 2
    assert f"{PATCHING}: models of lm-eval read text alone" in the_sentence(err)
    assert ABLATIONS in out
    succeeded(call(*words, "-t", PATCHING, "--no-vector"))
    (run,) = Path("runs").glob(f"*no-vector*{PATCHING}*.jsonl")
    assert ib.load(run).header.explainer.no_vector is True


def test_without_lm_eval_it_says_what_to_install(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    for more in ((), ("--dry-run",)):
        assert "pip install 'introspect-bench[lm-eval]'" in refused(
            call("run", "--suite", "toy", "-m", "lm-eval:hf,pretrained=x", *more), 3
        )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--dtype", "float16"), "--dtype is for models that this package loads"),
        (("--family", "paper"), "--family"),
        (("--decoding", "whole-reply"), "--decoding"),
        (("--no-thinking",), "--thinking"),
        (("--injection", "add:1"), "--injection"),
        (("--explainer-args", "a=1"), "explainer arguments"),
    ],
)
def test_options_of_local_models_are_refused(
    call: Call, models: Path, more: tuple[str, ...], said: str
) -> None:
    words = ("run", "--suite", "toy", "-t", ABLATIONS, "-m", hf(models / "plain"))
    assert said in refused(call(*words, *more), 2)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("lm-eval:", 2, "names no backend"),
        ("lm-eval:hf,pretrained", 2, "expected lm-eval:BACKEND,key=value"),
        ("lm-eval:hf,a=1,a=2", 2, "each key once"),
        ("lm-eval:local-completions,auth_token=abc", 2, "variable of the environment"),
        ("lm-eval:nothing,a=1", 3, "no model for this name found"),
        ("lm-eval:hf,pretrained=./nowhere", 3, "lm-eval cannot load lm-eval:hf"),
    ],
)
def test_names_that_mean_nothing_are_refused(
    call: Call, models: Path, name: str, code: int, said: str
) -> None:
    assert models.is_dir()
    found, _, err = call("run", "--suite", "toy", "-t", ABLATIONS, "-m", name)
    assert found == code
    assert said in the_sentence(err)
    assert "abc" not in err


def test_an_address_is_not_shown() -> None:
    name = "lm-eval:local-completions,model=/a/b/tiny,base_url=http://host:1/v1,seed=2"
    assert shown_name(name) == "lm-eval:local-completions,model=tiny,seed=2"
    assert split_name(name)[1]["base_url"] == "http://host:1/v1"
    assert shown_name("baseline/constant") == "baseline/constant"


class Scripted:
    """A model of lm-eval that gives these replies."""

    def __init__(self, *replies: Any, refuses: bool = False) -> None:
        self.replies, self.refuses, self.asked = replies, refuses, list[Any]()

    def generate_until(self, requests: Any) -> list[Any]:
        self.asked += [request.args[0] for request in requests]
        return list(self.replies) * len(requests)

    def apply_chat_template(self, turns: Any) -> str:
        kept = [turn for turn in turns if not self.refuses or turn["role"] != "system"]
        return "".join(f"[{turn['role']}] {turn['content']}\n" for turn in kept)


PROMPT = Prompt(
    query=Query(id="0" * 16, group="0" * 16, kind="hint", fields={}),
    template="toy/1",
    instructions="Say it.",
    question="Which?",
)


def scripted(*replies: Any, **more: Any) -> through_lm_eval.LmEvalExplainer:
    lm = Scripted(*replies, refuses=more.pop("refuses", False))
    options: dict[str, Any] = {"chat": True, "hosted": False, "max_new_tokens": 9, "system": None}
    return through_lm_eval.LmEvalExplainer(lm, **options | more)


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("replies", [(), ("a", "b"), (None,), ("",), (" \n",)])
def test_a_failure_is_no_reply(replies: tuple[Any, ...]) -> None:
    with pytest.raises(MissingPartError, match="gave no reply"):
        scripted(*replies, hosted=True).complete([PROMPT])


@pytest.mark.usefixtures("models")
def test_an_endpoint_answers(call: Call, chats: ChatServer) -> None:
    pytest.importorskip("tenacity", reason="pip install 'introspect-bench[lm-eval]'")
    model = f"lm-eval:local-chat-completions,model=x,base_url={chats.url}/chat/completions"
    words = ("run", "--suite", "toy", "-t", ABLATIONS, "-m", model, "--limit", "3")
    for nothing in (said(None), said(""), Reply(body=b'{"choices": [{}]}')):
        chats.script = lambda _text, _n, nothing=nothing: nothing  # type: ignore[misc]
        assert "gave no reply to some queries" in refused(call(*words), 3)
        assert not any('"raw"' in path.read_text() for path in Path("runs").glob("*.jsonl"))
    chats.script = lambda _text, _n: said("changed: Paris\nbecause")
    succeeded(call(*words))
    (path,) = Path("runs").glob("*.jsonl")
    run = ib.load(path)
    assert [row["raw"] for row in run.rows.values()] == ["changed: Paris\n"] * 3
    assert "127.0.0.1" not in path.read_text()
    assert (run.header.access, run.header.explainer.weights_sha256) == ("undeclared", {})
    *_, last = chats.requests
    assert [turn["role"] for turn in last["messages"]] == ["system", "user"]
    assert (last["temperature"], last["max_tokens"]) == (0, 32)


@pytest.mark.usefixtures("models")
def test_instructions_are_never_left_out() -> None:
    for refuses in (False, True):
        explainer = scripted("changed: A", refuses=refuses)
        explainer.complete([PROMPT])
        (text,) = explainer.lm.asked
        assert text.count("Say it.") == text.count("Which?") == 1


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("changed: A\nunchanged: B", "changed: A\n"),
        ("\n\nAnswer:\nchanged: A\nmore", "\n\nAnswer:\nchanged: A\n"),
        ("<think>\nhm\n</think>\nchanged: A\nmore", "<think>\nhm\n</think>\nchanged: A\n"),
        ("changed: A  ", "changed: A  "),
        ("", ""),
    ],
)
def test_a_reply_ends_with_its_first_answer(said: str, kept: str) -> None:
    (reply,) = scripted(said).complete([PROMPT])
    assert reply.text == kept


def test_prompts_are_not_cut(models: Path) -> None:
    with pytest.raises(UsageError, match="this model reads at most 300"):
        ib.run(f"{hf(models / 'chat')},max_length=300", tasks=(ABLATIONS,), split="mini", limit=2)
