"""A learned scale: trained with the adapter, kept beside it, loaded with it and never without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_models import make_model, make_tokenizer
from tiny_suites import make_suite_folder
from tiny_training import make_base

import introspect_bench as ib
from introspect_bench.benchmark.backends.explainer.load import load_local
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.injection.learned import Learned
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError

PATCHING = "activation-patching"
LEARNED = "injection.safetensors"


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_suite_folder(tmp_path_factory.mktemp("suites") / "toy")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # as many layers as the toy queries' own layers need
    return make_base(tmp_path_factory.mktemp("base") / "base", num_hidden_layers=12)


@pytest.fixture(scope="module")
def trained(suites: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ib.train(
        str(base),
        tmp_path_factory.mktemp("trained") / "explainer",
        suite=str(suites),
        injection=Injection(mode="own-layers", scaling="learned", slots=3),
        batch_size=4,
        rank=2,
        learning_rate=0.02,
        precision="float32",
    )


def copy_of(folder: Path, to: Path) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (to / path.name).write_bytes(path.read_bytes())
    return to


def test_it_is_trained_saved_declared_and_run(suites: Path, trained: Path, tmp_path: Path) -> None:
    found = load_file(trained / LEARNED)
    assert set(found) == {"log_scale"}
    assert found["log_scale"].dtype == np.float32
    assert found["log_scale"].shape == (1,)
    assert float(found["log_scale"][0]) != 0.0
    declared = json.loads((trained / "explainer.json").read_text())["injection"]
    assert declared["scaling"] == "learned"
    assert declared["slots"] == 3
    explainer, card = load_local(str(trained))
    assert explainer.injector.log_scale is not None
    assert float(explainer.injector.log_scale.detach()) == float(found["log_scale"][0])
    assert LEARNED in card.weights_sha256
    assert card.settings["injection"] == declared
    (run,) = ib.run(
        str(trained), suite=str(suites), tasks=[PATCHING], split="mini", output=tmp_path / "runs"
    )
    assert run.header.explainer.settings["injection"] == declared


def test_it_is_refused_without_its_file(trained: Path, tmp_path: Path) -> None:
    folder = copy_of(trained, tmp_path / "copy")
    (folder / LEARNED).unlink()
    with pytest.raises(MissingPartError, match=LEARNED):
        load_local(str(folder))


def test_its_file_is_refused_without_it(trained: Path) -> None:
    with pytest.raises(UsageError, match="trained with a learned scale"):
        load_local(str(trained), injection=Injection(mode="own-layers"))


@pytest.mark.parametrize(
    "tensors",
    [
        {"log_scale": np.array([np.nan], dtype=np.float32)},
        {"log_scale": np.zeros(2, dtype=np.float32)},
        {"scale": np.zeros(1, dtype=np.float32)},
    ],
)
def test_a_file_that_holds_something_else_is_refused(
    trained: Path, tmp_path: Path, tensors: dict[str, Any]
) -> None:
    folder = copy_of(trained, tmp_path / "copy")
    save_file(tensors, folder / LEARNED)
    with pytest.raises(IntegrityError, match="one finite number"):
        load_local(str(folder))
    (folder / LEARNED).write_bytes(b"\x01")
    with pytest.raises(IntegrityError, match="cut off or corrupt"):
        load_local(str(folder))


def test_a_model_that_was_not_trained_with_it_cannot_have_it(base: Path) -> None:
    with pytest.raises(MissingPartError, match="declares a learned scale"):
        load_local(str(base), injection=Injection(scaling="learned"))
    tokenizer = make_tokenizer()
    model = make_model("llama", tokenizer)
    with pytest.raises(UsageError, match="trained with it"):
        LocalExplainer(model, tokenizer, injection=Injection(scaling="learned"))
    with pytest.raises(UsageError, match="leave --injection"):
        LocalExplainer(model, tokenizer, learned=Learned(log_scale=0.0))


def test_the_verbs_read_the_new_words(
    suites: Path, base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from introspect_bench.__main__ import main

    out = tmp_path / "one"
    words = ["train", "--base", str(base), "--suite", str(suites), "-o", str(out), "--rank", "2"]
    more = ["--task", PATCHING, "--n-train", "4", "--injection", "quoted-token"]
    assert main([*words, *more, "--scaling", "huge"]) == 2
    assert "raw, norm-matched, natural, learned" in capfd.readouterr().err
    assert main([*words, *more[:-1], "sideways"]) == 2
    assert main([*words, *more[:-1], "own-layers:3"]) == 2
    assert "takes no layer" in capfd.readouterr().err
    assert main([*words, *more[:-1], "own-layers", "--slots", "3", "--scaling", "raw"]) == 0
    declared = json.loads((out / "explainer.json").read_text())["injection"]
    assert declared == Injection(mode="own-layers", scaling="raw", slots=3).as_json()
