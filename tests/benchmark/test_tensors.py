"""Arrays on disk: the bytes safetensors writes, whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from program import environment
from safetensors.numpy import load_file, save_file

from introspect_bench.benchmark.errors import MissingPartError
from introspect_bench.benchmark.files import write_safetensors_atomic
from introspect_bench.benchmark.suite.freeze import Measured, write_split

TENSORS: dict[str, npt.NDArray[Any]] = {
    "b": np.arange(6, dtype=np.float16).reshape(2, 3),
    "a": np.array([[1.5], [2.5]], np.float32),
    "empty": np.zeros((0, 4), np.float16),
}


def test_the_bytes_are_those_of_safetensors(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "theirs")
    write_safetensors_atomic(tmp_path / "new" / "ours", TENSORS)
    assert (tmp_path / "new" / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_view_is_written_as_it_looks(tmp_path: Path) -> None:
    turned = np.arange(6, dtype=np.float16).reshape(2, 3).T
    write_safetensors_atomic(tmp_path / "t", {"t": turned, "part": turned[1:]})
    found = load_file(tmp_path / "t")
    assert np.array_equal(found["t"], turned)
    assert np.array_equal(found["part"], turned[1:])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "vectors.safetensors"
    write_safetensors_atomic(path, TENSORS)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MissingPartError, match=r"vectors\.safetensors: no disk space left"):
        write_safetensors_atomic(path, {"other": np.ones(9)})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_split_that_does_not_fit_on_the_disk_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = Measured(
        kind="last",
        fields={"text": "a"},
        clean="x",
        outcome="y",
        clean_ids=[1],
        outcome_ids=[2],
        margin=1.0,
        vector=np.ones(4, np.float16),
    )

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MissingPartError, match="no disk space left"):
        write_split(tmp_path / "test", "toy", [[query]])


LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from introspect_bench.benchmark.errors import MissingPartError
from introspect_bench.benchmark.files import write_safetensors_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_safetensors_atomic(Path(sys.argv[1]), {"a": np.ones(100_000)})
except MissingPartError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limits on file sizes here")
def test_a_real_limit_of_the_system_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "big")],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"cannot write {tmp_path / 'big'}: ")
    assert list(tmp_path.iterdir()) == []
