"""The suites that ship: whole, balanced, capped, disjoint, and not beaten by reading the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity

from introspect_bench.baselines import make_baseline
from introspect_bench.benchmark.metrics.verdicts import normalise_content
from introspect_bench.benchmark.prompts import build_prompt, render_all
from introspect_bench.benchmark.records import SPLITS, Answer, Query
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.benchmark.task import Task
from introspect_bench.tasks import SUITES, TASKS, suite_root
from introspect_bench.tasks.facts.facts import PHRASES, load_facts, normalise, split_of
from introspect_bench.tasks.verdicts import format_answer, parse_answer

CASES = [(suite, task) for suite in SUITES for task in TASKS]
IDS = [f"{suite}/{task.name}" for suite, task in CASES]
CAUSAL = [(suite, task) for suite, task in CASES if task.openings]
CAUSAL_IDS = [f"{suite}/{task.name}" for suite, task in CAUSAL]


def opened(case: tuple[str, Task]) -> Suite:
    suite, task = case
    return open_suite(suite_root(suite, task.name))


def subject_of(query: Query) -> set[str]:
    """Known subjects of the sentences and questions that a query's text holds."""
    text = query.fields["text"]
    found = set()
    for phrase in PHRASES:
        for form in (phrase.cloze, phrase.question):
            before, after = form.split("{s}")
            for piece in text.replace("Q: ", "\n").replace(". ", ".\n").splitlines():
                start = piece.casefold().find(before.casefold()) if before else 0
                end = piece.find(after, start + len(before)) if after else len(piece)
                if start == 0 and end > 0:
                    found.add(piece[start + len(before) : end].strip())
    return found


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_byte_is_as_frozen(case: tuple[str, Task]) -> None:
    suite = opened(case)
    suite.verify()
    assert suite.manifest["frozen"] is True
    assert set(suite.manifest["doctor"].values()) == {"pass"}
    assert suite.prompt_sha256 == case[1].prompt_sha256


@pytest.mark.parametrize("case", [case for case in CAUSAL if case[1].uses_vector])
@pytest.mark.parametrize("split", SPLITS)
def test_groups_are_contrast_groups(case: tuple[str, Task], split: str) -> None:
    suite = opened(case)
    truth = suite.truth(split)
    groups: dict[str, list[Query]] = {}
    for query in suite.queries(split):
        groups.setdefault(query.group, []).append(query)
    exact = 0
    for members in groups.values():
        answers = Counter((truth[q.id].changed, truth[q.id].outcome) for q in members)
        assert len(members) == 4
        assert len(answers) >= 2
        assert len({q.kind for q in members}) == 1
        assert all(q.fields == members[0].fields for q in members)
        assert len({q.vector for q in members}) == 4
        if case[1].headline_kinds is None or members[0].kind in case[1].headline_kinds:
            exact += max(answers.values())
    statistics = suite.manifest["statistics"][split]
    ceiling = statistics["input_only_ceiling"]["exact_match"]
    assert exact / statistics["queries"] == pytest.approx(ceiling)


def patching() -> Suite:
    return open_suite(suite_root("smollm2-135m", "activation-patching"))


def test_bars_of_patching() -> None:
    suite = patching()
    least = {"train": 6_000, "validation": 400, "test": 1_000}
    for split in SPLITS:
        queries = [q for q in suite.queries(split) if q.kind != "disrupted"]
        truth = suite.truth(split)
        assert len(queries) >= least[split]
        groups: dict[str, list[bool]] = {}
        for query in queries:
            groups.setdefault(query.group, []).append(truth[query.id].changed)
        assert all(sorted(own) == [False, False, True, True] for own in groups.values())
        outcomes = Counter(truth[query.id].outcome for query in queries)
        assert max(outcomes.values()) / len(queries) <= 0.04
        assert split != "test" or len(outcomes) >= 150
        assert all(one.margin is not None and one.margin >= 0.1 for one in truth.values())
        for one in truth.values():
            a, b = (normalise_content(text).casefold() for text in (one.clean, one.outcome))
            assert one.clean == one.outcome or not (a in b or b in a)
            assert suite_can_say(one.outcome)


def suite_can_say(text: str) -> bool:
    return any(map(str.isalnum, text)) and parse_answer(
        format_answer(Answer(changed=True, content=text))
    ) == Answer(changed=True, content=text)


def test_no_distance_tells_changed_from_unchanged() -> None:
    """To the group's mean: from the files alone, by scikit-learn. To the original: as measured."""
    suite = patching()
    for split in SPLITS:
        truth, vectors = suite.truth(split), suite.vectors(split).astype(np.float64)
        groups: dict[str, list[Query]] = {}
        for query in suite.queries(split):
            if query.kind != "disrupted":
                groups.setdefault(query.group, []).append(query)
        values = []
        for members in groups.values():
            own = vectors[[q.vector or 0 for q in members]]
            far = np.linalg.norm(own - own.mean(0), axis=1)
            values.append(roc_auc_score([truth[q.id].changed for q in members], far))
        said = suite.manifest["statistics"][split]["auroc_within_groups"]
        assert said["to_group_mean"] == pytest.approx(np.mean(values), abs=1e-6)
        assert 0.45 <= said["to_group_mean"] <= 0.55
        assert 0.45 <= said["to_original"] <= 0.55


