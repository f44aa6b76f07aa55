"""Descriptions on the command line: run, judged at the end, judged later, scored, shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from program import Call, refused, succeeded
from tiny_features import NAME, QUALITY, judges

import introspect_bench as ib

pytestmark = pytest.mark.usefixtures("words")
RUN = ("run", "-m", "baseline/nearest-neighbour", "--suite", "words", "-t", NAME)
OUT = Path("runs") / f"baseline-nearest-neighbour.toy.{NAME}.test.jsonl"


def test_run_judges_and_scores_at_its_end(call: Call) -> None:
    code, out, err = call(*RUN)
    assert code == 0
    assert "matched AUROC" in out
    assert "9 queries answered" in out
    assert "asking exact-predicates/counting-v1@cdcdcdcdcdcd" in err
    assert len(ib.load(OUT).judgements) == 9
    before = OUT.read_bytes()
    assert call(*RUN)[0] == 0
    assert OUT.read_bytes() == before


def test_judging_can_be_left_for_later(call: Call) -> None:
    code, out, err = call(*RUN, "--no-judge")
    assert code == 0
    assert "AUROC" not in out
    assert f"not scored: {OUT}: 9 of 9 descriptions are not judged by exact-predicates/" in err
    assert f"run `introspect-bench judge {OUT}`" in refused(
        call("score", str(OUT), "--suite", "words"), 2
    )
    words = ("judge", str(OUT), "--suite", "words", "--judge", "exact-predicates", "--json")
    out = succeeded(call(*words))
    assert json.loads(out) == {"runs": [{"path": str(OUT), "judgements": 9}]}
    code, out, _ = call("judge", str(OUT), "--suite", "words")
    assert (code, out) == (0, f"{OUT}: 0 judgements appended\n")
    out = succeeded(call("score", str(OUT), "--suite", "words", "--details"))
    assert "by distance from train" in out
    assert "read by: grammar 100.0%, nearest 0.0%, none 0.0%" in out
    code, out, _ = call("judge", str(OUT), "--suite", "words", "--json")
    assert json.loads(out)["runs"][0]["judgements"] == 0


def test_scored_twice_is_the_same_bytes(call: Call) -> None:
    call(*RUN, "--no-score")
    first = call("score", str(OUT), "--suite", "words", "--json")
    assert first[0] == 0
    assert call("score", str(OUT), "--suite", "words", "--json") == first
    (result,) = json.loads(first[1])["results"]
    assert result["headline"] == "matched_auroc"
    assert result["descriptions"]["truncated"] == 0


def test_show_puts_a_description_beside_the_truth(call: Call) -> None:
    call(*RUN)
    out = succeeded(call("show", str(OUT), "--suite", "words"))
    head = ["id", "kind", "status", "matched_auroc", "truth", "answer"]
    assert out.splitlines()[0].split() == head
    key = sorted(ib.load(OUT).rows)[0]
    out = succeeded(call("show", f"{OUT}:{key}", "--suite", "words", "--json"))
    (row,) = json.loads(out)["queries"]
    assert "word:" in row["predicate"]
    assert row["truth"].startswith("the word '")
    assert -1 <= row["weighted_r"] <= 1
    assert row["mapped"] == "grammar"


def test_show_judge_says_how_good_it_is(call: Call) -> None:
    out = succeeded(call("show", "judge", "--suite", "words"))
    assert out.splitlines()[0] == "exact-predicates/counting-v1@cdcdcdcdcdcd"
    assert "auroc 0.950, r 0.900" in out
    out = succeeded(call("show", "judge", "--suite", "words", "--json"))
    assert json.loads(out) == {"judge": judges()[0].id, "headline": QUALITY}
    assert "--measure goes with" in refused(call("show", "some.jsonl", "--measure"), 2)


def test_simulate_refuses_what_it_cannot_judge(call: Call) -> None:
    assert "nowhere.jsonl" in refused(call("judge", "nowhere.jsonl"), 2)
    causal = ("run", "-m", "baseline/constant", "--suite", "toy", "-t", "activation-patching")
    call(*causal)
    path = next(Path("runs").glob("*patching*.jsonl"))
    assert "need no judge" in refused(call("judge", str(path), "--suite", "toy"), 2)
    code, _, err = call("judge", str(path), "--suite", "toy", "--judge", "reader")
    assert code == 2
    assert "reader" in err


def test_the_suite_verifies_and_every_change_is_found(call: Call, words: Path) -> None:
    out = succeeded(call("data", "verify", "--suite", "words"))
    assert NAME in out
    manifest = words / NAME / "v2" / "manifest.json"
    text = manifest.read_text()
    said = json.loads(text)["statistics"]["test"]["bigram"]["distinct"]
    manifest.write_text(text.replace(f'"distinct":{said}', f'"distinct":{said + 1}'))
    assert "distinct" in refused(call("data", "verify", "--suite", "words"), 4)


def test_an_edited_vector_is_another_query(call: Call, words: Path) -> None:
    import numpy as np
    from safetensors.numpy import load_file, save_file

    from introspect_bench.benchmark.suite.freeze import write_manifest

    root = words / NAME / "v2"
    path = root / "test" / "vectors.safetensors"
    tensors = load_file(path)
    tensors["vectors"][0] = np.float16(0.5)
    save_file(tensors, path)
    fields = json.loads((root / "manifest.json").read_text())
    for name in ("schema", "files", "data_sha256", "canary"):
        del fields[name]
    write_manifest(root, fields)
    assert "is not the hash of its query" in refused(call("data", "verify", "--suite", "words"), 4)


def test_a_dry_run_opens_no_judge(call: Call) -> None:
    out = succeeded(call(*RUN, "--dry-run", "--json"))
    (plan,) = json.loads(out)["plans"]
    assert plan["task"] == NAME
    assert plan["queries"] == 9
    assert 0 < plan["seconds"] < 3600  # the judge's time: a neighbour itself takes none
    silent = json.loads(call(*RUN, "--dry-run", "--no-judge", "--json")[1])
    assert silent["plans"][0]["seconds"] == 0
    assert not OUT.exists()
