"""The calculator: it comes to every label of tiny suites again, from the queries alone.

The labels are measured here with plain hooks, one prompt at a time.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from program import ABLATIONS, PATCHING, Call, succeeded, the_sentence
from tiny_lessons import make_suite
from tiny_models import D_MODEL
from tiny_suites import measured
from tiny_targets import SAYS, Patch, make_letter_tokenizer, make_target, slow_answer, slow_pass

import introspect_bench as ib
from introspect_bench.baselines import make_baseline
from introspect_bench.benchmark.backends.models.target_model import TargetModel
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import SPLITS, Answer, Prompt, Query
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.freeze import Measured
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.tasks.verdicts import expressible

WORDS = ("Kenya", "Peru", "Oman", "Chad", "Fiji", "Laos", "Mali", "Togo", "Cuba", "Iran")
PREFIX = "The answer is"


def sayable(one: Measured) -> bool:
    return one.clean != "" and expressible(Answer(changed=True, content=one.outcome))


def patched(target: TargetModel, word: str, seed: int) -> Measured:
    text = f"So {word} is"
    ids = target.encode(text)
    position, last = seed % len(ids), seed % 3
    vector = (3 * np.random.default_rng(seed).standard_normal(D_MODEL)).astype(np.float16)
    patch = Patch(
        position=position,
        layers=(0, last),
        vector=torch.from_numpy(vector.astype(np.float32)),
    )
    fields = {
        "text": text,
        "position": position,
        "n_tokens": len(ids),
        "token": target.tokenizer.decode(ids[position]),
        "layers": [0, last],
        "relation": "toy",
    }
    pair = slow_answer(target, ids).text, slow_answer(target, ids, patch).text
    return measured(*pair, kind="last", fields=fields, vector=vector, source="x")


def removed(target: TargetModel, word: str, *, letter: bool) -> Measured:
    head, part, tail = "So", f" {word} or", " it is"
    texts = head + part + tail, head + tail
    if letter:
        tokens = target.tokenizer.convert_tokens_to_ids([f"Ġ{letter}" for letter in "ABCD"])
        logits = [slow_pass(target, target.encode_chat(text, PREFIX))[0][-1] for text in texts]
        said = ["ABCD"[int(one[tokens].argmax())] for one in logits]
    else:
        said = [slow_answer(target, target.encode(text)).text for text in texts]
    fields = {
        "text": texts[0],
        "chat": letter,
        "answer_prefix": PREFIX if letter else "",
        "removed": part,
        "span": [len(head), len(head + part)],
        "answer_form": "letter" if letter else "text",
        "relation": "toy",
    }
    return measured(*said, kind="hint" if letter else "context", fields=fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of suites of both tasks, and beside it the target."""
    root = tmp_path_factory.mktemp("measured")
    target = make_target(seed=3, talkative=SAYS, tokenizer=make_letter_tokenizer())
    target.model.save_pretrained(root / "target")
    target.tokenizer.save_pretrained(root / "target")
    patches = [patched(target, word, seed) for seed, word in enumerate(WORDS)]
    patches += [patched(target, WORDS[0], seed) for seed in range(20, 24)]
    parts = [removed(target, word, letter=letter) for word in WORDS for letter in (True, False)]
    for task, found in ((PATCHING, patches), (ABLATIONS, parts)):
        queries = list(filter(sayable, found))
        changed = {one.clean != one.outcome for one in queries}
        assert changed == {True, False}
        version = root / "suites" / task / get_task(task).version
        splits = dict.fromkeys(SPLITS, queries)
        make_suite(version, get_task(task), splits, target=str(root / "target"))
    return root / "suites"


def suite_of(folder: Path, task: str) -> Suite:
    return open_suite(folder / task / get_task(task).version)


