"""Making a suite: which target, where to, and what a killed build goes on from.

Owns names and folders; measuring is the tasks' own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ...benchmark import files
from ...benchmark.cache import Progress, cache_dir, silent
from ...benchmark.errors import MissingPartError, UsageError
from ...benchmark.models.fetch import prepare_target
from ...benchmark.models.targets import TargetSpec, resolve_target
from ...benchmark.registry import get_task
from ...benchmark.suite.select import find_suite, tasks_of
from ...benchmark.suite.suite import Suite
from ..facts.facts import FACTS_SHA256
from ..nulls.command import encoder
from .make import FEATURES, RESERVE, builder_of, make_suite
from .order import MakeOptions, Order, Report

WEIGHTS = ("weights_sha256", "tensors_sha256", "tokenizer_sha256")
"""What a target's outputs depend on."""


def make_data(
    target: str,
    task: str,
    *,
    seed: int = 0,
    device: str = "cpu",
    out_dir: Path | str = "suites",
    fresh_of: str | None = None,
    progress: Progress = silent,
    **options: Any,
) -> tuple[Path, dict[str, Any]]:
    """Make the suite of a task for a target from nothing, or go on where a killed build was.

    Return its folder and manifest. `target` is a named target, a folder, or `org/model@commit`;
    `out_dir` gets `SUITE/TASK/VERSION`, and `--suite OUT_DIR/SUITE` then runs it. With `fresh_of`,
    a shipped suite or a folder of suites, only a test split is made, of facts that none of its
    splits has, and nulls are fitted on its train. Other options are those of `MakeOptions`.

    Raises UsageError: unknown target, task or device, a hub id without a commit, the suite exists,
    or another process is building it; MissingPartError: weights or device are missing, or the disk
    is full; IntegrityError: weights are corrupt; CheckFailedError: a self-test or a bar failed;
    nothing is frozen. If bars were missed it is a `NotFrozenError`, with the statistics.
    """
    version = _check_early(task, device, options)
    public = None if fresh_of is None else _public(fresh_of, task)
    spec = resolve_target(target, pinned=True)
    folder = prepare_target(spec, progress=progress)
    described = describe(spec, folder)
    _check_target(public, described)
    name = spec.name.rpartition("/")[2].lower()
    order = Order(
        suite=name,
        task=task,
        target=described,
        folder=folder,
        seed=seed,
        out=Path(out_dir) / name / task / version,
        work=cache_dir() / "work",
        public=None if public is None else public.root,
        device=device,
        **options,
    )
    order = replace(order, work=order.work / f"{name}-{task}-{_digest(order)}")
    _make_room(order.out)
    load, rounded = (partial(one, folder, device) for one in (_load, _load_rounded))
    if public is not None:  # frozen suites were made with the head as it is
        load, rounded = (partial(_flat, one) for one in (load, rounded))
    report = _summed(progress)
    return order.out, make_suite(order, load, rounded, report, partial(encoder, progress))


def describe(spec: TargetSpec, folder: Path) -> dict[str, Any]:
    """Return what a suite's manifest says of its target.

    Raises MissingPartError: it has no `tokenizer.json`.
    """
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise MissingPartError(f"{folder} holds no tokenizer.json; save it beside the weights")
    return {
        "name": spec.name,
        "source": spec.source,
        "location": spec.location,
        "revision": spec.revision,
        "licence": spec.licence,
        "n_layers": spec.n_layers,
        "d_model": spec.d_model,
        "weights_sha256": dict(spec.files),
        "tensors_sha256": spec.tensors_sha256,
        "tokenizer_sha256": files.sha256_file(tokenizer),
    }


def _public(suite: str, task: str) -> Suite:
    """The suite whose test is made anew."""
    public = find_suite(suite, task)
    if public.describes:
        raise UsageError(f"{task}: no fresh test split can be made, its features are the target's")
    return public


def _check_target(public: Suite | None, target: Mapping[str, Any]) -> None:
    """Refuse a fresh split for another target than the suite's."""
    for name in ("weights_sha256", "tensors_sha256"):
        if public is not None and public.manifest["target"].get(name) != target[name]:
            raise UsageError(f"{public.root}: its target has another {name} than {target['name']}")


def _digest(order: Order) -> str:
    """Hash of all that rows of a journal depend on besides their key, in 12 hexadecimal digits."""
    identity = {
        "target": {name: order.target[name] for name in WEIGHTS},
        "task": order.task,
        "version": get_task(order.task).version,
        "seed": order.seed,
        "build": builder_of(order.task).BUILD,
        "facts_sha256": FACTS_SHA256,
        "device": order.device,
    }
    if order.public is not None:
        identity |= {"facts": RESERVE, "head": "flat"}
    if order.task == FEATURES:  # the journals of causal tasks serve all sizes
        identity["sizes"] = {key: str(value) for key, value in (order.sizes or {}).items()}
    return files.sha256_bytes(files.canonical_json(identity).encode())[:12]


def _make_room(out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.write_error(out, error) from error


def _check_early(task: str, device: str, options: Mapping[str, Any]) -> str:
    """Refuse what needs no download to be refused; return the task's version."""
    MakeOptions(**options)
    version = get_task(task).version
    _check_device(device)
    return version


def _check_device(name: str) -> None:
    from ...benchmark.backends.models.devices import usable_device

    usable_device(name)


def _load(folder: Path, device: str) -> Any:
    from ...benchmark.backends.models.target_model import load_target_model

    return load_target_model(folder, device=device)


def _flat(load: Callable[[], Any]) -> Any:
    from ...benchmark.backends.models.target_model import with_flat_head

    model = load()
    with_flat_head(model)
    return model


def _load_rounded(folder: Path, device: str) -> Any:
    from ...benchmark.backends.models.target_model import with_rounded_weights

    model = _load(folder, device)
    with_rounded_weights(model)
    return model


def _summed(progress: Progress) -> Report:
    """Turn "n more" into "n so far"."""
    done: Counter[str] = Counter()

    def report(stage: str, more: int) -> None:
        done[stage] += more
        progress(stage, done[stage])

    return report


def hold_out_data(
    suite: str, n: int, out_dir: Path | str, *, tasks: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Hold a part of a suite's train out as the validation split of a suite of its own.

    Return for each task `task`, `path`, `queries` by split and what `held_out` says.

    Raises UsageError: unknown suite or task, one without interventions, the folder is there, or
    train has not so many queries; IntegrityError: a file of the suite is corrupt; MissingPartError:
    the disk is full, or the folder can't be written.
    """
    from ..hold_out import hold_out

    rows = []
    for task, found in tasks_of(suite, tasks):
        if found.describes and not tasks:
            continue
        path = Path(out_dir) / task.name / task.version
        manifest = hold_out(found, n, path)
        counts = {split: own["queries"] for split, own in manifest["splits"].items()}
        row = {"task": task.name, "path": str(path), "queries": counts}
        rows.append({**row, "held_out": manifest["held_out"]})
    return rows
