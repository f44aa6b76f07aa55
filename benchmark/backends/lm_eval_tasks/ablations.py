"""Input ablations as lm-eval asks and scores them; its YAML files name what is here.

Prompts, parser and metrics are the package's own. A metric is computed over all queries at once:
lm-eval can only average, and a standard error of its own would take queries for independent, which
those of one group are not. The ends of the headline's interval, clustered by group, are metrics of
their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ...errors import IntegrityError, UsageError
from ...metrics.bootstrap import estimates
from ...metrics.verdicts import METRIC_VERSION, evaluate
from ...prompts import render_all
from ...records import GroundTruth, Query, Replied, Scored
from ...registry import get_task
from ...runs.reply_text import until_ended
from ...scoring.correct import of_kind
from ...scoring.grade import SEED, score_table
from ...suite.select import check_task, find_suite
from ...suite.suite import Suite

TASK = "input-ablations"
CHAT, PLAIN = "chat", "plain"
FORMS = (CHAT, PLAIN)  # how prompts reach a model: as turns of a chat template, or as plain text
LOW, HIGH = "_low", "_high"  # how metrics that are ends of the headline's interval end
AGGREGATE = "aggregate_"  # how the name of an aggregation here begins; the metric's follows

Item = tuple[str, str, str, str]  # suite, split, query and reply


def __getattr__(name: str) -> Any:
    """Return what YAML files name that is made when it is asked for: the task, aggregations."""
    if name == "GuardedTask":
        return _guarded_task()
    if name.startswith(AGGREGATE):
        return _aggregation(name.removeprefix(AGGREGATE))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def metric_names() -> tuple[str, ...]:
    """Names of all metrics, the headline and its interval first."""
    task = get_task(TASK)
    rest = (name for name in task.metrics if name != task.headline)
    return (task.headline, f"{task.headline}{LOW}", f"{task.headline}{HIGH}", *rest)


def versions(suite: Suite) -> dict[str, str]:
    """Return what a file of a task says of its data, prompts and metrics."""
    return {
        "task_version": suite.version,
        "data_sha256": suite.data_sha256,
        "prompt_sha256": suite.prompt_sha256,
        "metric_version": METRIC_VERSION,
    }


def documents(*, suite: str, split: str, form: str, **said: Any) -> dict[str, Any]:
    """Return the queries of a split as lm-eval wants them; `said` is the rest of the metadata."""
    import datasets

    found = find_suite(suite, TASK)
    task = get_task(TASK)
    check_task(task, found)
    for name, ours in versions(found).items():
        if said.get(name) != ours:
            raise IntegrityError(
                f"the file of this task was written for {name} {said.get(name)!r}, here it is "
                f"{ours!r}; write it again with introspect-bench export --to lm-eval DIR"
            )
    rows = prompts(found, split, plain=form == PLAIN)
    said = {"suite": suite, "split": split, "form": form}
    return {split: datasets.Dataset.from_list([row | said for row in rows])}


def prompts(suite: Suite, split: str, *, plain: bool = False) -> list[dict[str, str]]:
    """Return each query's `id`, `group`, `system`, `prompt` and `target`, the right reply."""
    task, answers = get_task(TASK), suite.answers(split)
    by_id = {one.query.id: one.rendered for one in render_all(task, suite.queries(split))}
    return [
        {
            "id": query.id,
            "group": query.group,
            "system": f"{text.instructions.strip()}\n\n" if plain else text.instructions,
            "prompt": f"{text.question}\nAnswer:" if plain else text.question,
            "target": task.format_answer(answers[query.id]),
        }
        for query in suite.queries(split)
        for text in (by_id[query.id],)
    ]


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Item]:
    """Return the reply to a query, up to where decoding stops, for every metric."""
    item = (doc["suite"], doc["split"], doc["id"], until_ended(results[0]))
    return dict.fromkeys(metric_names(), item)


def check_prompt(doc: Mapping[str, Any], prompt: object, *, chat: bool) -> None:
    """Refuse a prompt that is not of the form the task is for, or lacks its instructions."""
    if chat and doc["form"] == PLAIN:
        raise UsageError(
            "this task is for models without a chat template: leave out --apply_chat_template, or "
            "take the task that ends in _chat"
        )
    if not chat and doc["form"] == CHAT:
        raise UsageError(
            "this task is for models with a chat template: add --apply_chat_template, or take the "
            "task that ends in _plain"
        )
    # what is sent to an endpoint is no text, and not cut
    if isinstance(prompt, str) and doc["system"].strip() not in prompt:
        raise UsageError(
            "this model's chat template takes no system turn, so lm-eval leaves the instructions "
            "out; use introspect-bench run --model lm-eval:BACKEND,ARGS, which keeps them"
        )


def _guarded_task() -> Any:
    from lm_eval.api.task import ConfigurableTask

    class GuardedTask(ConfigurableTask):  # type: ignore[misc]
        """The task that a YAML file describes, which refuses prompts of the other form."""

        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__(config={k: v for k, v in config.items() if k != "class"})

        def construct_requests(self, doc: dict[str, Any], ctx: Any, **more: Any) -> Any:
            check_prompt(doc, ctx, chat=bool(more.get("apply_chat_template")))
            return super().construct_requests(doc, ctx, **more)

    return GuardedTask


def _aggregation(name: str) -> Callable[[Sequence[Item]], float]:
    def aggregate(items: Sequence[Item]) -> float:
        """Return one metric of introspect-bench over all queries, as `score` does."""
        return all_metrics(tuple(map(tuple, items)))[name]

    return aggregate


@lru_cache(maxsize=4)
def all_metrics(items: tuple[Item, ...]) -> dict[str, float]:
    """Return every metric by name; NaN where there is none."""
    task = get_task(TASK)
    kinds = task.headline_kinds
    headline = [one for one in graded(items) if kinds is None or one.query.kind in kinds]
    if not headline:
        return dict.fromkeys(metric_names(), math.nan)
    table = score_table(headline)
    found = {name: evaluate(name, table) for name in task.metrics}
    interval = estimates(table, (task.headline,), seed=SEED)[task.headline]["interval_95"]
    ends = interval or (math.nan, math.nan)
    return found | dict(zip((task.headline + LOW, task.headline + HIGH), ends, strict=True))


def graded(items: Sequence[Item]) -> list[Scored]:
    """Put replies to queries of one split beside their truth, in the suite's order."""
    task, (name, split, *_) = get_task(TASK), items[0]
    replies = {key: reply for _, _, key, reply in items}
    found = []
    for query, truth in _split(name, split):
        if query.id in replies:
            raw = replies[query.id]
            reply = Replied(query=query, raw=raw, answer=task.parse(raw))
            answer = of_kind(reply, truth)
            found.append(Scored(query=query, raw=raw, answer=answer, truth=truth))
    return found


@lru_cache(maxsize=2)
def _split(name: str, split: str) -> list[tuple[Query, GroundTruth]]:
    suite = find_suite(name, TASK)
    truth = suite.truth(split)
    return [(query, truth[query.id]) for query in suite.queries(split)]
