"""Scores of descriptions: worked out by hand, forged, missing, and judged by a stranger."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score
from tiny_features import NAME, WORDS, Counting, Letters, judges, make_feature_suite

from introspect_bench.benchmark.describing import NotJudgedError, base_similarity
from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.explainer import ExplainerCard
from introspect_bench.benchmark.files import canonical_json
from introspect_bench.benchmark.predict import predict
from introspect_bench.benchmark.runfile import encode_line, read_run
from introspect_bench.benchmark.scoring import grade_descriptions, score_run
from introspect_bench.benchmark.suite import Suite
from introspect_bench.benchmark.suite_features import arrays
from introspect_bench.tasks import get_task
from introspect_bench.tasks.feature_descriptions.judge_run import judge_run
from introspect_bench.tasks.feature_descriptions.judges import Simulating

TASK = get_task(NAME)
WIDTH = Letters().embed(["a"]).shape[1]
Reply = Callable[[Any], str]


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("features") / "v1"
    make_feature_suite(root)
    return root


@pytest.fixture
def suite(frozen: Path, tmp_path: Path) -> Suite:
    from introspect_bench.benchmark.suite import open_suite

    return open_suite(Path(shutil.copytree(frozen, tmp_path / "suite")))


class Says:
    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    def complete(self, prompts: Any) -> list[str]:
        return [self.reply(prompt) for prompt in prompts]


def answered(suite: Suite, path: Path, reply: Reply, **more: Any) -> Path:
    return predict(
        task=TASK,
        suite=suite,
        split=more.pop("split", "test"),
        explainer=Says(reply),
        card=ExplainerCard(name="says", kind="custom"),
        out=path,
        batch_size=4,
        **more,
    )


def judged(suite: Suite, path: Path, reply: Reply, **more: Any) -> Path:
    answered(suite, path, reply, **more)
    judge_run(path, task=TASK, suite=suite, judges=judges())
    return path


def scored(suite: Suite, path: Path) -> dict[str, Any]:
    return score_run(read_run(path), TASK, suite)


def value(result: dict[str, Any], name: str) -> float:
    return float(result["overall"]["metrics"][name]["value"])


def always(text: str) -> Reply:
    return lambda _: text


def truth_of(suite: Suite) -> Reply:
    truth = suite.feature_truth("test")
    return lambda prompt: truth[prompt.query.id].descriptions[0]


def test_the_reference_itself_scores_as_the_reference(suite: Suite, tmp_path: Path) -> None:
    result = scored(suite, judged(suite, tmp_path / "run.jsonl", truth_of(suite)))
    assert value(result, "pearson_of_reference") == 1
    assert value(result, "similarity") == pytest.approx(1, abs=1e-6)
    assert value(result, "detection_auroc") == 1
    assert value(result, "pearson") > 0.95
    assert result["counts"] == {"queries": 9, "scored": 9, "unparsed": 0, "missing": 0}
    assert set(result["by_kind"]) == {"sae", "activation"}
    assert set(result["by_layers"]) == {"00", "01"}
    assert set(result["by_distance"]) == {"near", "far"}
    assert result["by_distance"]["near"]["n"] == 5  # 0.3 + 0.05 n >= 0.5 for n of 4 to 8


def test_numbers_are_those_of_other_libraries(suite: Suite, tmp_path: Path) -> None:
    path = judged(suite, tmp_path / "run.jsonl", lambda _: f"{WORDS[0]} {WORDS[1]}")
    graded = grade_descriptions(read_run(path), TASK, suite)
    told = arrays(suite, "test", "activations")
    windows = arrays(suite, "test", "windows")["ids"]
    for row, one in enumerate(graded):
        guess = np.isin(windows[row], (0, 1)).astype(float)
        expected = pearsonr(told["activations"][row].ravel().astype(float), guess.ravel())
        assert one.pearson == pytest.approx(expected.statistic, abs=1e-6)
        kinds = told["kinds"][row]
        kept = np.isin(kinds, (0, 1, 3))
        area = roc_auc_score(kinds[kept] != 3, guess.max(axis=1)[kept])
        assert one.detection == pytest.approx(area, abs=1e-6)


def test_a_random_other_description_has_similarity_zero(suite: Suite, tmp_path: Path) -> None:
    # the mean over all other references is what 0 is set to
    truth, queries = suite.feature_truth("test"), suite.queries("test")
    asked = queries[0].id
    base = base_similarity(suite, "test")[0]
    found = []
    for number, query in enumerate(queries):
        if truth[query.id].predicate == truth[asked].predicate:
            continue
        text = truth[query.id].descriptions[0]
        path = judged(suite, tmp_path / f"{number}.jsonl", always(text), queries=[asked])
        found.append(grade_descriptions(read_run(path), TASK, suite)[0].similarity)
    assert 0 < base < 1
    assert np.mean(found) == pytest.approx(0, abs=1e-5)
    assert max(found) > 0 > min(found)


def test_the_sign_counts(suite: Suite, tmp_path: Path) -> None:
    truth = suite.feature_truth("test")

    def others(prompt: Any) -> str:
        own = truth[prompt.query.id].descriptions[0]
        return " ".join(word for word in WORDS if word not in own)

    result = scored(suite, judged(suite, tmp_path / "run.jsonl", others))
    assert value(result, "pearson") < -0.9
    assert value(result, "pearson_of_reference") < -0.9


def test_constant_predictions_are_zero_and_chance(suite: Suite, tmp_path: Path) -> None:
    result = scored(suite, judged(suite, tmp_path / "run.jsonl", lambda _: "every token"))
    assert value(result, "pearson") == 0
    assert value(result, "detection_auroc") == 0.5


def test_no_answer_is_wrong_in_every_metric_and_counted(suite: Suite, tmp_path: Path) -> None:
    truth = truth_of(suite)
    first = suite.queries("test")[0].id
    path = judged(
        suite, tmp_path / "run.jsonl", lambda p: " \n\n" if p.query.id == first else truth(p)
    )
    run = read_run(path)
    assert len(run.judgements) == 16
    graded = grade_descriptions(run, TASK, suite)[0]
    assert (graded.pearson, graded.detection, graded.similarity) == (0, 0, 0)
    assert graded.status == "unparsed"
    assert graded.of_reference > 0.9
    result = scored(suite, path)
    assert result["counts"]["unparsed"] == 1
    assert value(result, "detection_auroc") == pytest.approx(8 / 9, abs=1e-6)


def test_all_unparsed_is_zero_without_any_judge(suite: Suite, tmp_path: Path) -> None:
    result = scored(suite, answered(suite, tmp_path / "run.jsonl", lambda _: ""))
    assert [value(result, name) for name in TASK.metrics] == [0, 0, 0, 0]
    assert result["descriptions"] == {
        "mean_characters": None,
        "distinct": 0,
        "truncated": 0,
        "pearson_predicates": None,
        "ratings": {},
    }


def test_length_and_truncation_are_shown(suite: Suite, tmp_path: Path) -> None:
    first = suite.queries("test")[0].id
    path = judged(
        suite,
        tmp_path / "run.jsonl",
        lambda p: "word " * 200 if p.query.id == first else "ant",
    )
    told = scored(suite, path)["descriptions"]
    assert told["truncated"] == 1
    assert told["distinct"] == 2
    assert told["mean_characters"] == pytest.approx((8 * 3 + 399) / 9)


def test_scored_twice_is_the_same_bytes(suite: Suite, tmp_path: Path) -> None:
    path = judged(suite, tmp_path / "run.jsonl", truth_of(suite))
    assert canonical_json(scored(suite, path)) == canonical_json(scored(suite, path))


def test_a_run_that_was_not_judged_says_what_to_do(suite: Suite, tmp_path: Path) -> None:
    path = answered(suite, tmp_path / "run.jsonl", truth_of(suite))
    message = r"9 of 9 descriptions are not judged by simulator/.*run `introspect-bench simulate"
    with pytest.raises(NotJudgedError, match=message):
        scored(suite, path)


def test_another_simulator_does_not_count_and_is_named(suite: Suite, tmp_path: Path) -> None:
    path = answered(suite, tmp_path / "run.jsonl", truth_of(suite))
    stranger = Counting()
    stranger.sha256 = "00" * 32
    judge_run(path, task=TASK, suite=suite, judges=[Simulating(stranger)])
    with pytest.raises(NotJudgedError, match="it has those of simulator/counting-v1@000000000000"):
        scored(suite, path)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the first judgement of a run file."""
    lines = path.read_bytes().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if b'"kind":"judgement"' in line)
    row = json.loads(lines[place])
    change(row)
    lines[place] = encode_line(row)
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.update(text="the word 'gnu' indeed"), "judged another text"),
        (lambda row: row.update(predicted=base64.b64encode(bytes(5)).decode()), "5 bytes, exp"),
        (lambda row: row.update(embedding=row.pop("predicted")), "predicted is not text"),
    ],
)
def test_a_judgement_that_does_not_fit_is_refused(
    suite: Suite, tmp_path: Path, change: Any, message: str
) -> None:
    path = judged(suite, tmp_path / "run.jsonl", truth_of(suite))
    edit(path, change)
    with pytest.raises(IntegrityError, match=message):
        scored(suite, path)


