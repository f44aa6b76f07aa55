"""The script of the study of reading: what is done once stays done, and the table is right."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tiny_reading import groups_of, make_reading_suite
from tiny_training import make_base

import introspect_bench as ib
from introspect_bench.baselines import recipes as references
from introspect_bench.benchmark.backends.training.spec import Reading
from introspect_bench.benchmark.files import read_jsonl

SCRIPT = Path(__file__).parents[2] / "docs" / "studies" / "read.py"


@pytest.fixture(scope="module")
def study() -> Any:
    spec = importlib.util.spec_from_file_location("read_study", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cells_are_trained_asked_and_told_once(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make_reading_suite(tmp_path / "toy", {"train": groups_of("train", 12)})
    ib.data_hold_out(str(tmp_path / "toy"), 8, tmp_path / "held")
    base = str(make_base(tmp_path / "base", num_hidden_layers=12))
    cell = references.ReferenceSpec(
        name="read-tiny",
        role="study",
        summary="Tiny.",
        base=base,
        injection=references.OWN,
        training={
            "learning_rate": 0.01,
            "rank": 2,
            "batch_size": 4,
            "precision": "float32",
            "evaluations": 1,
            "reading": Reading(share=1.0),
        },
    )
    monkeypatch.setattr(references, "REFERENCES", (cell,))
    words = [str(tmp_path / "held"), "-o", str(tmp_path / "out"), "--cell", "read-tiny"]
    words += ["--n-train", "8"]
    study.main(words)
    found = capfd.readouterr()
    assert found.err.count("doing") == 2
    path = tmp_path / "out" / "results.jsonl"
    rows = [row for _, row in read_jsonl(path)]
    assert [row["vectors"] for row in rows] == [True, False]
    for row in rows:
        assert row["lessons"]["n_train"] == {"activation-patching": 8}
        assert row["lessons"]["n"] == 16
        assert row["recipe"]["reading"]["when"] == "beside"
        assert "activation-patching" in row["losses"]
        assert row["seconds"].keys() == {"train", "run"}
    before = path.read_bytes()
    study.main(words)
    again = capfd.readouterr()
    assert "doing" not in again.err
    assert again.out == found.out
    assert path.read_bytes() == before
    assert [line for line in again.out.splitlines() if line.startswith("| read-tiny | 8 | 0.01 |")]


def test_the_table_takes_means_over_seeds_and_pairs_them(study: Any) -> None:
    def row(vectors: bool, seed: int, headline: float, content: float | None) -> dict[str, Any]:
        values: dict[str, float | None] = dict.fromkeys(study.METRICS, 0.5)
        values |= {"balanced_exact_match": headline, "content_match_changed": content}
        common = {"cell": "a", "n_train": 8, "learning_rate": 0.01, "data_sha256": "x"}
        told = {"metrics": values, "validation_loss": 1.0, "seconds": {"train": 60.0, "run": 60.0}}
        return {**common, **told, "vectors": vectors, "seed": seed}

    rows = [row(True, 0, 0.2, 0.4), row(True, 1, 0.4, 0.4), row(False, 0, 0.1, 0.5)]
    line = study.table(rows).splitlines()[-1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    # worth is of seed 0 alone, which has both
    assert cells[:7] == ["a", "8", "0.01", "2/1", "30.0", "10.0", "+10.0"]
    assert cells[9:] == ["40.0", "-10.0", "50.0", "1.000", "2"]
    nothing = study.table([row(True, 0, 0.2, None)]).splitlines()[-1]
    assert [cell.strip() for cell in nothing.strip("|").split("|")][9] == ""
