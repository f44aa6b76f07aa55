"""Weights that come with code, are cut off, or are not there: a sentence, and nothing is run."""

from __future__ import annotations

import builtins
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from program import Call, the_sentence
from safetensors.torch import load_file, save_file
from tiny_code import bring_code, change
from tiny_models import save_model

from introspect_bench import benchmark
from introspect_bench.__main__ import main
from introspect_bench.benchmark.backends.explainer.load import load_local
from introspect_bench.benchmark.backends.models.devices import usable_device
from introspect_bench.benchmark.backends.models.pretrained import load_model
from introspect_bench.benchmark.backends.models.target_model import load_target_model
from introspect_bench.benchmark.errors import (
    IntegrityError,
    IntrospectBenchError,
    MissingPartError,
    UsageError,
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("sound") / "model")


@pytest.fixture
def folder(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be damaged, with a cache of its own."""
    monkeypatch.setenv("INTROSPECT_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(sound, tmp_path / "model"))


LOADERS: dict[str, Callable[[Path], object]] = {
    "target": load_target_model,
    "explainer": lambda folder: load_local(str(folder)),
}


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    def run(*words: str) -> tuple[int, str, str]:
        code = main(words)
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.mark.parametrize(
    "words",
    [
        ("doctor", "--target", "model"),
        ("data", "make", "--target", "model", "-t", "input-ablations"),
        ("run", "--model", "./model", "--split", "mini", "-t", "input-ablations", "--limit", "1"),
    ],
    ids=["doctor", "make", "run"],
)
def test_code_that_comes_with_weights_is_never_run(
    folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Even if the user would say yes: nobody is asked."""
    marker = folder.parent / "marker"
    bring_code(folder, marker)
    asked: list[object] = []

    def yes(*question: object) -> str:
        asked.append(question)
        return "y"

    monkeypatch.setattr(builtins, "input", yes)
    code, _, err = call(*words)
    assert not marker.exists()
    assert asked == []
    assert code == 2
    assert "transformers cannot load it" in the_sentence(err)


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize(
    "entry",
    [
        {"attn_implementation": "owner/kernel"},
        {"_attn_implementation": {"text_config": "owner/kernel"}},
        {"text_config": {"experts_implementation": "owner/kernel"}},
    ],
)
def test_a_configuration_brings_no_kernel_from_a_hub(
    folder: Path, load: Callable[[Path], object], entry: dict[str, object]
) -> None:
    change(folder / "config.json", **entry)
    with pytest.raises(UsageError, match=r"implementation 'owner/kernel' would run code"):
        load(folder)


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_a_list_of_weight_files_names_no_pickle(
    folder: Path, load: Callable[[Path], object]
) -> None:
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "part.bin")
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "part.bin")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(IntegrityError, match=r"'part\.bin' is not a safetensors file"):
        load(folder)


def truncated(folder: Path, size: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


def with_half_a_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")


def without_a_tensor(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, metadata={"format": "pt"})


def with_a_wrong_size(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path) | {"model.norm.weight": torch.zeros(3)}
    save_file(weights, path, metadata={"format": "pt"})


BROKEN: list[tuple[Callable[[Path], None], type[IntrospectBenchError], str]] = [
    (lambda f: truncated(f, 20_000), IntegrityError, r"model\.safetensors is cut off"),
    (lambda f: truncated(f, 4), IntegrityError, r"model\.safetensors is cut off"),
    (without_a_tensor, IntegrityError, r"lack model\.layers\.1\.mlp\.up_proj\.weight"),
    (with_a_wrong_size, UsageError, "cannot load it"),
    (without_tokenizer, MissingPartError, "holds no tokenizer"),
    (with_half_a_tokenizer, IntegrityError, "is not JSON"),
    (
        lambda f: change(f / "config.json", model_type="no-such-thing"),
        UsageError,
        "no-such-thing",
    ),
    (lambda f: change(f / "config.json", model_type="t5"), UsageError, "cannot load it"),
    (
        lambda f: change(
            f / "config.json", quantization_config={"quant_method": "gptq", "bits": 4}
        ),
        MissingPartError,
        "needs a package that is not here",
    ),
]


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize(("damage", "kind", "part"), BROKEN)
def test_what_cannot_be_loaded_is_one_sentence(
    folder: Path,
    load: Callable[[Path], object],
    damage: Callable[[Path], None],
    kind: type[IntrospectBenchError],
    part: str,
) -> None:
    damage(folder)
    with pytest.raises(kind, match=part):
        load(folder)


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_a_configuration_nested_too_deeply_is_one_sentence(
    folder: Path, load: Callable[[Path], object]
) -> None:
    (folder / "config.json").write_text("[" * 200_000)
    with pytest.raises(IntrospectBenchError, match=r"nested deeper|cannot load it"):
        load(folder)


@pytest.mark.parametrize(
    "words",
    [
        ("doctor", "--target", "model"),
        ("data", "make", "--target", "model", "-t", "input-ablations"),
        ("run", "--model", "./model", "--split", "mini", "-t", "input-ablations", "--limit", "1"),
    ],
    ids=["doctor", "make", "run"],
)
@pytest.mark.parametrize(
    ("damage", "code", "part"),
    [
        (lambda f: truncated(f, 20_000), 4, "model.safetensors is cut off"),
        (without_tokenizer, 3, "holds no tokenizer"),
        (lambda f: change(f / "config.json", model_type="no-such-thing"), 2, "no-such-thing"),
    ],
    ids=["truncated", "tokenizer", "architecture"],
)
def test_the_program_says_it_with_its_exit_code(
    folder: Path,
    call: Call,
    words: tuple[str, ...],
    damage: Callable[[Path], None],
    code: int,
    part: str,
) -> None:
    damage(folder)
    found, out, err = call(*words)
    assert (found, out) == (code, "")
    assert part in the_sentence(err)


def devices() -> list[tuple[str, int]]:
    missing = [] if torch.cuda.is_available() else [("cuda", 3), ("cuda:7", 3)]
    missing += [] if torch.backends.mps.is_available() else [("mps", 3)]
    return [("foo", 2), ("meta", 2), *missing]


@pytest.mark.parametrize(("name", "code"), devices())
@pytest.mark.parametrize(
    "words",
    [
        ("doctor", "--target", "model"),
        ("data", "make", "--target", "model", "-t", "input-ablations"),
        ("run", "--model", "./model", "--split", "mini", "-t", "input-ablations"),
    ],
    ids=["doctor", "make", "run"],
)
def test_a_device_that_cannot_be_used_is_one_sentence(
    folder: Path, call: Call, words: tuple[str, ...], name: str, code: int
) -> None:
    assert folder.is_dir()
    found, out, err = call(*words, "--device", name)
    assert (found, out) == (code, "")
    assert name in the_sentence(err)


def test_a_device_that_is_there_is_given() -> None:
    assert usable_device("cpu") == torch.device("cpu")


def test_a_folder_without_weights_is_refused_before_transformers_looks(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(MissingPartError, match=r"holds no \*\.safetensors"):
        load_model(folder, torch.float32)


def test_weights_enter_by_one_door() -> None:
    """Every other call of `from_pretrained` could forget what this one refuses."""
    root = Path(benchmark.__file__).parents[1]
    found = {
        path.relative_to(root).as_posix()
        for part in ("src", "benchmark", "tasks", "baselines", "leaderboard")
        for path in (root / part).rglob("*.py")
        if ".from_pretrained(" in path.read_text()
    }
    assert found == {"benchmark/backends/models/pretrained.py"}
