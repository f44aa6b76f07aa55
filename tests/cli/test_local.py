"""Local language models as explainers, by folder; the models are tiny and random."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import ABLATIONS, PATCHING, Call, refused, started, succeeded, the_sentence
from tiny_entries import Rows, unfinished
from tiny_models import make_tokenizer, save_model
from tiny_suites import D_TARGET, make_suite

import introspect_bench as ib
from introspect_bench.benchmark.registry import get_task


def saved(folder: Path, width: int, *tokens: str) -> Path:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(list(tokens))
    return save_model(folder, tokenizer, hidden_size=width, max_position_embeddings=2048)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    saved(folder / "same", D_TARGET)
    saved(folder / "wider", 4 * D_TARGET)
    return folder


def answer(call: Call, *words: str) -> tuple[int, str, str]:
    return call("run", "--suite", "toy", "--split", "mini", *words)


def test_a_folder_answers_both_tasks(call: Call, models: Path) -> None:
    out = succeeded(answer(call, "--model", str(models / "same")))
    assert [out.count(f"{n} queries answered") for n in (4, 5)] == [1, 1]
    run = ib.load(f"runs/same.toy.{PATCHING}.mini.jsonl")
    explainer = run.header.explainer
    assert explainer.name == "same"
    assert explainer.weights_sha256.keys() == {"model.safetensors"}
    assert str(models) not in run.path.read_text()


def test_libraries_draw_no_bars_of_their_own(models: Path) -> None:
    done = started("run", "--suite", "toy", "--split", "mini", "-m", str(models / "same"))
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if not line.endswith(" ...")]
    # nothing but that an untrained model's replies cannot be read
    assert [line.partition(":")[0] for line in said] == [PATCHING, ABLATIONS]
    assert all("hold no answer that can be read" in line for line in said)


def test_the_way_vectors_enter_is_recorded(call: Call, models: Path) -> None:
    words = ("-t", PATCHING, "--injection", "add:1", "--scaling", "raw")
    assert answer(call, "--model", str(models / "same"), *words)[0] == 0
    settings = ib.load(f"runs/same.toy.{PATCHING}.mini.jsonl").header.explainer.settings
    assert settings["injection"]["mode"] == "add"
    assert settings["injection"]["layer"] == 1
    assert settings["injection"]["scaling"] == "raw"


def test_another_injection_in_the_same_file_is_refused(call: Call, models: Path) -> None:
    words = ("--model", str(models / "same"), "-t", PATCHING)
    assert answer(call, *words)[0] == 0
    assert "scaling" in refused(answer(call, *words, "--scaling", "raw"), 4)


@pytest.mark.parametrize(
    ("field", "value"), [("device", "cuda"), ("torch", "1.0"), ("transformers", "4.0")]
)
def test_rows_of_another_device_or_library_are_not_gone_on_with(
    call: Call, models: Path, field: str, value: str
) -> None:
    words = ("--model", str(models / "same"), "-t", ABLATIONS)
    assert answer(call, *words)[0] == 0
    path = Path(f"runs/same.toy.{ABLATIONS}.mini.jsonl")

    def edit(rows: Rows) -> None:
        assert rows[0]["env"]["device"] == "cpu"
        rows[0]["env"][field] = value
        del rows[-1]

    unfinished(path, edit, str(path))
    before = path.read_bytes()
    assert f"env.{field} is '{value}' there" in refused(answer(call, *words), 4)
    assert path.read_bytes() == before


def test_another_width_needs_no_vector(call: Call, models: Path) -> None:
    words = ("--model", str(models / "wider"))
    assert "width 4 but this explainer has width 16" in refused(answer(call, *words), 2)
    assert [path.name for path in Path("runs").glob("*.jsonl")] == [
        f"wider.toy.{ABLATIONS}.mini.jsonl"
    ]
    out = succeeded(answer(call, *words, "--no-vector"))
    assert "wider ‡" in out


def test_the_target_of_a_suite_explains_itself(call: Call, models: Path) -> None:
    task = get_task(PATCHING)
    target = {
        "name": "same",
        "source": "local",
        "location": str(models / "same"),
        "d_model": D_TARGET,
        "weights_sha256": {},
    }
    make_suite(Path("own") / PATCHING / task.version, task, target=target)
    words = ("run", "--suite", "own", "--split", "mini", "--model")
    assert call(*words, "baseline/zero-shot")[0] == 0
    assert call(*words, "baseline/few-shot", "--shots", "2")[0] == 0
    headers = [ib.load(path).header for path in sorted(Path("runs").glob("*.jsonl"))]
    assert [header.explainer.shots for header in headers] == [2, 0]
    assert [header.env.device for header in headers] == ["cpu", "cpu"]
    for path in Path("runs").glob("*.jsonl"):
        assert str(models) not in path.read_text()


def test_a_family_is_named_and_recorded(call: Call, tmp_path: Path) -> None:
    folder = saved(tmp_path / "oracle", D_TARGET, " ?")
    words = ("-t", PATCHING, "--model", str(folder))
    succeeded(answer(call, *words, "--family", "activation-oracle"))
    settings = ib.load(f"runs/oracle.toy.{PATCHING}.mini.jsonl").header.explainer.settings
    assert settings["family"] == "activation-oracle"
    assert settings["injection"]["layer"] == 1
    code, _, err = answer(call, *words)
    assert code != 0
    assert "another run" in the_sentence(err)
    assert "choose from paper" in refused(answer(call, *words, "--family", "oracle"), 2)
    assert "local language models only" in refused(
        answer(call, "--model", "baseline/constant", "--family", "paper"), 2
    )