def test_a_judgement_of_no_answer_is_refused(suite: Suite, tmp_path: Path) -> None:
    path = judged(suite, tmp_path / "run.jsonl", truth_of(suite))
    lines = path.read_bytes().splitlines(keepends=True)
    row = json.loads(lines[1])
    row["raw"] = ""
    lines[1] = encode_line(row)
    path.write_bytes(b"".join(line for line in lines if b'"kind":"footer"' not in line))
    # without its footer the file ends before the judgements; put one back
    with pytest.raises(IntegrityError):
        scored(suite, path)


def test_descriptions_of_training_features_are_not_scored(suite: Suite, tmp_path: Path) -> None:
    path = answered(suite, tmp_path / "run.jsonl", lambda _: "ant", split="train")
    with pytest.raises(UsageError, match="train split are not scored"):
        scored(suite, path)


def test_only_the_embedding_of_the_answer_counts(suite: Suite, tmp_path: Path) -> None:
    path = answered(suite, tmp_path / "run.jsonl", lambda _: "ant")
    zero = Letters()
    zero.embed = lambda texts: np.zeros((len(texts), WIDTH), dtype=np.float32)  # type: ignore[method-assign]
    from introspect_bench.tasks.feature_descriptions.judges import Embedding

    judge_run(
        path,
        task=TASK,
        suite=suite,
        judges=[Simulating(Counting()), Embedding(zero, name="letters")],
    )
    with pytest.raises(IntegrityError, match="an embedding is zero"):
        scored(suite, path)
