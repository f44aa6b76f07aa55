"""Confidence against right and wrong: the measures, what is recorded, and what is shown."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, roc_auc_score
from tiny_models import make_model, make_tokenizer
from tiny_places import TEXT, patching
from tiny_prompts import make_explainer, make_prompts
from tiny_runs import header, pred, save

from introspect_bench.benchmark.backends.explainer.chat import joined
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.evaluation.predict import ask
from introspect_bench.benchmark.evaluation.reply_row import reply_fields
from introspect_bench.benchmark.metrics.activations import auroc
from introspect_bench.benchmark.metrics.confidence import (
    calibration_error,
    confidence_result,
    risk_coverage,
)
from introspect_bench.benchmark.records import Completion
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.runs.run import read_run
from introspect_bench.tasks.verdicts import verdict_end

PATCHING = get_task("activation-patching")


def area(sure: Any, right: Any) -> float:
    return auroc(sure[right == 1], sure[right == 0])


def drawn(seed: int, n: int, levels: int | None) -> tuple[Any, Any]:
    """Confidences, with ties if there are few levels, and whether answers are right."""
    rng = np.random.default_rng(seed)
    sure = rng.random(n) if levels is None else rng.integers(0, levels + 1, n) / levels
    return sure, (rng.random(n) < 0.2 + 0.6 * sure).astype(np.float64)


@pytest.mark.parametrize("levels", [None, 4, 1])
@pytest.mark.parametrize("n", [7, 50, 403])
def test_the_measures_are_those_of_scikit_learn(n: int, levels: int | None) -> None:
    sure, right = drawn(n, n, levels)
    result = confidence_result(
        {str(i): {"confidence": p} for i, p in enumerate(sure)},
        {str(i): (bool(y), True) for i, y in enumerate(right)},
    )
    assert result is not None
    (found,) = result.values()
    assert found["auroc"] == pytest.approx(roc_auc_score(right, sure))
    assert found["brier"] == pytest.approx(brier_score_loss(right, sure))
    assert found["n"] == n
    assert (found["right"], found["mean"]) == (pytest.approx(right.mean()), sure.mean())


def brute_ece(sure: Any, right: Any, n_bins: int) -> float:
    """Bin by bin over the sorted list; without ties the order is the only one."""
    pairs = sorted(zip(sure.tolist(), right.tolist(), strict=True))
    total, start = 0.0, 0
    for number in range(n_bins):
        size = len(pairs) // n_bins + (number < len(pairs) % n_bins)
        part = pairs[start : start + size]
        start += size
        if part:
            accuracy = sum(y for _, y in part) / size
            confidence = sum(p for p, _ in part) / size
            total += size / len(pairs) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize(("n", "n_bins"), [(7, 10), (50, 10), (403, 15)])
def test_the_calibration_error_is_that_of_a_loop_over_bins(n: int, n_bins: int) -> None:
    sure, right = drawn(n, n, None)
    assert calibration_error(sure, right, n_bins) == pytest.approx(brute_ece(sure, right, n_bins))


@pytest.mark.parametrize("n", [7, 50])
def test_the_curve_is_that_of_a_loop_over_coverages(n: int) -> None:
    sure, right = drawn(n, n, None)
    ranked = sorted(zip(sure.tolist(), right.tolist(), strict=True), reverse=True)
    risks = [sum(1 - y for _, y in ranked[:k]) / k for k in range(1, n + 1)]
    assert risk_coverage(sure, right) == pytest.approx(sum(risks) / n)


def test_ties_do_not_depend_on_the_order_of_the_rows() -> None:
    sure, right = drawn(0, 60, 3)
    other = np.random.default_rng(1).permutation(60)
    for measure in (area, calibration_error, risk_coverage):
        assert measure(sure, right) == pytest.approx(measure(sure[other], right[other]))
    one = np.full(40, 0.75)
    right = np.repeat([1.0, 0.0], [30, 10])
    assert calibration_error(one, right) == pytest.approx(0)
    assert risk_coverage(one, right) == pytest.approx(0.25)
    assert area(one, right) == 0.5


def test_each_kind_is_set_against_what_it_is_of() -> None:
    rows = {
        "a": {"logprob_verdict": math.log(0.9), "logprob_reply": math.log(0.5)},
        "b": {"logprob_verdict": math.log(0.6), "logprob_reply": math.log(0.2)},
        "c": {"logprob_reply": math.log(0.1)},
        "other kind": {"logprob_reply": 0.0},
    }
    right = {"a": (True, True), "b": (True, False), "c": (False, False), "no row": (True, True)}
    found = confidence_result(rows, right)
    assert found is not None
    assert found.keys() == {"logprob_verdict", "logprob_reply"}
    assert found["logprob_verdict"] | {"ece": 0, "aurc": 0} == {
        "n": 2,
        "right": 1.0,
        "mean": pytest.approx(0.75),
        "auroc": None,
        "brier": pytest.approx((0.1**2 + 0.4**2) / 2),
        "ece": 0,
        "aurc": 0,
    }
    assert found["logprob_reply"]["n"] == 3
    assert found["logprob_reply"]["right"] == pytest.approx(1 / 3)
    assert confidence_result({"a": {}}, right) is None


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("changed: Paris", "changed"),
        (" unchanged: changed my mind", " unchanged"),
        ("**Changed**: Rome", "**Changed"),
        ("U.S., so the output would remain unchanged from <<<U.S.>>>", None),
        ("change, so the output would change to <<<change>>>", None),
        ("Answer: unchanged", "Answer: unchanged"),
        ("Paris", ""),
    ],
)
def test_the_word_of_a_verdict_is_found(text: str, until: str | None) -> None:
    if until is None:
        until = text.partition(" from <<<")[0].partition(" to <<<")[0]
    end = verdict_end(text)
    assert text[: end or 0] == until
    assert (end is None) is (until == "")


OPENINGS = ("unchanged:", "changed:")


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("decoding", ["greedy", "whole-reply", "opened"])
def test_log_probabilities_are_those_of_a_plain_forward_pass(name: str, decoding: str) -> None:
    prompts = [replace(prompt, openings=OPENINGS) for prompt in make_prompts()]
    more = {"openings": OPENINGS} if decoding == "opened" else {"decoding": decoding}
    explainer = make_explainer(name, max_new_tokens=16, **more)
    replies = explainer.complete(prompts)
    head, questions = explainer.encoder.head(prompts[0]), explainer.encoder.questions(prompts)
    model = make_model(name, make_tokenizer()).eval()  # the same weights, transformers alone
    embed = model.get_input_embeddings()
    norm = explainer.injector.mean_embedding_norm()
    for reply, question in zip(replies, questions, strict=True):
        row = joined(head, question)
        ids = list(row.ids)
        if decoding != "greedy":
            begun = next(one for one in OPENINGS if reply.text.lstrip().startswith(one))
            ids += explainer.encoder.reply_ids(begun)
        with torch.no_grad():
            embedded = embed(torch.tensor([ids]))
            for column, vector in zip(row.columns, row.vectors, strict=True):
                embedded[0, column] = torch.from_numpy(vector / np.linalg.norm(vector) * norm)
            while len(ids) < len(row.ids) + reply.n_out:
                ids.append(int(model(inputs_embeds=embedded).logits[0, -1].argmax()))
                embedded = torch.cat([embedded, embed(torch.tensor([ids[-1:]]))], dim=1)
            logits = model(inputs_embeds=embedded).logits[0].log_softmax(-1)
        written = torch.tensor(ids[len(row.ids) :])
        expected = logits[len(row.ids) - 1 : -1].gather(1, written[:, None])[:, 0].tolist()
        assert explainer._said(written.tolist()) == reply.text
        assert reply.logprobs == pytest.approx(expected, abs=1e-4)
        assert len(reply.ends) == reply.n_out
        assert reply.ends[-1] == len(reply.text)


def test_the_row_holds_the_sums_up_to_the_verdict_and_of_all() -> None:
    reply = Completion(
        text=" unchanged: Paris",
        logprobs=(-0.5, -0.25, -1.0, -2.0, -4.0),
        ends=(3, 10, 11, 17, 17),
    )
    fields = reply_fields(PATCHING, reply)
    assert fields["logprob_verdict"] == -0.75
    assert fields["logprob_reply"] == -7.75
    assert "confidence" not in fields
    unread = reply_fields(PATCHING, replace(reply, text="not unchanged: changed: a"))
    assert "logprob_verdict" not in unread
    assert unread["logprob_reply"] == -7.75
    plain = reply_fields(PATCHING, Completion(text="changed: Rome", confidence=0.5))
    assert plain["confidence"] == 0.5
    assert not {"logprob_verdict", "logprob_reply"} & plain.keys()


class Says:
    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def complete(self, prompts: Any) -> list[Completion]:
        return [Completion(text="changed: Rome", **self.fields) for _ in prompts]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"confidence": 1.5}, "confidence 1.5, expected None or a number from 0 to 1"),
        ({"confidence": "high"}, "confidence 'high'"),
        ({"confidence": math.nan}, "confidence nan"),
        ({"confidence": True}, "confidence True"),
        ({"confidence": 10**400}, "confidence 1000"),
        ({"logprobs": (-1.0,)}, "one number of 0 or less for each of its ends"),
        ({"logprobs": (0.5,), "ends": (3,)}, "one number of 0 or less"),
    ],
)
def test_what_is_no_confidence_is_refused(fields: dict[str, Any], message: str) -> None:
    prompt = patching(TEXT, 8, (0, 1), 1, "What?")
    with pytest.raises(UsageError, match=message):
        ask(Says(**fields), [prompt])
    assert ask(Says(confidence=np.float32(0.25)), [prompt])[0].confidence == 0.25


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"confidence": 1.01}, "confidence is not a number from 0 to 1"),
        ({"confidence": "1"}, "confidence is not a number from 0 to 1"),
        ({"logprob_reply": 0.1}, "logprob_reply is not a number of 0 or less"),
        ({"logprob_verdict": None}, "logprob_verdict is not a number of 0 or less"),
    ],
)
def test_a_row_with_an_impossible_one_is_named(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    sound = pred(0, confidence=0.5, logprob_verdict=-0.5, logprob_reply=-2)
    assert len(read_run(save(tmp_path / "sound.jsonl", header(), sound)).rows) == 1
    with pytest.raises(IntegrityError, match=f":2: field {message}"):
        read_run(save(tmp_path / "run.jsonl", header(), pred(0, **fields)))
