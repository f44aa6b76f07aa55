"""`data verify` computes again what manifests and files say; `data nulls` prints its nulls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_suites
from program import PATCHING, Call, refused, succeeded, the_sentence
from tiny_suites import make_suite

import introspect_bench as ib
from introspect_bench.benchmark.errors import CheckFailedError, IntegrityError
from introspect_bench.benchmark.files import read_json, write_json_atomic
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.freeze import write_manifest
from introspect_bench.tasks.nulls import command
from introspect_bench.tasks.nulls.command import check_nulls

VERIFY = ("data", "verify", "--suite", "toy")
ROOT = Path("toy") / PATCHING / get_task(PATCHING).version
MANIFEST = ROOT / "manifest.json"


def statistics(**changes: object) -> dict[str, Any]:
    """The manifest's statistics with other numbers for the test split."""
    found: dict[str, Any] = read_json(MANIFEST)["statistics"]
    found["test"] |= changes
    return found


def rewritten(split: str, part: str, **changes: object) -> None:
    """Change a row of a file and write the hashes of the suite again."""
    path = ROOT / split / f"{part}.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | changes), *rest]) + "\n")
    made = read_json(MANIFEST)
    write_manifest(ROOT, {k: v for k, v in made.items() if k not in ("files", "data_sha256")})


def test_a_sound_suite_passes_and_says_so(call: Call) -> None:
    out = succeeded(call(*VERIFY, "--json"))
    rows = json.loads(out)["suites"]
    assert [(row["task"], row["frozen"]) for row in rows] == [
        (PATCHING, True),
        ("input-ablations", True),
    ]
    assert rows == ib.data_verify("toy")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_only_ceiling", {"exact_match": 0.01, "content_match": 0.5, "verdict_accuracy": 1}),
        ("input_only_ceiling", {"exact_match": 0.5}),
        ("prior_exact_match", 0.01),
        ("share_changed", "half"),
        ("share_of_kind", 1),
        ("commonest_outcomes", {"Paris": 0.9}),
        ("distinct_outcomes", 99),
    ],
)
def test_statistics_that_the_files_do_not_give_are_exit_4(
    call: Call, name: str, value: object
) -> None:
    manifest = read_json(MANIFEST) | {"statistics": statistics(**{name: value})}
    write_json_atomic(MANIFEST, manifest)
    assert f"{MANIFEST}: field statistics.test.{name} is " in refused(call(*VERIFY), 4, out="")


def test_statistics_of_a_kind_are_compared_too(call: Call) -> None:
    own = statistics()["test"]
    by_kind = {"last-subject": own | {"share_changed": 0.25}}
    made = read_json(MANIFEST)
    write_json_atomic(MANIFEST, made | {"statistics": statistics(by_kind=by_kind)})
    assert "statistics.test.by_kind.last-subject.share_changed is 0.25" in refused(call(*VERIFY), 4)
    write_json_atomic(MANIFEST, made | {"statistics": statistics(by_kind={"last-subject": 0.25})})
    said = refused(call(*VERIFY), 4)
    assert "statistics.test.by_kind.last-subject is 0.25, its files give {" in said
    write_json_atomic(MANIFEST, made | {"statistics": statistics(by_kind={"last": own})})
    assert "statistics.test.by_kind is not about the kinds" in refused(call(*VERIFY), 4)


@pytest.mark.parametrize("canary", ["introspect-bench:canary:other", None])
def test_another_canary_is_exit_4(call: Call, canary: str | None) -> None:
    manifest = read_json(MANIFEST)
    del manifest["canary"]
    write_json_atomic(MANIFEST, manifest | ({"canary": canary} if canary else {}))
    assert f"{MANIFEST}: field canary is not" in refused(call(*VERIFY), 4)


def test_ids_are_hashes_of_their_queries(call: Call) -> None:
    rewritten("validation", "queries", kind="relation")
    sentence = refused(call(*VERIFY), 4)
    assert "validation/queries.jsonl: id " in sentence
    assert "is not the hash of its query" in sentence


def test_groups_are_hashes_of_their_ids(call: Call) -> None:
    path = ROOT / "train" / "queries.jsonl"
    group = json.loads(path.read_text().splitlines()[0])["group"]
    path.write_text(path.read_text().replace(f'"group":"{group}"', '"group":"0123456789abcdef"'))
    made = read_json(MANIFEST)
    write_manifest(ROOT, {k: v for k, v in made.items() if k not in ("files", "data_sha256")})
    assert "group 0123456789abcdef is not the hash of its ids" in refused(call(*VERIFY), 4)


