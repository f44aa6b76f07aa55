"""An explainer or judges asked again; nothing that a submission names is ever loaded.

User code can be asked in a process that holds no weights of its suite's target.
"""

from __future__ import annotations

import os
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...benchmark import errors
from ...benchmark.cache import CACHE_VARIABLE, Progress, cache_dir
from ...benchmark.endpoint.limits import EndpointSpec
from ...benchmark.errors import CheckFailedError, UsageError
from ...benchmark.evaluation.run import run as run_again
from ...benchmark.evaluation.spec import RunSpec
from ...benchmark.evaluation.text_models import TEXT_KINDS
from ...benchmark.files import read_json, write_json_atomic
from ...benchmark.metrics.verdicts import normalise_content
from ...benchmark.models.fetch import prepared_dir
from ...benchmark.models.targets import named_targets, target_record
from ...benchmark.models.withheld import Withheld
from ...benchmark.records import Answer, Replied
from ...benchmark.registry import provided_tasks
from ...benchmark.runs.header import OWN_CODE
from ...benchmark.runs.run import MAX_ROWS, Run, read_replies
from ...benchmark.scoring.grade import about
from ...benchmark.suite.suite import Suite

PROCESS = f"{__package__}.recheck"  # the module that runs there
ORDER, ANSWER = "order.json", "answer.json"  # files through which the two processes speak
SAID = ("UsageError", "MissingPartError", "IntegrityError", "CheckFailedError")
"""Errors that say nothing about the explainer and are raised again here."""
SAMPLE = 20  # queries of each task that are asked again unless more are wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """How an entry is checked."""

    # Queries of each task that are asked again, all if it has fewer; `SAMPLE` if None, or all
    # without the target.
    k: int | None = None
    # Who is asked; only a baseline can be left out, a submission never names what is loaded.
    model: str | None = None
    tasks: Sequence[str] = ()  # tasks to check; all of the entry if empty
    # Text that goes into the choice of queries; fresh if None. An entry could be changed
    # until a choice that depends on its bytes alone falls on the queries that were really
    # asked.
    nonce: str | None = None
    judgements: bool = False  # ask the frozen judges of descriptions instead of the explainer
    suite: str | None = None  # folder of suites, for suites that are not in the package
    without_target: bool = False  # ask in a process that holds no weights of the target
    fresh: str | None = None  # folder of a fresh suite, all of whose queries are asked instead
    device: str = "cpu"
    dtype: str | None = None  # dtype of the weights; the entry's own if None
    endpoint: str | None = None  # server of an `openai:NAME`, up to `/v1`; OpenAI's if None
    key_env: str | None = None  # environment variable with its key

    @property
    def most(self) -> int:
        """The most queries of a task that are asked again."""
        if self.k is not None:
            return self.k
        return MAX_ROWS if self.without_target else SAMPLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What was found for one task."""

    task: str
    asked: int  # queries or judgements made again
    agreed: int  # how many came out the same: the same answer, or the same judgement
    identical: int  # how many raw replies have the same bytes; equal to `agreed` for judgements
    whole: bool  # whether these were all the entry has
    differing: tuple[str, ...]  # ids of queries that did not come out the same


def ask_again(run: Run, qids: Sequence[str], check: Recheck, progress: Progress) -> Agreement:
    """Ask an explainer some queries of a run again and compare answers."""
    task, suite = about(run, check.suite)
    with tempfile.TemporaryDirectory(prefix="introspect-bench-") as work:
        request = request_again(run, check, output=Path(work), queries=list(qids))
        (again,) = run_again(request, progress=progress)
        check_same_explainer(run, again)
        new = {one.query.id: one for one in read_replies(again, task, suite)}
    old = {one.query.id: one for one in read_replies(run, task, suite)}
    same = {qid: _same(old[qid], new[qid]) for qid in qids}
    identical = sum(old[qid].raw == new[qid].raw for qid in qids)
    return _agreement(run, len(qids), same, identical)


def judge_again(run: Run, qids: Sequence[str], check: Recheck, progress: Progress) -> Agreement:
    """Have a suite's judges judge some answers of a run again and compare what they find."""
    task, suite = about(run, check.suite)
    same = provided_tasks().judge_again(
        run.path, task, suite, qids=qids, device=check.device, progress=progress
    )
    return _agreement(run, len(qids), dict(sorted(same.items())), sum(same.values()))


def _agreement(run: Run, chosen: int, same: Mapping[str, bool], identical: int) -> Agreement:
    return Agreement(
        task=run.header.task.id,
        asked=len(same),
        agreed=sum(same.values()),
        identical=identical,
        whole=chosen == len(run.rows),
        differing=tuple(qid for qid, equal in same.items() if not equal),
    )


def request_again(
    run: Run,
    check: Recheck,
    *,
    output: Path,
    queries: Sequence[str] | None = None,
    suite: str | None = None,
    judge: bool = False,
) -> RunSpec:
    """Return the request that repeats a run, as far as its header says what it was."""
    said, explainer = run.header.task, run.header.explainer
    return RunSpec(
        model=_model(run, check.model),
        suite=suite or check.suite or said.suite,
        tasks=[said.id],
        split=said.split,
        queries=queries,
        output=output,
        judge=judge,
        device=check.device,
        shots=explainer.shots,
        no_vector=explainer.no_vector,
        shuffle_vectors=explainer.shuffled_vectors,
        **_settings(run, check),
    )