@pytest.mark.parametrize("size", [1, 7])
def test_every_label_comes_out_again(
    folder: Path, call: Call, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Suite.read
    opened: list[str] = []

    def listen(suite: Suite, name: str) -> bytes:
        opened.append(name)
        return read(suite, name)

    monkeypatch.setattr(Suite, "read", listen)
    words = ("--suite", str(folder), "--batch-size", str(size))
    out = succeeded(call("run", "-m", "baseline/calculator", "--no-score", "--json", *words))
    assert set(opened) == {"test/queries.jsonl", "test/vectors.safetensors"}
    paths = [run["path"] for run in json.loads(out)["runs"]]
    out = succeeded(call("score", *paths, "--suite", str(folder)))
    for task in (PATCHING, ABLATIONS):
        n = len(suite_of(folder, task).queries("test"))
        assert f"{task} · test: labels reproduced {n} / {n}\n" in out
    settings = ib.load(paths[0]).header.explainer.settings
    assert settings == {"dtype": "float32", "batch_size": size}


def test_a_label_that_is_another_is_counted(folder: Path, tmp_path: Path) -> None:
    target = make_target(seed=3, talkative=SAYS, tokenizer=make_letter_tokenizer())
    one = removed(target, WORDS[0], letter=True)
    other = next(letter for letter in "ABCD" if letter != one.outcome)
    wrong = measured(one.clean, other, kind=one.kind, fields={**one.fields, "relation": "b"})
    place = tmp_path / ABLATIONS / get_task(ABLATIONS).version
    splits = {split: [one, wrong] for split in SPLITS}
    make_suite(place, get_task(ABLATIONS), splits, target=str(folder.parent / "target"))
    found = ib.labels("any", suite=str(tmp_path), split="test")
    expected = {"task": ABLATIONS, "split": "test", "labels_reproduced": {"n": 1, "of": 2}}
    assert found == [expected]
    (first,) = ib.labels("any", suite=str(tmp_path), split="test", limit=1)
    assert first["labels_reproduced"]["of"] == 1
    assert ib.labels("a target without a suite") == []


def test_of_four_parts_it_names_the_one_whose_removal_changes_the_answer(folder: Path) -> None:
    target = make_target(seed=3, talkative=SAYS, tokenizer=make_letter_tokenizer())
    pieces = [f"{word} or " for word in WORDS[:4]]
    text = "".join(pieces) + "it is"
    spans = [(text.index(piece), text.index(piece) + len(piece)) for piece in pieces]
    texts = [text] + [text[:start] + text[end:] for start, end in spans]
    clean, *rest = (slow_answer(target, target.encode(one)).text for one in texts)
    active = [letter for letter, one in zip("WXYZ", rest, strict=True) if one != clean]
    fields = {
        "text": text,
        "chat": False,
        "answer_prefix": "",
        "answer_form": "text",
        "parts": [
            {"label": letter, "span": list(span)}
            for letter, span in zip("WXYZ", spans, strict=True)
        ],
    }
    task = replace(get_task(ABLATIONS), format_answer=lambda choice: f"part: {choice.part}")
    query = Query(id="0" * 16, group="0" * 16, kind="which", fields=fields)
    prompt = Prompt(query=query, template="t/1", instructions="", question="")
    explainer, _ = make_baseline(
        "calculator", task=task, suite=suite_of(folder, ABLATIONS), split="test"
    )
    assert active
    assert explainer.complete([prompt]) == [f"part: {active[0]}"]
    same = replace(query, fields={**fields, "parts": [{"label": "W", "span": [0, 0]}] * 4})
    assert explainer.complete([replace(prompt, query=same)]) == ["no part changes the output"]


def test_only_its_own_runs_are_counted(folder: Path, call: Call) -> None:
    words = ("--suite", str(folder), "-t", ABLATIONS, "--json")
    out = succeeded(call("run", "-m", "baseline/constant", *words))
    assert json.loads(out)["results"][0]["labels_reproduced"] is None


def test_it_cannot_do_without_vectors_nor_describe(folder: Path, call: Call) -> None:
    words = ("run", "--suite", str(folder), "-m", "baseline/calculator", "-t", PATCHING)
    code, _, err = call(*words, "--no-vector")
    assert code != 0
    assert "it cannot do without them" in the_sentence(err)
    task = get_task("feature-descriptions")
    with pytest.raises(UsageError, match="answers activation-patching, input-ablations"):
        make_baseline("calculator", task=task, suite=suite_of(folder, PATCHING), split="test")
