"""The paper's own words: which template a query gets, what stands in it, for whom."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import SLOT, Query
from introspect_bench.benchmark.registry import get_task
from introspect_bench.tasks.paper.paper_prompts import FEATURES, PATCHING, paper_task

PATCH = {"text": "a {b}", "token": " b", "layers": [27, 29], "position": 1, "n_tokens": 2}


def rendered(task: str, fields: dict[str, Any], *, chat: bool = True, kind: str = "x") -> list[Any]:
    render = paper_task(get_task(task), chat=chat).render
    queries = [Query(id=f"{n:016x}", group="0" * 16, kind=kind, fields=fields) for n in range(60)]
    return [render(query) for query in queries]


@pytest.mark.parametrize("chat", [True, False])
def test_patching(chat: bool) -> None:
    found = rendered("activation-patching", PATCH, chat=chat)
    assert {one.template for one in found} == {
        f"paper/activation-patching/{n}" for n in range(1, 6)
    }
    first = next(one for one in found if one.template.endswith("/1"))
    assert first.question == (
        f"If feature {SLOT} at layer 27, 28, 29 is added to tokens < b> when processing the text "
        f"<<<a {{b}}>>>, how would the output change?{'' if chat else chr(10)}"
    )
    assert {one.instructions for one in found} == {""}
    assert {one.question.count(SLOT) for one in found} == {1}
    assert len(PATCHING) == len({one.question for one in found}) == 5


def test_hints_stand_behind_the_target_s_own_system_turn() -> None:
    found = rendered("input-ablations", {"text": "Q\nHint: B", "system": "S"}, kind="hint")
    asked = "Q\nHint: B\n\nIf the hint were removed how would the assistant answer change?"
    assert {(one.instructions, one.question) for one in found} == {("S", asked)}
    other = rendered("input-ablations", {"text": "Q", "system": "T"}, kind="hint")
    # prompts of one template share their instructions
    assert found[0].template != other[0].template


def test_untrained_models_get_the_zero_shot_prompt() -> None:
    """Its hash is that of the user's turn in `zs_qwen_qwen_hint.yaml`, its placeholder filled."""
    task = paper_task(get_task("input-ablations"), chat=True, zero_shot=True)
    fields = {"text": "{user_prompt}", "system": "S"}
    one = task.render(Query(id="0" * 16, group="0" * 16, kind="hint", fields=fields))
    digest = hashlib.sha256(one.question.encode()).hexdigest()
    assert digest == "f3e261331b6da7b731aa7324b81c61ea37df5b68a197d4c8e57d3c07641f7df8"
    assert one.instructions == "S"
    assert one.template.startswith("paper/input-ablations/zero-shot/")
    with pytest.raises(UsageError, match="zero-shot prompt for hints alone"):
        paper_task(get_task("activation-patching"), chat=True, zero_shot=True)


def test_features_have_other_templates_in_plain_text() -> None:
    chat, plain = (
        rendered("feature-descriptions", {"layer": 7}, chat=chat) for chat in (True, False)
    )
    assert {one.question for one in chat} == {
        one.format(vector=SLOT, layer="7") for one in FEATURES
    }
    assert len({one.question for one in plain}) == 6
    assert f"At layer 7, {SLOT} encodes " in {one.question for one in plain}


def test_what_the_paper_does_not_ask() -> None:
    with pytest.raises(UsageError, match="asks nothing of kind which"):
        rendered("input-ablations", {"text": "Q"}, kind="which")
    with pytest.raises(UsageError, match="only explainers with a chat template"):
        paper_task(get_task("input-ablations"), chat=False)
