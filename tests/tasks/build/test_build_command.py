"""Names and folders of a suite in the making, and the doctor, on a tiny model in a folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from program import the_sentence
from tiny_models import D_MODEL, N_LAYERS, make_model, make_tokenizer
from told import Told

from introspect_bench.__main__ import main
from introspect_bench.benchmark.backends.interventions import selftests
from introspect_bench.benchmark.backends.models import target_model
from introspect_bench.benchmark.errors import MissingPartError, UsageError
from introspect_bench.benchmark.registry import get_task
from introspect_bench.commands.data import flat
from introspect_bench.tasks.build import command as making
from introspect_bench.tasks.build import make
from introspect_bench.tasks.build.command import make_data
from introspect_bench.tasks.build.order import NotFrozenError, Order
from introspect_bench.tasks.input_ablations.build import build as ablations

TASK = "input-ablations"
LOAD = making._load


def save_model(folder: Path, *, seed: int) -> Path:
    tokenizer = make_tokenizer()
    make_model("llama", tokenizer, seed=seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "Tiny", seed=0)


class Maker:
    """Stands in for the measuring, which takes hours."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.models: list[Any] = []

    def __call__(
        self,
        order: Order,
        load: Callable[[], Any],
        load_rounded: Callable[[], Any],
        report: Callable[[str, int], None],
        _encoder: Callable[[], Any],
    ) -> dict[str, Any]:
        self.orders.append(order)
        self.models += [load(), load_rounded()]
        report("first", 2)
        report("second", 1)
        report("first", 3)
        return {"statistics": {"test": {"n": 4, "share": {"changed": 0.123456}}}}


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Maker:
    monkeypatch.setenv("INTROSPECT_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    found = Maker()
    monkeypatch.setattr(making, "make_suite", found)
    return found


def test_a_suite_is_made_where_run_finds_it(
    model_folder: Path, maker: Maker, tmp_path: Path
) -> None:
    told = Told()
    where, _ = make_data(str(model_folder), TASK, progress=told)
    (order,) = maker.orders
    assert where == order.out == Path("suites") / "tiny" / TASK / get_task(TASK).version
    assert where.parent.is_dir()
    assert tmp_path / "cache" in order.work.parents
    assert order.target["weights_sha256"].keys() == {"model.safetensors"}
    assert (order.target["d_model"], order.target["n_layers"]) == (D_MODEL, N_LAYERS)
    assert told.steps == [("first", 2, None), ("second", 1, None), ("first", 5, None)]


def test_the_second_model_has_rounded_weights(model_folder: Path, maker: Maker) -> None:
    make_data(str(model_folder), TASK)
    plain, rounded = (next(m.model.parameters()) for m in maker.models)
    assert plain.dtype == rounded.dtype
    assert not plain.equal(rounded)
    assert plain.bfloat16().equal(rounded.bfloat16())


def test_another_seed_task_or_weights_goes_on_from_nothing(
    model_folder: Path, maker: Maker, tmp_path: Path
) -> None:
    other = save_model(tmp_path / "Tiny", seed=1)
    make_data(str(model_folder), TASK)
    make_data(str(model_folder), TASK)
    make_data(str(model_folder), TASK, seed=1)
    make_data(str(model_folder), "activation-patching")
    make_data(str(other), TASK)
    works = [order.work for order in maker.orders]
    assert works[0] == works[1]
    assert len(set(works)) == 4


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (ablations, "BUILD", 3),
        (making, "FACTS_SHA256", "0" * 64),
    ],
)
def test_what_measures_tells_folders_of_journals_apart(
    model_folder: Path,
    maker: Maker,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
    value: object,
) -> None:
    """Rows measured by other code, from other facts, are never used again."""
    make_data(str(model_folder), TASK)
    monkeypatch.setattr(module, name, value)
    make_data(str(model_folder), TASK)
    first, second = (order.work for order in maker.orders)
    assert first != second


