"""Several processes train one explainer together, as torchrun and accelerate start them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from program import environment
from safetensors.numpy import load_file
from tiny_training import train

from introspect_bench.benchmark.errors import UsageError

PATCHING = "activation-patching"


def test_sharded_weights_are_refused_with_what_to_do(
    suites: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UsageError, match="launch it with plain data parallelism"):
        train(base, suites, tmp_path / "sharded", tasks=[PATCHING], epochs=1)


def test_two_processes_train_what_one_does_with_twice_the_batches(
    suites: Path, base: Path, tmp_path: Path
) -> None:
    same = {"batch_size": 2, "epochs": 1, "evaluations": 5, "patience": 2}
    alone = train(base, suites, tmp_path / "alone", tasks=[PATCHING], accumulation=2, **same)
    words = ["train", "-b", str(base), "--suite", str(suites), "-t", PATCHING, "--precision"]
    words += ["float32", "--batch-size", "2", "--rank", "2", "--learning-rate", "0.02"]
    words += ["--accumulation", "1"]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "introspect_bench", *words, "-o", str(tmp_path / "two")],
        env=environment(OMP_NUM_THREADS="1", ACCELERATE_USE_CPU="true"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    logs = [
        [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
        for folder in (alone, tmp_path / "two")
    ]
    steps, together = [[row["step"] for row in log if "loss" in row] for log in logs]
    assert steps == together == sorted(set(steps))
    one, two = (load_file(f / "adapter_model.safetensors") for f in (alone, tmp_path / "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        # sums in another order, through Adam; other batches would differ by 0.02
        np.testing.assert_allclose(value, two[name], atol=5e-3)
    assert any(np.abs(value).max() > 1e-3 for name, value in two.items() if "lora_B" in name)
    records = [json.loads((f / "explainer.json").read_text()) for f in (alone, tmp_path / "two")]
    assert [record["training"]["lessons"]["n"] for record in records] == [16, 16]
    assert not (tmp_path / "two" / "checkpoints").exists()
