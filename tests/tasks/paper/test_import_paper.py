"""The published datasets become suites: what is read, what stays out, and what is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import tiny_published as published
from tokenizers.decoders import ByteLevel

import introspect_bench as ib
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.tasks.paper.build.convert import RowError, removed_span

PATCHING, ABLATIONS = "activation-patching", "input-ablations"
COMMIT = "85942b6" + "0" * 33


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTROSPECT_BENCH_CACHE", str(tmp_path / "cache"))


def imported(
    folder: Path, source: Path | None, task: str = PATCHING, **more: Any
) -> dict[str, Any]:
    options = {"target": "qwen3-8b", "source": source, "output": folder / "suites"} | more
    return ib.data_import("paper", task=task, **options)


def suite_of(found: dict[str, Any]) -> Suite:
    return open_suite(Path(found["path"]))


def write(folder: Path, test: list[Any], train: list[Any] | None = None, **more: Any) -> Path:
    schema = more.pop("schema", published.PATCHING)
    splits = {"test": test} if train is None else {"test": test, "train": train}
    return published.write_parquet(folder / "source", splits, schema)


def test_a_patch_is_read_as_it_was_published(tmp_path: Path) -> None:
    rows = [published.patching(n) for n in range(6)]
    found = imported(tmp_path, write(tmp_path, rows), splits=["test"])
    suite = suite_of(found)
    ((_, query),) = [
        (own["origin"]["row"], one)
        for one in suite.queries("test")
        if (own := suite.oracle("test")[one.id])["origin"]["row"] == 3
    ]
    tokens = rows[3]["input_tokens"]
    assert query.fields == {
        "text": ByteLevel().decode(tokens),
        "position": 5,
        "n_tokens": len(tokens),
        "token": " Paulo",
        "layers": [27, 35],
        "relation": "counterfact",
    }
    assert "São Paulo is<|im_end|>\n" in query.fields["text"]
    truth = suite.truth("test")[query.id]
    assert (truth.clean, truth.outcome, truth.changed) == ("P", " unknown", True)
    assert (truth.clean_ids, truth.outcome_ids, truth.margin) == (None, None, None)
    assert query.vector is not None
    expected = np.array(rows[3]["patch_position"]["intervention_vector"])
    assert (suite.vectors("test")[query.vector] == expected).all()
    # rows 0 to 3 are about one text, 4 and 5 about another
    groups = [one.group for one in suite.queries("test")]
    assert sorted(map(groups.count, set(groups))) == [2, 4]
    assert suite.splits == ("test",)
    assert suite.manifest["target"]["name"] == "qwen3-8b"
    with pytest.raises(UsageError, match="made with test alone, as an import"):
        suite.queries("train")


def test_a_hint_is_what_the_other_prompt_lacks(tmp_path: Path) -> None:
    source = write(tmp_path, [published.ablation(n) for n in range(4)], schema=published.ABLATIONS)
    suite = suite_of(imported(tmp_path, source, ABLATIONS, splits=["test"]))
    for query in suite.queries("test"):
        start, end = query.fields["span"]
        assert query.fields["text"][start:end] == query.fields["removed"] == "\nHint: B"
        assert query.fields["system"] == published.SYSTEM
    assert {one.clean for one in suite.truth("test").values()} == {"B"}
    assert [one.changed for one in suite.truth("test").values()].count(True) == 2


@pytest.mark.parametrize(
    ("shown", "without", "hint", "removed"),
    [
        ("Q A hint. A", "Q A", "A hint.", "A hint. "),
        ("Q hint", "Q ", "hint", "hint"),
        ("aa", "a", "", "a"),
    ],
)
def test_one_span(shown: str, without: str, hint: str, removed: str) -> None:
    start, end = removed_span(shown, without, hint)
    assert shown[start:end] == removed
    assert shown[:start] + shown[end:] == without


@pytest.mark.parametrize(
    ("shown", "without"), [("a", "a"), ("abc", "xb"), ("abcd", "bd"), ("a ", "a")]
)
def test_no_span(shown: str, without: str) -> None:
    with pytest.raises(RowError):
        removed_span(shown, without, "")


BAD: dict[str, dict[str, Any]] = {
    "no block of consecutive layers": {"layer": [1, 3]},
    "layer 36 of a target with 36": {"layer": [35, 36]},
    "layer is empty": {"layer": None},
    "is_different is False": {"ablated_continuation": ["x"]},
    "expected one token": {"original_continuation": ["P", "Q"]},
    "orig_pos is 99": {"place": {"orig_pos": 99}},
    "token 4 is 'Ã£o'": {"place": {"orig_pos": 4}},
    "more than float16 holds": {"place": {"intervention_vector": [7e4] * 4096}},
    "not 4096 finite numbers": {"place": {"intervention_vector": [1.0] * 4095}},
    "orig_pos is None": {"place": None},
}


def test_rows_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    rows = [published.patching(n) for n in range(2)]
    for changes in BAD.values():
        row = published.patching(10, **{k: v for k, v in changes.items() if k != "place"})
        place = changes.get("place", {})
        row["patch_position"] = None if place is None else row["patch_position"] | place
        rows.append(row)
    found = imported(tmp_path, write(tmp_path, rows), splits=["test"])
    assert found["imported"]["rows"]["test"] == {"rows": 12, "queries": 2, "unusable": len(BAD)}
    for number, (reason, one) in enumerate(zip(BAD, found["rejected"], strict=True), 2):
        assert (one["row"], reason in one["reason"]) == (number, True), one
    listed = [json.loads(line) for line in Path(found["rejected_file"]).read_text().splitlines()]
    assert listed == found["rejected"]


def test_repeated_and_contradicted_rows_stay_out(tmp_path: Path) -> None:
    other = published.patching(8)["input_tokens"]
    test = [
        *(published.patching(n) for n in range(4)),
        published.patching(2),  # again
        published.patching(3, ablated_continuation=["x"]),  # another outcome of the same query
        published.patching(8, place={"intervention_vector": published.vector(80)}),
        published.patching(9, input_tokens=other, original_continuation=["Q"]),  # another clean run
    ]
    train = [published.patching(1), published.patching(12)]  # the first is in test too
    found = imported(tmp_path, write(tmp_path, test, train))
    what = [(one["split"], one["row"], one["what"]) for one in found["rejected"]]
    assert what == [
        ("test", 3, "contradicted"),
        ("test", 4, "duplicate"),
        ("test", 5, "contradicted"),
        ("test", 6, "contradicted"),
        ("test", 7, "contradicted"),
        ("train", 0, "duplicate"),
    ]
    counts = found["imported"]["rows"]
    assert counts["test"] == {"rows": 8, "queries": 3, "contradicted": 4, "duplicate": 1}
    assert counts["train"] == {"rows": 2, "queries": 1, "duplicate": 1}
    assert ib.data_verify(str(tmp_path / "suites" / "paper-qwen3-8b"))[0]["frozen"] is False


def test_parquet_and_a_saved_dataset_give_the_same_suite(tmp_path: Path) -> None:
    rows = [published.patching(n) for n in range(3)]
    source = write(tmp_path, rows, [published.patching(20)])
    tables = {
        split: datasets.load_dataset(
            "parquet",
            data_files=str(source / "data" / f"{split}-*.parquet"),
            split="train",
            cache_dir=str(tmp_path / "other"),
        )
        for split in ("test", "train")
    }
    datasets.DatasetDict(tables).save_to_disk(tmp_path / "saved")
    one, other = (
        suite_of(imported(tmp_path / place.name, place)) for place in (source, tmp_path / "saved")
    )
    assert one.data_sha256 == other.data_sha256
    assert [*one.manifest["imported"]["files_sha256"]] != [
        *other.manifest["imported"]["files_sha256"]
    ]


def test_a_dataset_of_the_hub_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[Any] = []
    published.write_parquet(
        tmp_path / COMMIT, {"test": [published.patching(n) for n in range(2)]}, published.PATCHING
    )

    def snapshot(name: str, **options: Any) -> str:
        asked.append((name, options))
        return str(tmp_path / COMMIT)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    found = imported(tmp_path, None, splits=["test"], revision="main")
    said = {
        "repo_type": "dataset",
        "revision": "main",
        "allow_patterns": ["data/test-*.parquet"],
        "local_dir": None,
    }
    assert asked == [("Transluce/act_patch_qwen3_8b_counterfact", said)]
    assert suite_of(found).manifest["imported"]["revision"] == COMMIT


def test_positions_that_count_a_token_in_front(tmp_path: Path) -> None:
    """Of a target whose tokenizer puts one there, and a list of tokens without it."""
    rows = [
        published.patching(n, layer=[8, 9], place={"orig_pos": 6}, original_continuation=["P"])
        for n in range(2)
    ]
    suite = suite_of(
        imported(tmp_path, write(tmp_path, rows), target="llama-3.1-8b", splits=["test"])
    )
    (fields, _) = (query.fields for query in suite.queries("test"))
    assert (fields["position"], fields["n_tokens"], fields["token"]) == (6, 10, " Paulo")
    assert suite.manifest["imported"]["position_offset"] == 1


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [("layer", None, "missing"), ("is_different", "string", "text, not true or false")],
)
def test_columns_are_checked(tmp_path: Path, name: str, kind: str | None, said: str) -> None:
    import pyarrow

    schema, row = published.PATCHING, published.patching(0)
    place = schema.get_field_index(name)
    schema = schema.remove(place)
    del row[name]
    if kind:
        schema = schema.insert(place, pyarrow.field(name, pyarrow.string()))
        row[name] = "no"
    source = write(tmp_path, [row], schema=schema)
    with pytest.raises(IntegrityError, match=rf"source, test: column {name}: {said}"):
        imported(tmp_path, source, splits=["test"])


def test_what_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path, [published.patching(0)])
    with pytest.raises(UsageError, match="--revision is of the hub"):
        imported(tmp_path, source, revision="main")
    with pytest.raises(UsageError, match="unknown target 'gpt'"):
        imported(tmp_path, source, target="gpt")
    with pytest.raises(UsageError, match="unknown task 'feature-descriptions'"):
        imported(tmp_path, source, "feature-descriptions")
    with pytest.raises(MissingPartError, match="has no split train"):
        imported(tmp_path, source)
    (source / "data" / "test-00000-of-00001.parquet").write_bytes(b"no parquet")
    with pytest.raises(IntegrityError, match="not a readable dataset"):
        imported(tmp_path, source, splits=["test"])


def test_a_suite_that_is_there_stays(tmp_path: Path) -> None:
    source = write(tmp_path, [published.patching(0)])
    imported(tmp_path, source, splits=["test"])
    with pytest.raises(UsageError, match="exists; choose another --output"):
        imported(tmp_path, source, splits=["test"])


def test_a_dataset_of_bad_rows_is_none(tmp_path: Path) -> None:
    source = write(tmp_path, [published.patching(0, layer=[99])])
    with pytest.raises(IntegrityError, match=r"no row of test can be used, see .*rejected\.jsonl"):
        imported(tmp_path, source, splits=["test"])
