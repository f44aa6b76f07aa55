"""Reference explainers: recipes, what they are trained into, and weights that ship."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_reading import make_reading_suite
from tiny_training import make_base

import introspect_bench as ib
from introspect_bench.__main__ import main
from introspect_bench.baselines import recipes as references
from introspect_bench.baselines import train_recipes
from introspect_bench.baselines.recipes import (
    CHOSEN,
    MAIN,
    REFERENCES,
    STUDY,
    find_reference,
    reference_folder,
)
from introspect_bench.benchmark.errors import MissingPartError, UsageError
from introspect_bench.benchmark.export.tables import markdown
from introspect_bench.benchmark.files import canonical_json
from introspect_bench.leaderboard.verification.rerun import Recheck, request_again

PATCHING = "activation-patching"


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suites") / "toy"
    make_reading_suite(folder)
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # as many layers as the toy queries' own layers need
    return make_base(tmp_path_factory.mktemp("base") / "base", num_hidden_layers=12)


def made(base: Path, suites: Path, out: Path, *names: str, **more: Any) -> Any:
    settings = {"rank": 2, "batch_size": 4, "precision": "float32"}
    return ib.train_recipes(
        names,
        out,
        base=str(base),
        suite=str(suites),
        split="test",
        n_train=8,
        settings=settings,
        **more,
    )


def test_names_are_unique_and_controls_differ_in_one_thing() -> None:
    names = [spec.name for spec in REFERENCES]
    assert len(set(names)) == len(names)
    selves = [spec for spec in MAIN if spec.role == "self"]
    for spec in MAIN:
        if spec.role == "control":
            (own,) = (
                one for one in selves if (one.injection, one.tasks) == (spec.injection, spec.tasks)
            )
            other = {k for k, v in spec.training.items() if own.training.get(k) != v}
            other -= {"learning_rate"}
            assert set(own.training) <= set(spec.training)
            assert spec.no_vector != (bool(other) or spec.base != own.base)


def test_cells_of_the_study_are_unlike_and_have_a_control_each() -> None:
    assert len(STUDY) >= 6
    recipes = {canonical_json([repr(one.injection), repr(one.training)]) for one in STUDY}
    assert len(recipes) == len(STUDY)
    for cell in STUDY:
        blind = find_reference(f"{cell.name}-no-vector")
        assert blind.no_vector
        assert not cell.no_vector
        assert (blind.injection, blind.training) == (cell.injection, cell.training)
        assert blind not in REFERENCES
    with pytest.raises(UsageError, match="unknown reference"):
        find_reference("smollm2-replay-no-vector-no-vector")


@pytest.mark.parametrize("cell", STUDY, ids=lambda cell: cell.name)
def test_the_board_takes_the_recipe_of_one_cell(cell: references.ReferenceSpec) -> None:
    own, blind, *others = references._main(cell.name)
    assert own.injection == cell.injection
    assert blind.training == own.training
    for other in others:
        assert other.training["projection"] == cell.training.get("projection", "aligned")
        assert other.training.get("reading") == own.training.get("reading")
        assert other.tasks == own.tasks
    assert [one for one in MAIN if one.name == "smollm2-self"] == [references._main(CHOSEN)[0]]


def test_recipes_are_trained_asked_and_left_alone_when_done(
    suites: Path, base: Path, tmp_path: Path
) -> None:
    names = ("smollm2-self", "smollm2-no-vector")
    found = made(base, suites, tmp_path, *names, tasks=[PATCHING], shuffled=True)
    own, shuffled = found[names[0]]
    (blind,) = found["smollm2-no-vector"]
    assert own.header.explainer.settings["injection"]["mode"] == "own-layers"
    assert shuffled.header.explainer.shuffled_vectors is True
    assert blind.header.explainer.no_vector is True
    learnt = {run.header.explainer.settings["n_train"][PATCHING] for run in found[names[0]]}
    assert learnt == {8}
    own_record = json.loads((tmp_path / "explainers" / names[0] / "explainer.json").read_text())
    settings = own.header.explainer.settings
    assert settings["validation_loss"] == own_record["validation_loss"] > 0
    assert all(run.complete for run in (own, shuffled, blind))
    record = json.loads((tmp_path / "explainers" / names[1] / "explainer.json").read_text())
    assert record["training"]["about"]["vectors"] is False
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    made(base, suites, tmp_path, *names, tasks=[PATCHING], shuffled=True)
    assert {path: path.read_bytes() for path in before} == before


def test_weights_that_ship_run_under_their_own_name(
    suites: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(base, suites, tmp_path, "smollm2-replay", tasks=[PATCHING])
    monkeypatch.setattr(references, "SHIPPED", tmp_path / "shipped")
    shutil.copytree(tmp_path / "explainers", tmp_path / "shipped")
    (run,) = ib.run(
        "reference/smollm2-replay",
        suite=str(suites),
        tasks=[PATCHING],
        split="mini",
        output=tmp_path / "again",
    )
    assert run.header.explainer.name == "reference/smollm2-replay"
    assert run.path.name.startswith("reference-smollm2-replay.")
    assert run.header.explainer.settings["decoding"] == "compared"
    result = ib.score(run.path, suite=str(suites))
    assert result["explainer"]["decoding"] == "compared"
    assert "| reference/smollm2-replay, compared, trained on 8 |" in markdown([result])
    check = Recheck(model="reference/smollm2-replay")
    assert request_again(run, check, output=tmp_path).decoding == "compared"
    (free,) = ib.run(
        "reference/smollm2-replay",
        suite=str(suites),
        tasks=[PATCHING],
        split="mini",
        decoding="greedy",
        output=tmp_path / "greedy",
    )
    assert free.header.explainer.settings["decoding"] == "greedy"
    assert "decoding" not in ib.score(free.path, suite=str(suites))["explainer"]


def test_a_reference_without_weights_says_how_to_train_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(references, "SHIPPED", tmp_path)
    with pytest.raises(
        MissingPartError, match="introspect-bench train --recipe smollm2-self -o DIR"
    ):
        reference_folder("smollm2-self")
    with pytest.raises(UsageError, match="unknown reference 'nobody': choose from smollm2-self"):
        ib.run("reference/nobody", split="mini")


@pytest.mark.parametrize("name", ["gemma3-270m", "gemma3-270m-input-lens"])
def test_a_recipe_s_chat_template_is_for_a_base_without_one(
    suites: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given: list[dict[str, Any]] = []

    def train(_base: str, folder: Path, **options: Any) -> Path:
        given.append(options)
        return folder

    monkeypatch.setattr(train_recipes, "train", train)
    bare = Path(shutil.copytree(base, tmp_path / "bare"))
    (bare / "chat_template.jinja").unlink()
    for folder in (bare, base):
        options: dict[str, Any] = {"base": str(folder), "suite": str(suites), "tasks": [PATCHING]}
        train_recipes.train_recipes([name], tmp_path, **options)
    assert [one.get("chat_template") for one in given] == [references.GEMMA_TURNS, None]


def test_the_verb_names_the_run_files(
    suites: Path, base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--recipe", "smollm2-self", "--base", str(base), "--suite", str(suites)]
    words += ["-t", PATCHING, "--answer", "mini", "--n-train", "4", "-o", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    found = capfd.readouterr()
    (path,) = json.loads(found.out)["runs"]["smollm2-self"]
    assert ib.load(path).complete
    assert "training smollm2-self ..." in found.err
    assert main(["train", "--recipe", "nobody", "-o", str(tmp_path / "none")]) == 2
    assert "unknown reference 'nobody'" in capfd.readouterr().err


def test_a_learning_rate_is_tried_without_answers(
    suites: Path, base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--recipe", "smollm2-self", "--base", str(base), "--suite", str(suites)]
    words += ["-t", PATCHING, "--n-train", "4", "-o", str(tmp_path)]
    assert main([*words, "--learning-rate", "0.004", "--evaluations", "2", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["runs"] == {"smollm2-self": []}
    folder = Path(document["explainers"]["smollm2-self"])
    settings = json.loads((folder / "explainer.json").read_text())["training"]["settings"]
    assert (settings["learning_rate"], settings["evaluations"]) == (0.004, 2)
    assert not (tmp_path / "runs").exists()
    assert main([*words, "--learning-rate", "0.004", "--evaluations", "2"]) == 0
    assert capfd.readouterr().out.strip() == str(folder)
    other = ("--learning-rate", "0.005", "--evaluations", "2")
    assert main([*words, *other]) == 2
    assert main([*words, *other, "--overwrite", "--yes"]) == 0
    settings = json.loads((folder / "explainer.json").read_text())["training"]["settings"]
    assert settings["learning_rate"] == 0.005
    capfd.readouterr()
    assert main([*words, "--learning-rate", "0"]) == 2
    assert "the learning rate is 0.0; give a number above 0" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--recipe", "smollm2-self", "--rank", "4"], "a recipe says rank itself"),
        (["--recipe", "smollm2-self", "--reading", "both"], "a recipe says reading itself"),
        (["--answer", "test", "-b", "smollm2-135m"], "--answer and --shuffled go with --recipe"),
        ([], "give --base MODEL, or --recipe NAME"),
    ],
)
def test_a_recipe_and_options_of_ones_own_are_told_apart(
    words: list[str], sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *words, "-o", str(tmp_path)]) == 2
    assert sentence in capfd.readouterr().err
