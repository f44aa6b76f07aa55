"""Making whole tiny suites on a random target: the same bytes every time, or no suite at all."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_builds import (
    SIZES,
    TASKS,
    load,
    load_rounded,
    made_once,
    make_all,
    order,
    quiet,
)

import introspect_bench
from introspect_bench.benchmark.backends.interventions import trace as interventions
from introspect_bench.benchmark.backends.models.target_model import TargetModel
from introspect_bench.benchmark.cache import sole_writer
from introspect_bench.benchmark.errors import CheckFailedError, UsageError
from introspect_bench.benchmark.files import write_jsonl_atomic
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.suite.suite import open_suite
from introspect_bench.tasks.build import make
from introspect_bench.tasks.build.make import make_suite
from introspect_bench.tasks.build.order import NotFrozenError, Order, mini_ids
from introspect_bench.tasks.input_ablations.build import build as ablations
from introspect_bench.tasks.nulls import run as nulls

pytestmark = pytest.mark.usefixtures("small_world")


class Killed(BaseException):
    """The process ends here."""


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def resumed(made: dict[str, Path], folder: Path, task: str, **changes: Any) -> Order:
    """An order all of whose measurements are there already."""
    shutil.copytree(made[task].parents[1] / "work" / task, folder / "work" / task)
    (folder / task).mkdir()
    return order(task, folder, **changes)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What each build reported, in order."""
    return made_once(tmp_path_factory.getbasetemp() / "made")[1]


@pytest.mark.parametrize("task", TASKS)
def test_the_same_order_gives_the_same_bytes(
    made: dict[str, Path], tmp_path: Path, task: str
) -> None:
    assert contents(make_all(task, tmp_path)) == contents(made[task])


@pytest.mark.parametrize("task", TASKS)
def test_killed_and_resumed_gives_the_same_bytes(
    made: dict[str, Path], stages: dict[str, list[str]], tmp_path: Path, task: str
) -> None:
    """Killed at once, twice on the way, and, if it reports again what it knows, near the end."""
    killed = 0
    for share in (0.0, 0.3, 0.7, 0.98):
        last = int(share * len(stages[task]))
        seen: list[str] = []

        def kill(stage: str, _n: int, last: int = last, seen: list[str] = seen) -> None:
            seen.append(stage)
            if len(seen) > last:
                raise Killed

        try:
            make_all(task, tmp_path, kill)
        except Killed:
            killed += 1
            assert not order(task, tmp_path).out.exists()
        else:
            break
    else:
        make_all(task, tmp_path)
    # only stability of ablations does not report again what it knows
    assert killed == 4 if task == "activation-patching" else killed >= 3
    assert contents(order(task, tmp_path).out) == contents(made[task])


