"""Which checkpoints a training goes on from, what is sealed, and who may write."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors import SafetensorError

from introspect_bench.benchmark.backends.training.checkpoints import (
    SEAL,
    STATE,
    TRAINABLE,
    broken,
    last_checkpoint,
    seal,
    sole_trainer,
    writing,
)
from introspect_bench.benchmark.errors import MissingPartError, UsageError
from introspect_bench.benchmark.files import write_json_atomic

FILES = (STATE, TRAINABLE, "optimizer.pt")


def checkpoint(folder: Path, step: int, *, best: int, sealed: bool = True) -> Path:
    """As the Trainer leaves it, with invented bytes."""
    path = folder / f"checkpoint-{step}"
    for name in FILES:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(f"{name} at {step}".encode())
    said = {"global_step": step, "best_model_checkpoint": f"elsewhere/checkpoint-{best}"}
    write_json_atomic(path / STATE, said)
    if sealed:
        seal(path)
    return path


def test_the_last_one_is_gone_on_from(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    checkpoint(tmp_path, 9, best=9)
    checkpoint(tmp_path, 10, best=9)
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")


@pytest.mark.parametrize("name", [*FILES, SEAL])
@pytest.mark.parametrize("spoilt", [b"", b"x"])
def test_one_that_was_spoilt_is_removed_and_the_one_before_taken(
    tmp_path: Path, name: str, spoilt: bytes
) -> None:
    checkpoint(tmp_path, 5, best=5)
    last = checkpoint(tmp_path, 10, best=5)
    (last / name).write_bytes(spoilt)
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-5")
    assert not last.exists()


def test_without_its_best_one_a_checkpoint_is_of_no_use(tmp_path: Path) -> None:
    """The Trainer loads the best one at the end, and would fail there each time."""
    best = checkpoint(tmp_path, 5, best=5)
    checkpoint(tmp_path, 10, best=5)
    (best / TRAINABLE).write_bytes(b"")
    assert last_checkpoint(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_killed_before_its_seal_is_none(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 5, best=5)
    checkpoint(tmp_path, 10, best=10, sealed=False)
    assert last_checkpoint(tmp_path) == str(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("missing", [STATE, TRAINABLE])
def test_one_that_lacks_a_file_is_none(tmp_path: Path, missing: str) -> None:
    (checkpoint(tmp_path, 5, best=5) / missing).unlink()
    assert last_checkpoint(tmp_path) is None


def test_a_seal_may_name_files_of_folders_below(tmp_path: Path) -> None:
    """A forged one; the name was looked up without its folder."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").touch()
    write_json_atomic(tmp_path / SEAL, {"a/b": "0" * 64})
    assert broken(tmp_path) == "a/b"


def test_a_seal_knows_files_that_changed_or_left_but_not_new_or_hidden_ones(tmp_path: Path) -> None:
    for name in ("a", "b", ".a.7.partial"):
        (tmp_path / name).write_bytes(name.encode())
    seal(tmp_path)
    (tmp_path / "README.md").touch()
    (tmp_path / ".a.7.partial").unlink()
    assert broken(tmp_path) is None
    (tmp_path / "b").write_bytes(b"c")
    assert broken(tmp_path) == "b"
    (tmp_path / "b").unlink()
    assert broken(tmp_path) == "b"


def test_a_second_process_is_sent_away(tmp_path: Path) -> None:
    folder = tmp_path / "explainer"
    with (
        sole_trainer(folder),
        pytest.raises(UsageError, match="another process is training"),
        sole_trainer(folder),
    ):
        pass
    with sole_trainer(folder):
        assert not folder.exists()


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (OSError(28, "No space left on device"), "no disk space left"),
        (RuntimeError("[enforce fail] file write failed"), "file write failed; check the disk"),
        (SafetensorError("I/O error: File too large (os error 27)"), "File too large"),
    ],
)
def test_what_libraries_raise_while_they_write_is_a_sentence(raised: Exception, said: str) -> None:
    with pytest.raises(MissingPartError, match=f"cannot write x: .*{said}"), writing(Path("x")):
        raise raised