def test_queries_nothing_can_be_counted_of_are_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = tiny_suites.FIELDS[PATCHING]

    def without_relation(split: str, group: int, member: int) -> dict[str, Any]:
        made = dict(fields(split, group, member))
        made["fields"] = {k: v for k, v in made["fields"].items() if k != "relation"}
        return made

    monkeypatch.setitem(tiny_suites.FIELDS, PATCHING, without_relation)
    monkeypatch.setattr(tiny_suites, "describe", lambda _: {})
    make_suite(here / "odd" / PATCHING / get_task(PATCHING).version, get_task(PATCHING))
    with pytest.raises(IntegrityError, match="no statistics can be made of its queries: KeyError"):
        ib.data_verify(str(here / "odd"))


def test_a_suite_for_other_prompts_is_refused(call: Call) -> None:
    write_json_atomic(MANIFEST, read_json(MANIFEST) | {"prompt_sha256": "0" * 64})
    assert f"{MANIFEST}: prompt_sha256 is" in refused(call(*VERIFY), 4)


def test_the_shipped_suites_pass() -> None:
    # descriptions have six files a split, and the predicates
    assert [row["files"] for row in ib.data_verify()] == [19, 12, 9]


def test_one_table_has_every_null_of_every_task(call: Call) -> None:
    out = succeeded(call("data", "nulls", "--suite", "toy"))
    head, *rows = out.splitlines()
    assert head.split() == [
        *("suite", "task", "access", "balanced_exact_match", "kind_mean", "null"),
    ]
    assert [row.split() for row in rows] == [
        ["toy", "activation-patching", "words", "10.0", "text"],
        ["toy", "input-ablations", "words", "10.0", "text"],
    ]
    out = succeeded(call("data", "nulls", "--suite", "toy", "-t", "input-ablations", "--json"))
    (row,) = json.loads(out)["nulls"]
    assert row["metrics"] == {"kind_mean": 0.1}


def test_markdown_is_for_data_cards(call: Call) -> None:
    out = succeeded(call("data", "nulls", "--suite", "toy", "-t", "input-ablations", "--markdown"))
    assert out.splitlines() == [
        "| null | access | kind_mean |",
        "|---|---|---:|",
        "| text | words | 10.0 |",
    ]


def test_a_suite_without_nulls_is_a_sentence(call: Call, here: Path) -> None:
    task = get_task("activation-patching")
    make_suite(here / "bare" / task.name / task.version, task, nulls={})
    assert "no suite here has nulls" in refused(call("data", "nulls", "--suite", "bare"), 2)


@pytest.mark.parametrize("fitted", [False, True])
def test_a_null_that_is_not_fitted_again_fails(
    call: Call, monkeypatch: pytest.MonkeyPatch, fitted: bool
) -> None:
    row = {"name": "text", "access": "words", "rule": "", "metrics": {"kind_mean": 0.1}}
    monkeypatch.setattr(command, "_refitted", lambda *_: [row] * fitted)
    words = ("data", "nulls", "--suite", "toy", "-t", "input-ablations", "--refit", "--json")
    code, out, err = call(*words)
    (found,) = json.loads(out)["nulls"]
    assert found["said"] == row["metrics"]
    assert code == (0 if fitted else 1)
    assert fitted or "null 'text' (words) is None, the manifest says 0.1" in the_sentence(err)


def test_features_alone_have_nothing_to_fit_again(call: Call) -> None:
    code, _, err = call(
        "data", "nulls", "--suite", "smollm2-135m", "-t", "feature-descriptions", "--refit"
    )
    assert code == 2
    assert "only nulls of causal tasks are fitted again" in the_sentence(err)


@pytest.mark.parametrize(("value", "fails"), [(0.105, False), (0.12, True), (None, True)])
def test_a_refit_that_scores_otherwise_fails(value: float | None, fails: bool) -> None:
    row = {"suite": "s", "task": "t", "version": "v", "name": "text", "access": "words"}
    rows = [row | {"metrics": {"kind_mean": value}, "said": {"kind_mean": 0.1}}]
    rows.append(row | {"metrics": {"kind_mean": 0.9}, "said": None})
    if not fails:
        check_nulls(rows)
        return
    with pytest.raises(CheckFailedError, match=r"the manifest says 0\.1"):
        check_nulls(rows)
