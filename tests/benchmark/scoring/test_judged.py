"""Scores of descriptions: worked out by hand, forged, missing, and judged by a stranger."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tiny_descriptions import TASK, answered, edit, judged, scored, truth_of
from tiny_features import WORDS, Counting, make_feature_suite

from introspect_bench.benchmark.errors import IntegrityError, UsageError
from introspect_bench.benchmark.files import canonical_json
from introspect_bench.benchmark.runs.run import encode_line, read_run
from introspect_bench.benchmark.scoring.judged import NotJudgedError, grade_descriptions
from introspect_bench.benchmark.suite.features import arrays
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.tasks.feature_descriptions.judge.run import judge_run


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("features") / "v2"
    make_feature_suite(root)
    return root


@pytest.fixture
def suite(frozen: Path, tmp_path: Path) -> Suite:
    return open_suite(Path(shutil.copytree(frozen, tmp_path / "suite")))


def value(result: dict[str, Any], name: str) -> float:
    return float(result["overall"]["metrics"][name]["value"])


def test_the_reference_itself_is_right(suite: Suite, tmp_path: Path) -> None:
    result = scored(suite, judged(suite, tmp_path / "run.jsonl", truth_of(suite)))
    assert value(result, "matched_auroc") == 1
    assert value(result, "weighted_r") == pytest.approx(1, abs=1e-6)
    assert result["counts"] == {"queries": 9, "scored": 9, "unparsed": 0, "missing": 0}
    assert result["overall"]["n"] == 6  # features of the token are apart
    assert set(result["by_kind"]) == {"bigram", "context-token", "token"}
    assert result["by_kind"]["token"]["metrics"]["matched_auroc"]["value"] is None
    assert result["by_kind"]["token"]["metrics"]["weighted_r"]["value"] == 1
    assert set(result["by_layers"]) == {"00", "01"}
    assert sum(part["n"] for part in result["by_distance"].values()) == 9
    assert result["descriptions"]["mapped"] == {"grammar": 1, "nearest": 0, "none": 0}


def test_numbers_are_those_of_other_libraries(suite: Suite, tmp_path: Path) -> None:
    path = judged(suite, tmp_path / "run.jsonl", lambda _: f"{WORDS[0]} after {WORDS[1]}")
    graded = grade_descriptions(read_run(path), TASK, suite)
    own = arrays(suite, "test", "activations") | arrays(suite, "test", "windows")
    seen = 0
    for row, one in enumerate(graded):
        guess = Counting().predict([f"{WORDS[0]} {WORDS[1]}"], own["ids"][row : row + 1])[0]
        kept = own["marks"][row] < 0
        expected = np.cov(
            own["activations"][row][kept].astype(float).ravel(),
            guess[kept].astype(float).ravel(),
            aweights=np.repeat(own["weights"][row][kept].astype(float), 32),
            ddof=0,
        )
        scale = np.sqrt(expected[0, 0] * expected[1, 1])
        r = expected[0, 1] / scale if scale else 0
        assert one.found.weighted_r == pytest.approx(r, abs=1e-6)
        if one.query.kind != "token":  # one group of four strong and four silent marks
            at = guess[np.flatnonzero(~kept), own["marks"][row][~kept]]
            area = roc_auc_score(own["strong"][row][~kept], at)
            assert one.found.matched_auroc == pytest.approx(2 * area - 1, abs=1e-6)
            seen += 1
    assert seen == 6


def test_naming_the_token_alone_is_nothing_but_follows_it(suite: Suite, tmp_path: Path) -> None:
    truth = suite.feature_truth("test")

    def token(prompt: Any) -> str:
        return truth[prompt.query.id].descriptions[0].split(" two ")[0]

    result = scored(suite, judged(suite, tmp_path / "run.jsonl", token))
    assert value(result, "matched_auroc") == 0
    assert 0.1 < value(result, "weighted_r") < 0.9


def test_the_sign_counts(suite: Suite, tmp_path: Path) -> None:
    truth = suite.feature_truth("test")

    class Opposite(Counting):
        def predict(self, descriptions: Any, windows: Any) -> Any:
            return 9 - super().predict(descriptions, windows)

    path = answered(suite, tmp_path / "run.jsonl", lambda p: truth[p.query.id].descriptions[0])
    judge_run(path, task=TASK, suite=suite, judges=[Opposite()])
    result = scored(suite, path)
    assert value(result, "matched_auroc") == -1
    assert value(result, "weighted_r") == pytest.approx(-1, abs=1e-6)


def test_constant_predictions_are_nothing(suite: Suite, tmp_path: Path) -> None:
    result = scored(suite, judged(suite, tmp_path / "run.jsonl", lambda _: "every token"))
    assert [value(result, name) for name in TASK.metrics] == [0, 0]
    assert result["descriptions"]["mapped"] == {"grammar": 0, "nearest": 0, "none": 1}


def test_other_judges_are_shown_and_rank_nobody(suite: Suite, tmp_path: Path) -> None:
    path = judged(suite, tmp_path / "run.jsonl", truth_of(suite))
    alone = scored(suite, path)
    other = Counting("simulator")
    judge_run(path, task=TASK, suite=suite, judges=[other])
    result = scored(suite, path)
    assert result["overall"] == alone["overall"]
    shown = result["descriptions"]["judges"][other.id]
    assert shown["matched_auroc"]["value"] == 1
    assert alone["descriptions"]["judges"] == {}


def test_no_answer_is_wrong_in_every_metric_and_counted(suite: Suite, tmp_path: Path) -> None:
    truth = truth_of(suite)
    first = next(query.id for query in suite.queries("test") if query.kind == "bigram")
    path = judged(
        suite, tmp_path / "run.jsonl", lambda p: " \n\n" if p.query.id == first else truth(p)
    )
    run = read_run(path)
    assert len(run.judgements) == 8
    graded = next(g for g in grade_descriptions(run, TASK, suite) if g.query.id == first)
    assert (graded.found.matched_auroc, graded.found.weighted_r, graded.mapped) == (0, 0, None)
    assert graded.status == "unparsed"
    result = scored(suite, path)
    assert result["counts"]["unparsed"] == 1
    assert value(result, "matched_auroc") == pytest.approx(5 / 6, abs=1e-6)


def test_all_unparsed_is_zero_without_any_judge(suite: Suite, tmp_path: Path) -> None:
    result = scored(suite, answered(suite, tmp_path / "run.jsonl", lambda _: ""))
    assert [value(result, name) for name in TASK.metrics] == [0, 0]
    assert result["descriptions"] == {
        "mean_characters": None,
        "distinct": 0,
        "truncated": 0,
        "mapped": None,
        "judges": {},
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
    message = (
        r"9 of 9 descriptions are not judged by exact-predicates/.*run `introspect-bench judge"
    )
    with pytest.raises(NotJudgedError, match=message):
        scored(suite, path)


def test_another_judge_does_not_count_and_is_named(suite: Suite, tmp_path: Path) -> None:
    path = answered(suite, tmp_path / "run.jsonl", truth_of(suite))
    stranger = Counting()
    stranger.sha256 = "00" * 32
    judge_run(path, task=TASK, suite=suite, judges=[stranger])
    with pytest.raises(
        NotJudgedError, match="it has those of exact-predicates/counting-v1@000000000000"
    ):
        scored(suite, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.update(text="the word 'gnu' indeed"), "judged another text"),
        (
            lambda row: row.update(predicted=base64.b64encode(bytes(5)).decode()),
            "5 bytes, expected 512",
        ),
        (lambda row: row.pop("predicted"), "predicted is not text"),
        (lambda row: row.pop("mapped"), "field mapped is missing"),
        (lambda row: row.update(mapped="guess"), "field mapped is not one of"),
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
