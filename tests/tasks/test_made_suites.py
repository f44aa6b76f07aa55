"""What stands in whole tiny suites of both tasks: their truth measured again another way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_builds import TASKS, invented_facts, load
from tiny_targets import Patch, slow_answer, slow_pass

from introspect_bench.benchmark.backends.models.target_model import TargetModel
from introspect_bench.benchmark.records import SPLITS
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.tasks.build.verify import verify_suite
from introspect_bench.tasks.facts.facts import normalise

pytestmark = pytest.mark.usefixtures("small_world")


@pytest.mark.parametrize("task", TASKS)
def test_a_suite_opens_and_verifies(made: dict[str, Path], task: str) -> None:
    suite = open_suite(made[task])
    verify_suite(get_task(task), suite)  # its statistics too, computed from the files
    manifest = suite.manifest
    assert (suite.name, suite.task, suite.version) == ("tiny", task, get_task(task).version)
    assert set(manifest["doctor"].values()) == {"pass"}
    assert manifest["frozen"] is False  # far too small
    assert set(manifest["stability"]) == {"validation", "test"}
    assert len(suite.queries("mini")) == len(manifest["mini"]) > 0
    for split in SPLITS:
        counts = manifest["splits"][split]
        least = 4 if task == "activation-patching" else 1
        assert counts["queries"] >= least * counts["groups"] > 0
        for truth in suite.truth(split).values():
            assert truth.margin is not None
            assert truth.margin >= 0
            assert "\ufffd" not in truth.clean + truth.outcome


def subjects_of(suite: Suite, split: str) -> set[str]:
    """Every subject that stands in a text, asked for or shown."""
    names = sorted({fact.subject for fact in invented_facts()}, key=len, reverse=True)
    found = set()
    for query in suite.queries(split):
        text = query.fields["text"]
        for name in names:
            if name in text:
                found.add(normalise(name))
                text = text.replace(name, "")
    return found


def test_no_subject_is_in_two_splits_of_any_task(made: dict[str, Path]) -> None:
    suites = [open_suite(root) for root in made.values()]
    found = {split: set.union(*(subjects_of(s, split) for s in suites)) for split in SPLITS}
    assert all(found.values())
    assert not found["train"] & found["validation"]
    assert not found["train"] & found["test"]
    assert not found["validation"] & found["test"]


@pytest.mark.parametrize("split", SPLITS)
def test_patched_truth_is_what_plain_hooks_give(made: dict[str, Path], split: str) -> None:
    """Measured again from the files alone: text, position, layers and the stored vector."""
    suite, target = open_suite(made["activation-patching"]), load()
    vectors = torch.from_numpy(suite.vectors(split).astype("float32"))
    truths = suite.truth(split)
    changed = 0
    for query in suite.queries(split):
        fields, truth = query.fields, truths[query.id]
        ids = target.encode(fields["text"])
        assert fields["n_tokens"] == len(ids)
        assert query.vector is not None
        patch = Patch(
            position=fields["position"],
            layers=(fields["layers"][0], fields["layers"][1]),
            vector=vectors[query.vector],
        )
        clean, outcome = slow_answer(target, ids), slow_answer(target, ids, patch)
        assert (truth.clean, truth.clean_ids) == (clean.text, clean.ids)
        assert (truth.outcome, truth.outcome_ids) == (outcome.text, outcome.ids)
        assert truth.margin == pytest.approx(min(clean.margin, outcome.margin), abs=1e-3)
        changed += truth.clean != truth.outcome
    assert 0 < changed < len(truths)


@pytest.mark.parametrize("split", SPLITS)
def test_ablated_truth_is_what_single_passes_give(made: dict[str, Path], split: str) -> None:
    suite, target = open_suite(made["input-ablations"]), load()
    truths = suite.truth(split)
    changed = 0
    for query in suite.queries(split):
        fields, truth = query.fields, truths[query.id]
        text = fields["text"]
        assert truth.clean == answer(target, fields, text)
        if query.kind == "which":  # one part changes the answer, three do not
            for part in fields["parts"]:
                wanted = truth.outcome if part["label"] == truth.part else truth.clean
                assert answer(target, fields, without(text, part["span"])) == wanted
        else:
            assert fields["removed"] == text[slice(*fields["span"])]
            assert truth.outcome == answer(target, fields, without(text, fields["span"]))
        changed += truth.clean != truth.outcome
    assert 0 < changed < len(truths)


def without(text: str, span: tuple[int, int]) -> str:
    start, end = span
    return text[:start] + text[end:]


def answer(target: TargetModel, fields: Any, text: str) -> str:
    if fields["answer_form"] == "text":
        return slow_answer(target, target.encode(text)).text
    ids = target.encode_chat(text, fields["answer_prefix"])
    logits = slow_pass(target, ids)[0][-1]
    tokens = target.tokenizer.convert_tokens_to_ids([f"Ġ{letter}" for letter in "ABCD"])
    return "ABCD"[int(logits[tokens].argmax())]


def test_oracles_are_told_the_clean_answer_and_a_source(made: dict[str, Path]) -> None:
    suite = open_suite(made["activation-patching"])
    for split in SPLITS:
        truths = suite.truth(split)
        for key, told in suite.oracle(split).items():
            assert told["clean"] == truths[key].clean
            assert told["source"]


def test_groups_share_everything_but_the_vector(made: dict[str, Path]) -> None:
    suite = open_suite(made["activation-patching"])
    for split in SPLITS:
        groups: dict[str, list[Any]] = {}
        for query in suite.queries(split):
            groups.setdefault(query.group, []).append(query)
        truths = suite.truth(split)
        for members in groups.values():
            assert len(members) == 4
            assert all(m.fields == members[0].fields for m in members)
            assert len({m.vector for m in members}) == 4
            assert len({truths[m.id].outcome for m in members}) >= 2
