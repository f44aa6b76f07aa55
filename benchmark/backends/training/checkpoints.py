"""What a training keeps on disk: whole or not, sealed once it is finished, of one process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from safetensors import SafetensorError

from ... import files
from ...cache import locked
from ...errors import IntrospectBenchError, MissingPartError
from ...team import team

TRAINABLE = "trainable.safetensors"  # what a checkpoint holds of the weights
STATE = "trainer_state.json"  # Trainer's file that names the best checkpoint so far
SEAL = "sealed.json"  # hashes of the files of a folder that is finished


def sole_trainer(folder: Path) -> AbstractContextManager[None]:
    """Hold the lock of a training; of processes that train together the first does."""
    busy = f"another process is training {folder}; wait for it to end, then run the command again"
    name = f".{folder.name}.lock"
    return locked(folder, name=name, busy=busy) if team().first else nullcontext()


def last_checkpoint(folder: Path) -> str | None:
    """Return the latest whole checkpoint; what a kill left unfinished is removed."""
    paths = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    best = {path: _best_of(path) for path in paths}
    # to go on from one takes the best one, too
    whole = [path for path in paths if best[path] and best.get(path.with_name(best[path] or ""))]
    if team().first:
        for path in set(paths) - set(whole):
            shutil.rmtree(path)
    return str(whole[-1]) if whole else None


def _best_of(checkpoint: Path) -> str | None:
    """The name of the best checkpoint when a whole one was sealed; None if it is not whole."""
    try:
        state = files.read_json(checkpoint / STATE)
    except IntrospectBenchError:
        return None
    if broken(checkpoint):
        return None
    return Path(str(state.get("best_model_checkpoint") or checkpoint)).name


def seal(folder: Path) -> None:
    """Write the hashes of the files of a folder, but hidden ones, into its `SEAL`."""
    path = folder / SEAL
    paths = (one for one in folder.glob("[!.]*") if one.is_file() and one != path)
    files.write_json_atomic(path, {one.name: files.sha256_file(one) for one in paths})


def broken(folder: Path) -> str | None:
    """Return the name of a file that is not as it was when the folder was sealed, if one is."""
    try:
        hashes = files.read_json(folder / SEAL)
    except IntrospectBenchError:
        return SEAL
    for name, sha256 in hashes.items():
        if not (folder / name).is_file() or files.sha256_file(folder / name) != sha256:
            return name
    return None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what torch and safetensors raise while they write into the error a user sees."""
    try:
        yield
    except OSError as error:
        raise files.write_error(path, error) from error
    except (RuntimeError, SafetensorError) as error:
        said = " ".join(str(error).split())[:200]
        raise MissingPartError(
            f"cannot write {path}: {said}; check the disk's space, the path and its permissions"
        ) from error
