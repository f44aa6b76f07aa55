"""Batches that do not fit into memory are halved, and whoever waits is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from tiny_models import make_model, make_tokenizer
from tiny_prompts import make_prompts
from told import Told

from introspect_bench.benchmark.backends.explainer import local
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.errors import MissingPartError

ENDS: list[Callable[[], Exception]] = [
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    MemoryError,
]


def narrow(monkeypatch: pytest.MonkeyPatch, most: int, end: Callable[[], Exception]) -> list[int]:
    """Let memory end with more than `most` prompts; return how many were tried."""
    tried: list[int] = []
    written = LocalExplainer._written

    def limited(self: Any, head: Any, questions: Sequence[Any], prompt: Any) -> Any:
        tried.append(len(questions))
        if len(questions) > most:
            raise end()
        return written(self, head, questions, prompt)

    monkeypatch.setattr(local.LocalExplainer, "_written", limited)
    return tried


def explainer(**options: Any) -> LocalExplainer:
    tokenizer = make_tokenizer()
    return LocalExplainer(make_model("llama", tokenizer), tokenizer, max_new_tokens=3, **options)


@pytest.mark.parametrize("end", ENDS, ids=["cuda", "cpu", "python"])
def test_auto_halves_until_it_fits_and_says_what_it_chose(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[], Exception]
) -> None:
    prompts = make_prompts()
    n = len(prompts)
    assert n >= 2
    expected = [reply.text for reply in explainer(batch_size=1).complete(prompts)]
    tried, told = narrow(monkeypatch, 1, end), Told()
    mine = explainer(progress=told)
    assert [reply.text for reply in mine.complete(prompts)] == expected
    assert tried[0] == n
    assert tried[-1] == 1
    assert "going on with 1 (--batch-size 1 begins with it)" in str(told.__dict__)
    del tried[:]
    mine.complete(prompts)
    assert tried == [1] * n  # it is tried once


def test_a_size_that_was_chosen_is_kept_and_the_error_names_a_smaller_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prompts = make_prompts()
    narrow(monkeypatch, 1, MemoryError)
    with pytest.raises(MissingPartError, match=r"memory ended with 2 prompts .*--batch-size 1, "):
        explainer(batch_size=2).complete(prompts)


def test_one_prompt_that_does_not_fit_and_other_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = make_prompts()
    narrow(monkeypatch, 0, MemoryError)
    with pytest.raises(MissingPartError, match="a device with more memory"):
        explainer().complete(prompts)
    narrow(monkeypatch, 0, lambda: RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        explainer().complete(prompts)