def check_same_explainer(run: Run, again: Run) -> None:
    """Refuse an answer from somebody else."""
    old, new = run.header.explainer, again.header.explainer
    for name in ("weights_sha256", "kind"):
        if getattr(new, name) != getattr(old, name):
            raise CheckFailedError(
                f"{run.path}: {new.name} has another {name} than the entry; give --model the "
                "same weights"
            )
    if again.header.access != run.header.access:
        raise CheckFailedError(
            f"{run.path}: access is {run.header.access} in the entry and "
            f"{again.header.access} when {new.name} is asked"
        )


def _model(run: Run, given: str | None) -> str:
    """Return who is asked; what a submission says is loaded only if it is one of our baselines."""
    if given is not None:
        return given
    name = run.header.explainer.name
    if name.startswith("baseline/"):
        return name
    raise UsageError(
        f"{run.path}: a submission never chooses what is loaded; look at {name[:80]!r} and give it "
        "as --model"
    )


def _settings(run: Run, check: Recheck) -> dict[str, Any]:
    from ...benchmark.backends.injection.spec import Injection

    explainer, generation = run.header.explainer, run.header.generation
    kept = explainer.settings
    found: dict[str, Any] = {"seed": generation.seed, "batch_size": generation.batch_size}
    if explainer.kind == "custom":
        arguments = {name: value for name, value in kept.items() if name not in OWN_CODE}
        return found | {"dtype": check.dtype or "auto", "explainer_args": arguments}
    if explainer.kind in TEXT_KINDS:
        # what was left out of requests to an endpoint is left out again
        fields = {"temperature": None, **kept["request"]} if "request" in kept else {}
        return (
            found
            | _server(check)
            | {
                "explainer_args": fields,
                "max_new_tokens": generation.max_new_tokens,
                "system": generation.system or None,
            }
        )
    if explainer.kind != "local":
        return found | {"dtype": check.dtype or "auto", "n_train": kept.get("n_train")}
    return found | {
        **{name: str(kept[name]) if kept.get(name) else None for name in ("family", "decoding")},
        "system": generation.system or None,
        "dtype": check.dtype or kept.get("dtype", "auto"),
        "injection": Injection.from_json(kept["injection"]) if kept.get("injection") else None,
        "max_new_tokens": generation.max_new_tokens,
        "thinking": True if generation.thinking else None,
    }


def _server(check: Recheck) -> dict[str, Any]:
    said = {"url": check.endpoint, "key_env": check.key_env}
    given: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    return {"endpoint": EndpointSpec(**given)} if given else {}


def _same(old: Replied, new: Replied) -> bool:
    """Whether two replies say the same, or both say nothing that can be read."""
    if isinstance(old.answer, Answer) and isinstance(new.answer, Answer):
        contents = {normalise_content(one.content) for one in (old.answer, new.answer)}
        return old.answer.changed == new.answer.changed and len(contents) == 1
    return old.answer == new.answer


def ask_without_target(entry: Path, check: Recheck, run: Run) -> dict[str, Any]:
    """Check an entry in a process of its own; return what `recheck` does, or why it could not."""
    if run.header.explainer.kind != "custom":
        raise UsageError(
            f"{entry}: --without-target is for user code; the access of all else is set"
        )
    target = _target(about(run, check.suite)[1])
    with tempfile.TemporaryDirectory(prefix="introspect-bench-") as work:
        folder = Path(work)
        options = asdict(replace(check, without_target=False, k=check.most))
        write_json_atomic(folder / ORDER, {"entry": str(entry.absolute()), "check": options})
        done = subprocess.run(
            [sys.executable, "-m", PROCESS, work],
            env={**os.environ, **target.as_environment(), **_places(folder, target)},
            check=False,
        )
        if not (folder / ANSWER).is_file():
            raise CheckFailedError(
                f"{entry}: the process without {target.name} ended with exit code "
                f"{done.returncode} and no answer; see what it wrote above"
            )
        answer = read_json(folder / ANSWER)
    if answer.get("error") in SAID:
        raise getattr(errors, answer["error"])(answer["said"])
    return answer


def _target(suite: Suite) -> Withheld:
    """Return what is withheld of a suite's target: names, hashes and places on this machine."""
    said = suite.manifest["target"]
    name, hashes = str(said.get("name")), {str(one) for one in said["weights_sha256"].values()}
    folders = [Path(said["location"])] if said.get("source") == "local" else []
    spec = next((one for one in named_targets() if one.name == name), None)
    if spec is not None and prepared_dir(spec).is_dir():
        folders.append(prepared_dir(spec))
        stamps = target_record(prepared_dir(spec))["files"]
        hashes |= {stamp["sha256"] for file, stamp in stamps.items() if "safetensors" in file}
    if said.get("source") == "hub":
        from huggingface_hub.constants import HF_HUB_CACHE

        folders.append(Path(HF_HUB_CACHE) / f"models--{said['location'].replace('/', '--')}")
    places = [str(folder.absolute()) for folder in folders]
    return Withheld(name=name, weights_sha256=sorted(hashes), folders=places)


def _places(work: Path, target: Withheld) -> dict[str, str]:
    """Return variables that lead to an empty home, and to a cache without the target."""
    (work / "home").mkdir()
    cache = work / "cache"
    for member in _members(cache_dir()):
        inside = _members(member) if member.name == "targets" else [member]
        for one in inside if member.name != "downloads" else ():
            if str(one.absolute()) not in target.folders:
                link = cache / one.relative_to(cache_dir())
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(one.absolute())
    home = Path.home()
    return {
        "HOME": str(work / "home"),
        CACHE_VARIABLE: str(cache),
        "HF_HOME": os.environ.get("HF_HOME", str(home / ".cache" / "huggingface")),
        "PYTHONUSERBASE": site.getuserbase(),
    }


def _members(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.iterdir()) if folder.is_dir() else ())
