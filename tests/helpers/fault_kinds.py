"""What happens to a command: killed, no disk, read-only, twice at once, a wrong clock, bad bytes.

After each the same command is run again, and what it leaves is compared with what an undisturbed
one left. *Lost*: it ends well and leaves something else. *Stuck*: it never ends well, not even once
what it complained about is deleted; or it ends in a traceback. Bad bytes in a finished output may
also be found by the verb's `check`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fault_rigs import at_write, count, enter, kill, no_space, without_capabilities, year_ago
from fault_verbs import Verb, difference, prepared, state

Rig = Callable[[], object]
"""Called in the process of a command before it begins."""


@dataclass(slots=True, kw_only=True)
class Trial:
    """A verb in a folder, undisturbed once, then again and again."""

    verb: Verb
    materials: Path
    folder: Path  # the same for every try, so that paths in files are
    rng: np.random.Generator
    seconds: float = 0.0  # an undisturbed command takes
    n_writes: int = 0  # and so many events that write
    largest: int = 0  # bytes of the largest file it leaves
    expected: dict[str, Any] = field(default_factory=dict)

    def undisturbed(self) -> None:
        """Run it once, and import here what it imported, so that the others start warm."""
        self.anew()
        before = self.files()
        code, said = self.run(lambda: count(self.folder / "tmp"))
        if code:
            raise RuntimeError(f"{self.verb.name} ends with {code} undisturbed:\n{said}")
        self.n_writes = int((self.folder / "tmp" / "writes").read_text())
        new = [path for path in self.files() if path not in before]
        self.largest = max((path.stat().st_size for path in new), default=1)
        for name in (self.folder / "tmp" / "modules").read_text().split():
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        self.anew()
        started = time.monotonic()
        self.run()
        self.seconds = time.monotonic() - started
        self.expected = state(self.folder, adds=self.verb.adds)

    def anew(self) -> None:
        """Start from the materials again."""
        shutil.rmtree(self.folder, ignore_errors=True)
        prepared(self.verb, self.materials, self.folder)

    def files(self) -> list[Path]:
        """All files that hold something, also hidden ones."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return [p for p in paths if p.stat().st_size and p.parent != self.folder / "tmp"]

    def start(
        self, rig: Rig = lambda: None, act: Callable[[], int] | None = None
    ) -> tuple[int, int]:
        """Start the command in a child; its process id, and where what it writes can be read."""
        reads, writes = os.pipe()  # a file would be subject to limits of the disk
        child = os.fork()
        if child:
            os.close(writes)
            return child, reads
        code = 70
        try:
            enter(self.folder, writes)
            rig()
            code = (act or self.verb.act)()
        except BaseException:  # noqa: BLE001  a child ends here whatever happens
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def wait(self, child: int, reads: int) -> tuple[int, str]:
        """Wait for a child; its exit code and all that it wrote."""
        with os.fdopen(reads, errors="replace") as stream:
            said = stream.read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said

    def run(self, rig: Rig = lambda: None) -> tuple[int, str]:
        """Run the command and wait for its end."""
        return self.wait(*self.start(rig))

    def same(self) -> bool:
        """Whether the folder holds what an undisturbed command leaves."""
        return state(self.folder, adds=self.verb.adds) == self.expected

    def again(self, rig: Rig = lambda: None) -> str:
        """Run the same command again: `lost`, `stuck`, or nothing if all is well."""
        code, said = self.run(rig)
        if self.same():
            return "stuck" if "Traceback" in said else ""
        return self._problem("lost" if code == 0 else "stuck", said)

    def after_refusal(self) -> str:
        """Run it again; what it refuses is deleted, or copied anew where it was there before."""
        code, said = self.run()
        if self.same() and "Traceback" not in said:
            return ""
        if code == 0 and self.verb.check:
            code, said = self.wait(*self.start(act=self.verb.check))
            where = difference(self.expected, state(self.folder))
            if code == 0 and "/predicted: " in where:  # not a bit that any score depends on
                return ""
        if code == 0 or "Traceback" in said:
            return self._problem("stuck" if code else "lost", said)
        for pattern in self.verb.outputs:
            for path in self.folder.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                if pattern in self.verb.needs:
                    shutil.copytree(self.materials / pattern, path)
        return self.again()

    def _problem(self, what: str, said: str) -> str:
        where = difference(self.expected, state(self.folder, adds=self.verb.adds))
        return f"{what}: {where}: {' | '.join(said.splitlines()[-3:])[-600:]}"


