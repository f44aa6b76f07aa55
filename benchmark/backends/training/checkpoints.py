"""What a training keeps on disk: whole or not, sealed once it is finished, of one process."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from safetensors import SafetensorError
from transformers import TrainerState

from ... import files
from ...cache import locked
from ...errors import IntrospectBenchError, MissingPartError
from ...team import team

TRAINABLE = "trainable.safetensors"  # what a checkpoint holds of the weights
STATE = "trainer_state.json"  # Trainer writes it last: a checkpoint without it is not whole
LOG = "training.jsonl"  # losses, one line a logged step
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
    """The name of the best checkpoint when a whole one was written; None if it is not whole."""
    try:
        state = files.read_json(checkpoint / STATE)
    except IntrospectBenchError:
        return None
    sealed = checkpoint / SEAL
    if not (checkpoint / TRAINABLE).is_file() or (sealed.exists() and broken(checkpoint, sealed)):
        return None
    return Path(state.get("best_model_checkpoint") or checkpoint).name


def seal(folder: Path, path: Path) -> None:
    """Write the hashes of the files of a folder, but hidden ones, into one of them."""
    paths = (one for one in folder.glob("[!.]*") if one.is_file() and one != path)
    files.write_json_atomic(path, {one.name: files.sha256_file(one) for one in paths})


def broken(folder: Path, sealed: Path) -> str | None:
    """Return the name of a file that is not as it was when the folder was sealed, if one is."""
    try:
        hashes = files.read_json(sealed)
    except IntrospectBenchError:
        return sealed.name
    paths = [folder / name for name in hashes]
    return next(
        (p.name for p in paths if not p.is_file() or files.sha256_file(p) != hashes[p.name]), None
    )


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


def keep_log(checkpoint: Path) -> None:
    """Copy the log so far into a checkpoint."""
    log = checkpoint.parent.with_name(LOG)
    if log.is_file():
        files.write_bytes_atomic(checkpoint / LOG, log.read_bytes())


def cut_log(path: Path, checkpoint: str | None) -> None:
    """Go back to the log as it was at a checkpoint; later steps are done again."""
    if not team().first:
        return
    if checkpoint is not None and (Path(checkpoint) / LOG).is_file():
        files.write_bytes_atomic(path, (Path(checkpoint) / LOG).read_bytes())
        return
    if not path.is_file():
        return
    step = 0
    if checkpoint is not None:
        with files.reading(checkpoint, "a whole checkpoint", "remove it"):
            state = TrainerState.load_from_json(str(Path(checkpoint) / STATE))
            step = int(state.global_step)
            sum(row["step"] + row.get("eval_loss", 0) for row in state.log_history)
    lines = [line for line in path.read_bytes().split(b"\n") if _step(line) <= step]
    files.write_bytes_atomic(path, b"".join(line + b"\n" for line in lines))


def _step(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf  # torn by a kill