def test_a_release_or_another_name_of_the_target_keeps_the_folder(
    model_folder: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither changes what is measured: a build of hours is not begun again for them."""
    described = making.describe
    make_data(str(model_folder), TASK)
    monkeypatch.setattr(make, "__version__", "99.0")
    monkeypatch.setattr(
        making, "describe", lambda *args: {**described(*args), "licence": "another"}
    )
    make_data(str(model_folder), TASK)
    first, second = (order.work for order in maker.orders)
    assert first == second


def test_another_device_goes_on_from_nothing(
    model_folder: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "_check_device", lambda _: None)
    monkeypatch.setattr(making, "_load", lambda folder, _: LOAD(folder, "cpu"))
    make_data(str(model_folder), TASK)
    make_data(str(model_folder), TASK, device="cuda")
    first, second = maker.orders
    assert (first.device, second.device) == ("cpu", "cuda")
    assert first.work != second.work


def test_a_device_is_refused_before_anything_is_downloaded(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "prepare_target", None)
    with pytest.raises(UsageError, match="unknown device 'foo'"):
        make_data("smollm2-135m", TASK, device="foo")
    assert maker.orders == []


def test_a_place_that_cannot_be_made_is_exit_3(
    model_folder: Path, maker: Maker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = ("data", "make", "--target", str(model_folder), "-t", TASK, "-o")
    assert main((*words, str(tmp_path / "file" / "suites"))) == 3
    assert f"cannot write {tmp_path / 'file'}" in the_sentence(capfd.readouterr().err)
    assert maker.orders == []


def test_a_model_without_a_tokenizer_makes_no_suite(
    model_folder: Path, maker: Maker, tmp_path: Path
) -> None:
    bare = Path(shutil.copytree(model_folder, tmp_path / "bare"))
    (bare / "tokenizer.json").unlink()
    with pytest.raises(MissingPartError, match=r"holds no tokenizer\.json"):
        make_data(str(bare), TASK)
    assert maker.orders == []


def test_a_hub_model_without_a_commit_makes_no_suite(maker: Maker) -> None:
    with pytest.raises(UsageError, match="not pinned"):
        make_data("org/model", TASK)
    assert maker.orders == []


@pytest.mark.usefixtures("maker")
def test_the_verb_prints_the_statistics(
    model_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("data", "make", "--target", str(model_folder), "--task", TASK)
    assert main(words) == 0
    out = capfd.readouterr().out
    assert "share.changed  0.123" in out
    assert out.splitlines()[-1] == f"suites/tiny/{TASK}/{get_task(TASK).version}"
    assert main((*words, "--json")) == 0
    assert json.loads(capfd.readouterr().out)["statistics"]["test"]["n"] == 4


@pytest.mark.usefixtures("maker")
def test_a_refused_suite_shows_its_statistics(
    model_folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise NotFrozenError(
            "not frozen, bars missed: test: n is 4, allowed 5 to inf",
            statistics={"test": {"n": 4, "share": {"changed": 0.123456}}},
        )

    monkeypatch.setattr(making, "make_suite", refuse)
    words = ("data", "make", "--target", str(model_folder), "--task", TASK)
    assert main(words) == 1
    out, err = capfd.readouterr()
    assert "share.changed  0.123" in out
    assert f"suites/tiny/{TASK}" not in out
    assert "bars missed: test: n is 4, allowed 5 to inf" in the_sentence(err)
    assert main((*words, "--json")) == 1
    shown = json.loads(capfd.readouterr().out)
    assert (shown["path"], shown["statistics"]["test"]["n"]) == (None, 4)


def test_nested_statistics_are_flat() -> None:
    assert list(flat({"a": 1, "b": {"c": 0.25, "d": {"e": None}}})) == [
        ("a", "1"),
        ("b.c", "0.250"),
        ("b.d.e", "None"),
    ]


def test_the_doctor_passes_a_sound_model(
    model_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(("doctor", "--target", str(model_folder), "--json")) == 0
    checks = json.loads(capfd.readouterr().out)["checks"]
    assert len(checks) == 9
    assert all(check["passed"] for check in checks)


def test_the_doctor_fails_if_one_check_does(
    model_folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = selftests.Check(name="good-one", passed=True, detail="found all")
    bad = selftests.Check(name="bad-one", passed=False, detail="found nothing")
    monkeypatch.setattr(selftests, "check_model", lambda _: [good, bad])
    assert main(("doctor", "--target", str(model_folder))) == 1
    out, err = capfd.readouterr()
    assert "FAIL     bad-one" in out
    assert "1 of 2 checks failed" in err
    assert err.splitlines()[-1].endswith(": bad-one")


def test_a_fresh_test_is_measured_with_a_flat_head(
    model_folder: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flat: list[Any] = []
    monkeypatch.setattr(target_model, "with_flat_head", flat.append)
    monkeypatch.setattr(making, "_public", lambda *_: SimpleNamespace(root=tmp_path))
    monkeypatch.setattr(making, "_check_target", lambda *_: None)
    make_data(str(model_folder), TASK)
    assert not flat  # frozen suites stay as they are
    make_data(str(model_folder), TASK, seed=1, fresh_of="tiny")
    assert [id(one) for one in flat] == [id(one) for one in maker.models[2:]]
