"""A part of train held out: what both parts share, and that every verb takes the new suite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_reading import PATCHING, groups_of, make_reading_suite
from tiny_suites import make_suite_folder
from tiny_training import make_base, train

import introspect_bench as ib
from introspect_bench.__main__ import main
from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.freeze import measured
from introspect_bench.benchmark.suite.suite import Suite, open_suite
from introspect_bench.tasks.activation_patching.build.balance import nearest

VERSION = get_task(PATCHING).version


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """Groups of train: two of one text, and two, of other texts, that share a vector."""
    groups = groups_of("train", 30)
    groups[1] = [
        replace(m, fields={**m.fields, "text": groups[0][0].fields["text"]}) for m in groups[1]
    ]
    groups[3][0] = replace(groups[3][0], vector=groups[2][0].vector)
    return make_reading_suite(tmp_path_factory.mktemp("suites"), {"train": groups})


def held(suite: Suite, out: Path, n: int) -> Suite:
    ib.data_hold_out(str(suite.root.parents[1]), n, out)
    return open_suite(out / PATCHING / VERSION)


@pytest.mark.parametrize("n", [9, 20, 72])
def test_parts_share_no_text_and_no_vector(suite: Suite, tmp_path: Path, n: int) -> None:
    part = held(suite, tmp_path / "part", n)
    rest, ours = (measured(part, split) for split in ("train", "validation"))
    assert sum(map(len, ours)) == n - n % 4  # of 72 eight are of one text
    texts = [{one.fields["text"] for group in own for one in group} for own in (rest, ours)]
    assert not texts[0] & texts[1]
    stored = [{one.vector.tobytes() for g in own for one in g} for own in (rest, ours)]  # type: ignore[union-attr]
    assert not stored[0] & stored[1]
    told = part.manifest["held_out"]
    every = {query.id for query in suite.queries("train")}
    kept = {query.id for split in part.splits for query in part.queries(split)}
    assert kept <= every
    assert len(every - kept) == told["queries_left_out"] == (4 if n > 9 else 0)
    assert told["of"] == f"toy/{PATCHING}/{VERSION}"
    assert told["data_sha256"] == suite.data_sha256
    # every subject is of one group alone here
    assert told["shared"] == {
        "source_subjects": 0.0,
        "base_texts_as_sources": 0.0,
        "groups_with_a_subject": 0,
    }


def test_nearest_train_is_of_the_new_train(suite: Suite, tmp_path: Path) -> None:
    part = held(suite, tmp_path / "part", 8)
    table = part.vectors("train")
    queries = {split: part.queries(split) for split in part.splits}
    known = 0
    for query in queries["validation"]:
        own = [
            table[other.vector]
            for other in queries["train"]
            if (other.kind, other.fields["layers"]) == (query.kind, query.fields["layers"])
        ]
        found = part.truth("validation")[query.id].nearest_train
        if not own:
            assert found is None
            continue
        known += 1
        mine = part.vectors("validation")[query.vector][None]
        assert found == pytest.approx(float(nearest(mine, np.stack(own))[0]), abs=1e-5)
    assert known
    assert all(one.nearest_train is None for one in part.truth("train").values())


def test_shared_subjects_are_counted(tmp_path: Path) -> None:
    groups = groups_of("train", 5)
    named = [
        [replace(m, origin={**(m.origin or {}), "subject": f"Land {i // 3}"}) for m in group]
        for i, group in enumerate(groups)
    ]
    suite = make_reading_suite(tmp_path / "toy", {"train": named})
    part = held(suite, tmp_path / "part", 4)
    shared = part.manifest["held_out"]["shared"]
    assert shared["source_subjects"] == 1.0
    assert shared["groups_with_a_subject"] in (1, 2)


def test_every_verb_takes_the_new_suite(
    suite: Suite, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "part"
    words = ["data", "hold-out", str(suite.root.parents[1]), "-n", "8", "-o", str(out)]
    assert main([*words, "-t", PATCHING]) == 0
    assert "queries_left_out" in capfd.readouterr().out
    assert main([*words, "--json"]) == 2
    assert "exists; choose another -o" in capfd.readouterr().err
    assert main(["data", "verify", "--suite", str(out)]) == 0
    base = make_base(tmp_path / "base")
    folder = train(base, out, tmp_path / "explainer", epochs=1, n_train=8)
    (run,) = ib.run(str(folder), suite=str(out), split="validation", output=tmp_path / "runs")
    assert len(run.rows) == 8
    assert ib.score(run.path, suite=str(out))["suite"] == "toy-held-out"
    with pytest.raises(UsageError, match="has no split test: it was made with train, validation"):
        ib.run(str(folder), suite=str(out), split="test", output=tmp_path / "runs")


def test_what_cannot_be_held_out_is_refused(suite: Suite, tmp_path: Path) -> None:
    folder = str(suite.root.parents[1])
    with pytest.raises(UsageError, match="120 queries to hold out: train has 120"):
        ib.data_hold_out(folder, 120, tmp_path / "part")
    with pytest.raises(UsageError, match="no base text has so few queries"):
        ib.data_hold_out(folder, 3, tmp_path / "part")
    both = make_suite_folder(tmp_path / "toy")
    rows = ib.data_hold_out(str(both), 5, tmp_path / "two")
    assert [row["task"] for row in rows] == [PATCHING, "input-ablations"]
    for row in rows:
        part = open_suite(Path(row["path"]))
        part.verify()
        assert row["queries"] == {
            "train": row["queries"]["train"],
            "validation": 4 + (len(part.queries("validation")) == 5),
        }