def killed(trial: Trial) -> str:
    """Kill it at a random moment, or before a random file operation; both as often."""
    for _ in range(5):
        trial.anew()
        if trial.rng.integers(2):
            number = int(trial.rng.integers(trial.n_writes))
            code, _ = trial.run(lambda: at_write(number, lambda _: kill()))  # noqa: B023
        else:
            child, reads = trial.start()
            time.sleep(float(trial.rng.uniform(0, trial.seconds)))
            os.kill(child, signal.SIGKILL)
            code, _ = trial.wait(child, reads)
        if code == -signal.SIGKILL:
            break
    return trial.again()


def full_disk(trial: Trial) -> str:
    """No file may grow beyond a random size, or a file operation fails for want of space."""
    trial.anew()
    if trial.rng.integers(2):
        most = int(trial.rng.integers(trial.largest))
        code, said = trial.run(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
    else:
        number = int(trial.rng.integers(trial.n_writes))
        code, said = trial.run(lambda: at_write(number, no_space))
    return _refused(code, said) or trial.again()


def read_only(trial: Trial) -> str:
    """The folder and all in it may not be written, also not by the superuser."""
    trial.anew()
    folders = [trial.folder, *(p for p in trial.folder.rglob("*") if p.is_dir())]
    kept = [path for path in folders if path != trial.folder / "tmp"]
    for path in kept:
        path.chmod(0o555)
    code, said = trial.run(without_capabilities)
    for path in kept:
        path.chmod(0o755)
    return _refused(code, said) or trial.again()


def raced(trial: Trial) -> str:
    """Two processes run the command at once; one of them may be sent away."""
    trial.anew()
    children = [trial.start() for _ in range(2)]
    ends = [trial.wait(*child) for child in children]
    if all(code for code, _ in ends):
        return f"stuck: both end with {[code for code, _ in ends]}: {ends[0][1][-500:]}"
    for code, said in ends:
        if problem := _refused(code, said):
            return problem
    return trial.again()


def clock_back(trial: Trial) -> str:
    """Killed, and then run with a clock that is a year behind."""
    trial.anew()
    number = int(trial.rng.integers(trial.n_writes))
    trial.run(lambda: at_write(number, lambda _: kill()))
    return trial.again(year_ago)


def spoilt(trial: Trial) -> str:
    """One file that it wrote, or half wrote, has a bit flipped, is cut off or emptied."""
    trial.anew()
    before = {path: path.read_bytes() for path in trial.files()}
    if trial.rng.integers(2):
        number = int(trial.rng.integers(trial.n_writes))
        trial.run(lambda: at_write(number, lambda _: kill()))
    else:
        trial.run()
    written = [path for path in trial.files() if before.get(path) != path.read_bytes()]
    if not written:
        return trial.again()
    path = written[int(trial.rng.integers(len(written)))]
    data = bytearray(path.read_bytes())
    how = ("flip", "cut", "empty")[int(trial.rng.integers(3))]
    place = int(trial.rng.integers(len(data)))
    if how == "flip":
        data[place] ^= 1 << int(trial.rng.integers(8))
    path.write_bytes(data if how == "flip" else data[: place if how == "cut" else 0])
    problem = trial.after_refusal()
    return f"{problem} ({how} at {place} of {path.relative_to(trial.folder)})" if problem else ""


KINDS: dict[str, Callable[[Trial], str]] = {
    "kill": killed,
    "full disk": full_disk,
    "read-only": read_only,
    "race": raced,
    "clock": clock_back,
    "corruption": spoilt,
}


def _refused(code: int, said: str) -> str:
    """A command that could not write ends in a sentence, if it does not end well."""
    typed = code == 0 or ("introspect-bench: error: " in said or "Error: " in said)
    return "" if typed and "Traceback" not in said else f"stuck: ends with {code}: {said[-800:]}"