def test_nearest_training_vectors_are_known() -> None:
    suite = patching()
    training: dict[tuple[str, ...], list[int]] = {}
    table = suite.vectors("train").astype(np.float64)
    for query in suite.queries("train"):
        training.setdefault((query.kind, str(query.fields["layers"])), []).append(query.vector or 0)
    truth, vectors = suite.truth("test"), suite.vectors("test").astype(np.float64)
    for query in suite.queries("test"):
        known = truth[query.id].nearest_train
        if query.kind == "disrupted":
            assert known is None
            continue
        own = table[training[query.kind, str(query.fields["layers"])]]
        centre = own.mean(0)
        found = cosine_similarity(vectors[[query.vector or 0]] - centre, own - centre).max()
        assert known == pytest.approx(found, abs=1e-4)
    assert all(one.nearest_train is None for one in suite.truth("train").values())


def test_known_shares_of_patching() -> None:
    """Blocks, kinds and whose answer comes out, counted again from the files."""
    suite = patching()
    for split in SPLITS:
        queries = [q for q in suite.queries(split) if q.kind != "disrupted"]
        truth, told = suite.truth(split), suite.oracle(split)
        shares = suite.manifest["statistics"][split]
        blocks = Counter("{:02d}-{:02d}".format(*q.fields["layers"]) for q in queries)
        kinds = Counter(q.kind for q in queries)
        neither = sum(
            truth[q.id].outcome not in (told[q.id]["clean"], told[q.id]["source"]) for q in queries
        )
        assert min(blocks.values()) >= 0.05 * len(queries)
        assert shares["share_of_block"] == {k: n / len(queries) for k, n in blocks.items()}
        assert shares["share_of_kind"] == {k: n / len(queries) for k, n in kinds.items()}
        assert shares["share_of_origin"].get("neither", 0) == neither / len(queries)


def test_bars_of_ablations() -> None:
    suite = open_suite(suite_root("smollm2-135m", "input-ablations"))
    least = {"validation": {"hint": 160, "context": 160, "which": 80}}
    least["test"] = {"hint": 400, "context": 400, "which": 200}
    least["test"] |= dict.fromkeys(("demonstration", "option", "word"), 150)
    most = {"demonstration": 0.08, "option": 0.40, "word": 0.08}
    for split, numbers in least.items():
        truth = suite.truth(split)
        by_kind: dict[str, list[Query]] = {}
        for query in suite.queries(split):
            by_kind.setdefault(query.kind, []).append(query)
        assert {kind: len(own) for kind, own in by_kind.items()} == numbers
        for kind, own in by_kind.items():
            assert len({query.group for query in own}) == len(own)  # one query a base text
            margins = [truth[query.id].margin for query in own]
            assert all(margin is not None and margin >= 0.1 for margin in margins)
            if kind == "which":
                parts = Counter(truth[query.id].part for query in own)
                assert max(parts.values()) <= 0.35 * len(own)
                continue
            assert 0.40 <= sum(truth[query.id].changed for query in own) / len(own) <= 0.60
            assert commonest_outcome(suite, own) <= most.get(kind, 0.05)


def commonest_outcome(suite: Suite, queries: Sequence[Query]) -> float:
    """Share of the commonest answer after the intervention, of test or validation."""
    truth = {**suite.truth("validation"), **suite.truth("test")}
    return max(Counter(truth[query.id].outcome for query in queries).values()) / len(queries)


def test_no_subject_is_in_two_splits_of_any_task() -> None:
    known = {normalise(fact.subject) for fact in load_facts()}
    seen = total = 0
    for case in CAUSAL:
        suite = opened(case)
        for split in SPLITS:
            for query in suite.queries(split):
                total += 1
                subjects = {s for s in subject_of(query) if normalise(s) in known}
                seen += bool(subjects)
                # several phrases may fit one sentence; at least the true subject is in this split
                assert not subjects or split in {split_of(s) for s in subjects}, query.fields[
                    "text"
                ]
    assert seen >= 0.9 * total


@pytest.mark.parametrize("case", CAUSAL, ids=CAUSAL_IDS)
def test_texts_do_not_cross_splits(case: tuple[str, Task]) -> None:
    suite = opened(case)
    texts = [{query.fields["text"] for query in suite.queries(split)} for split in SPLITS]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]


@pytest.mark.parametrize("case", CAUSAL, ids=CAUSAL_IDS)
def test_outputs_are_whole_text(case: tuple[str, Task]) -> None:
    suite = opened(case)
    for split in SPLITS:
        for one in suite.truth(split).values():
            for text, ids in ((one.clean, one.clean_ids), (one.outcome, one.outcome_ids)):
                assert text == text.strip()
                assert "\ufffd" not in text
                assert ids is not None
                assert 1 <= len(ids) <= 6
            same = normalise_content(one.clean) == normalise_content(one.outcome)
            assert same == (one.clean == one.outcome)


@pytest.mark.parametrize("case", CAUSAL, ids=CAUSAL_IDS)
def test_input_only_is_not_above_the_ceiling(case: tuple[str, Task]) -> None:
    suite, task = opened(case), case[1]
    explainer, _ = make_baseline("input-only", task=task, suite=suite, split="test")
    questions = render_all(task, suite.queries("test"))
    prompts = [build_prompt(question, None, ()) for question in questions]
    truth, right = suite.truth("test"), 0
    answers: dict[str, set[str]] = {}
    kinds = task.headline_kinds
    for prompt, reply in zip(prompts, explainer.complete(prompts), strict=True):
        query = prompt.query
        answers.setdefault(query.group, set()).add(str(reply))
        if kinds is None or query.kind in kinds:
            right += str(reply) == task.format_answer(truth[query.id].answer)
    assert all(len(found) == 1 for found in answers.values())
    statistics = suite.manifest["statistics"]["test"]
    assert 0 < right / statistics["queries"] <= statistics["input_only_ceiling"]["exact_match"]