@pytest.mark.parametrize("task", TASKS)
def test_a_resumed_build_measures_nothing_twice(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    again = resumed(made, tmp_path, task)
    target = load()
    monkeypatch.setattr(make, "_doctor", lambda _: open_suite(made[task]).manifest["doctor"])

    def forward(*_inputs: object, **_named: object) -> None:
        raise Killed

    target.model.forward = forward
    make_suite(again, lambda: target, lambda: target, quiet)
    assert contents(again.out) == contents(made[task])


def test_another_seed_gives_other_queries(made: dict[str, Path], tmp_path: Path) -> None:
    task = "activation-patching"
    (tmp_path / task).mkdir()
    make_suite(order(task, tmp_path, seed=1), load, load_rounded, quiet)
    other, own = open_suite(order(task, tmp_path).out), open_suite(made[task])
    assert other.manifest["seed"] == 1
    assert {q.id for q in other.queries("train")} != {q.id for q in own.queries("train")}


def test_missed_bars_refuse_to_freeze(made: dict[str, Path], tmp_path: Path) -> None:
    task = "activation-patching"
    strict = resumed(made, tmp_path, task, draft=False)
    with pytest.raises(NotFrozenError) as caught:
        make_suite(strict, load, load_rounded, quiet)
    assert caught.value.exit_code == 1
    assert caught.value.statistics == open_suite(made[task]).manifest["statistics"]
    for part in (
        "not frozen, bars missed",
        "train: queries is 16, allowed 6000 to inf",
        "validation: queries is ",
        "test: distinct_outcomes is ",
        "share_commonest_outcome is ",
    ):
        assert part in str(caught.value)
    assert not strict.out.exists()
    assert not list(strict.out.parent.glob("*.partial"))


def test_missed_bars_can_be_accepted(made: dict[str, Path], tmp_path: Path) -> None:
    task = "activation-patching"
    wanted = resumed(made, tmp_path, task, draft=False, accept_misses=True)
    make_suite(wanted, load, load_rounded, quiet)
    manifest = open_suite(wanted.out).manifest
    assert manifest["frozen"] is True
    assert "train: queries is 16, allowed 6000 to inf." in manifest["bars_missed"]
    assert manifest["statistics"] == open_suite(made[task]).manifest["statistics"]
    assert open_suite(made[task]).manifest["bars_missed"] == manifest["bars_missed"]
    assert open_suite(made[task]).frozen is False  # a draft is none, whatever it misses


@pytest.mark.parametrize("task", TASKS)
def test_nulls_are_fitted_and_their_bars_checked(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr(nulls, "missed_bars", lambda task, rows: [f"{task} has {len(rows)}"])
    wanted = resumed(made, tmp_path, task, nulls=True)
    make_suite(wanted, load, load_rounded, quiet)
    manifest = open_suite(wanted.out).manifest
    assert set(manifest["nulls"]) == {"validation", "test"}
    rows = manifest["nulls"]["test"]
    headline = get_task(task).headline
    assert all(headline in row["metrics"] for row in rows)
    assert {"words", "runs-target"} <= {row["access"] for row in rows}
    assert f"test: {task} has {len(rows)}." in manifest["bars_missed"]


def test_bars_of_kinds_are_named_with_their_kind(made: dict[str, Path]) -> None:
    statistics = open_suite(made["input-ablations"]).manifest["statistics"]["test"]
    found = make._misses(ablations, "test", statistics, ablations.SIZES)
    assert "word queries is 4, allowed 150 to inf" in found
    assert f"queries is {statistics['queries']}, allowed 1000 to inf" in found
    assert "demonstration has no query" in found  # else its bars would be cleared by nothing
    small = make._misses(ablations, "test", statistics, SIZES["input-ablations"])
    assert [one for one in found if one not in small] == ["demonstration has no query"]


def test_an_existing_suite_is_never_rewritten(made: dict[str, Path]) -> None:
    task = "activation-patching"
    before = contents(made[task])
    with pytest.raises(UsageError, match="exists: frozen suites are never rewritten"):
        make_suite(order(task, made[task].parents[1]), load, load_rounded, quiet)
    assert contents(made[task]) == before


def test_a_second_build_of_the_same_suite_is_refused(tmp_path: Path) -> None:
    task = "activation-patching"
    wanted = order(task, tmp_path)

    def never() -> TargetModel:
        raise Killed

    with (
        sole_writer(wanted.work),
        pytest.raises(UsageError, match="another process is building this suite"),
    ):
        make_suite(wanted, never, never, quiet)


@pytest.mark.parametrize("task", TASKS)
def test_the_manifest_says_what_measured_it(made: dict[str, Path], task: str) -> None:
    assert open_suite(made[task]).manifest["builder"] == {
        "package": "introspect-bench",
        "version": introspect_bench.__version__,
        "build": {"activation-patching": 2, "input-ablations": ablations.BUILD}[task],
        "device": "cpu",
    }


def test_an_unknown_task_cannot_be_built(tmp_path: Path) -> None:
    unknown = replace(order("activation-patching", tmp_path), task="poetry")
    with pytest.raises(UsageError, match="'poetry' cannot be built"):
        make_suite(unknown, load, load_rounded, quiet)


def test_broken_interventions_make_no_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = interventions.patched_forward

    def silent(target: TargetModel, inputs: Any, branches: Any, columns: Any) -> Any:
        plain = [interventions.Branch(ids=branch.ids) for branch in branches]
        return sound(target, inputs, plain, columns)

    monkeypatch.setattr(interventions, "patched_forward", silent)
    with pytest.raises(CheckFailedError, match="self-tests failed on this target: random-patch"):
        make_suite(order("activation-patching", tmp_path), load, load_rounded, quiet)


def test_mini_takes_groups_of_each_kind_in_turn(tmp_path: Path) -> None:
    rows = [
        {"id": f"{kind}{g:02}{m}", "group": f"{kind}{g:02}", "kind": kind}
        for kind, n in (("a", 20), ("b", 2))
        for g in range(n)
        for m in range(4)
    ]
    write_jsonl_atomic(tmp_path / "q.jsonl", rows)
    groups = {key[:-1] for key in mini_ids(tmp_path / "q.jsonl")}
    assert sorted(groups) == ["a00", "a01", "a02", "a03", "a04", "a05", "b00", "b01"]
    assert len(mini_ids(tmp_path / "q.jsonl")) == 32
