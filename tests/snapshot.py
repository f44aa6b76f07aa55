"""What users see, in one file: taken before a change of structure and after, and compared.

    python tests/snapshot.py OUT.json [--against BEFORE.json] [--work DIR]

Calls the command line alone, so that no rename of a module changes it; a verb that is renamed is
changed in `VERBS`. Run files are compared without times, identifiers and versions. Every part is
stored as a value if it is small and as a hash beside its file in `--work` if it is not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = "smollm2-135m"
TASKS = ("activation-patching", "feature-descriptions", "input-ablations")
VERBS = {"board": ("board",)}
PASSING = {
    "ms", "run_id", "created", "seconds", "commit", "dirty", "package", "env", "body_sha256",
    "tokens_per_second", "started", "finished", "time", "minutes", "sha256", "generation",
    "eval_runtime", "eval_samples_per_second", "eval_steps_per_second",
}  # fmt: skip
"""Keys that differ between two equal runs."""
USAGE = 2
"""Exit code of a request that makes no sense."""
INJECTIONS = ("embedding", "add:2", "replace:2", "own-layers", "quoted-token", "replay")


def call(*words: str, may_refuse: bool = False) -> str:
    """Standard output of a command that has to succeed, or may be refused as wrong usage."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    command = [sys.executable, "-m", "introspect_bench", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode == USAGE and may_refuse:
        return done.stderr
    if done.returncode:
        sys.exit(
            f"{' '.join(command)}: {done.returncode}\n{done.stdout[-500:]}{done.stderr[-2000:]}"
        )
    return done.stdout


def still(value: Any) -> Any:
    """A JSON value without what differs between equal runs; floats to nine digits."""
    if isinstance(value, dict):
        return {k: still(v) for k, v in sorted(value.items()) if k not in PASSING}
    if isinstance(value, list):
        return [still(v) for v in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def rows_of(path: Path) -> list[Any]:
    """Lines of a JSONL file, comparable."""
    return [still(json.loads(line)) for line in path.read_text().splitlines()]


def ask(work: Path, name: str, *words: str) -> dict[str, list[Any]]:
    """Run files of one call of `run`, by file name; none if it is refused."""
    folder = work / "asked" / name
    shutil.rmtree(folder, ignore_errors=True)
    call("run", *words, "-o", str(folder), "--no-score", may_refuse=True)
    return {path.name: rows_of(path) for path in sorted(folder.glob("*.jsonl"))}


def submitted() -> Iterator[tuple[str, Any]]:
    """Scores of every submitted run, ten comparisons, the page and the report."""
    runs = sorted((ROOT / "submissions").glob("**/*.jsonl"))
    runs = [path for path in runs if path.name != "ledger.jsonl"]
    for path in runs:
        yield (
            f"score {path.relative_to(ROOT)}",
            still(json.loads(call("score", str(path), "--json"))),
        )
    by_task = {t: [p for p in runs if f".{t}." in p.name] for t in TASKS}
    pairs = [
        (of[i], of[i + 1]) for of in by_task.values() for i in range(0, min(7, len(of) - 1), 2)
    ]
    for one, two in pairs[:10]:
        words = ("compare", str(one), str(two), "--common", "--json")
        yield f"compare {one.stem} {two.stem}", still(json.loads(call(*words)))
    if runs:
        with tempfile.TemporaryDirectory() as folder:
            call(*VERBS["board"], "build", "-o", folder)
            files = (p for p in sorted(Path(folder).glob("**/*")) if p.is_file())
            yield "page", {str(p.relative_to(folder)): digest(p.read_bytes()) for p in files}
        yield "report", call(*VERBS["board"], "report")
    for name in ("README.md", "RESULTS.md"):
        text = (ROOT / name).read_text() if (ROOT / name).exists() else ""
        yield f"tables of {name}", re.findall(r"^\|.*\|$", text, re.MULTILINE)
    yield "data verify", still(json.loads(call("data", "verify", "--json")))
    yield "nulls", still(json.loads(call("data", "nulls", "--json")))


def asked(work: Path) -> Iterator[tuple[str, Any]]:
    """Replies of baselines, of local models with every injection, and of the shipped reference."""
    for row in json.loads(call("ls", "baselines", "--json"))["baselines"]:
        name = row["model"]
        for task in TASKS:
            of_mini = ("-m", name, "-t", task, "--split", "mini")
            yield f"{name} {task}", ask(work, f"{Path(name).name}-{task}", *of_mini)
    shipped = (ROOT / "baselines" / "explainers").glob("*/explainer.json")
    for model in ("reference/smollm2-self",) if any(shipped) else ():
        yield model, ask(work, "reference", "-m", model, "--split", "mini")
    for mode in INJECTIONS:
        for task in TASKS[:1] if mode in ("quoted-token", "replay") else TASKS:
            part = ("-t", task, "--split", "validation", "--limit", "20")
            answers = ask(work, f"{mode}-{task}", "-m", TARGET, *part, "--injection", mode)
            yield f"{mode} {task}", answers


def trained(work: Path) -> Iterator[tuple[str, Any]]:
    """The loss curve of 64 queries, and a run that goes on from half a file."""
    folder = work / "trained"
    shutil.rmtree(folder, ignore_errors=True)
    learn = ("-b", TARGET, "-t", TASKS[0], "--n-train", "64", "--injection", "own-layers")
    call("train", *learn, "--precision", "float32", "-o", str(folder))
    yield "training", rows_of(folder / "training.jsonl")
    whole = ask(work, "resumed", "-m", str(folder), "-t", TASKS[0], "--split", "mini")
    (path,) = (work / "asked" / "resumed").glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]) + lines[len(lines) // 2][:20])
    words = ("-m", str(folder), "-t", TASKS[0], "--split", "mini", "--no-score")
    call("run", *words, "-o", str(path.parent))
    yield "resumed equals whole", rows_of(path) == next(iter(whole.values()))
    yield "run of trained", whole


def digest(content: bytes) -> str:
    """Sha256 as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """Take a snapshot; with `--against`, name what differs and exit with 1 if anything does."""
    parser = argparse.ArgumentParser(description="Snapshot of what users see.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "snapshot")
    options = parser.parse_args()
    parts = options.work / "parts" / options.output.stem
    parts.mkdir(parents=True, exist_ok=True)
    found: dict[str, str] = {}
    for produce in (submitted, lambda: asked(options.work), lambda: trained(options.work)):
        for name, value in produce():
            text = json.dumps(value, indent=1, ensure_ascii=False)
            (parts / f"{re.sub('[^A-Za-z0-9.]+', '-', name)[:150]}.json").write_text(text)
            found[name] = digest(text.encode())
            print(name, found[name][:12], flush=True)  # noqa: T201
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    if options.against:
        before = json.loads(options.against.read_text())
        names = sorted(before.keys() | found.keys())
        wrong = [name for name in names if before.get(name) != found.get(name)]
        print(f"{len(names) - len(wrong)} of {len(names)} equal", *wrong, sep="\ndiffers: ")  # noqa: T201
        sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
