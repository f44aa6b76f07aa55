"""Judges of descriptions after a run, and how good the suite's own one is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ....benchmark.cache import Progress, cache_dir, silent
from ....benchmark.errors import UsageError
from ....benchmark.judging.rating import rate_run
from ....benchmark.judging.rubric import Judge as LanguageJudge
from ....benchmark.registry import suites
from ....benchmark.runs.run import read_run, run_files
from ....benchmark.scoring.grade import about
from ....benchmark.scoring.judged import EXACT
from ....benchmark.suite.select import find_suite
from ....benchmark.suite.suite import Suite
from ....benchmark.task import Task
from .run import judge as judge_descriptions


def judge(
    path: Path | str,
    *,
    suite: str | None = None,
    judges: Sequence[str] = (),
    device: str = "cpu",
    progress: Progress = silent,
) -> int:
    """Have the descriptions of complete runs judged, as `run` does at its end; returns how many.

    `path` is a run file or a folder, in which runs of other tasks are passed over. Judgements are
    appended to the run file, those that are there are kept. `suite` is a folder of
    suites, for one that is not in the package; `judges` are of `exact-predicates` and `simulator`,
    the first if empty.
    """
    from .judges import check_names

    check_names(judges)
    return sum(
        judge_descriptions(one, task, where, names=judges, device=device, progress=progress)
        for one, task, where in _described(path, suite)
    )


def _described(path: Path | str, suite: str | None) -> list[tuple[Path, Task, Suite]]:
    """Return run files with task and suite; of a folder those that hold descriptions."""
    found = [(one, *about(read_run(one), suite)) for one in run_files(path)]
    kept = [one for one in found if one[2].describes or not Path(path).is_dir()]
    if not kept:
        raise UsageError(f"{path}: no run in this folder holds descriptions; nothing to judge")
    return kept


def rate(
    path: Path | str,
    *,
    suite: str | None = None,
    endpoint: str | None = None,
    model: str,
    key_variable: str | None = None,
    structured: bool = True,
    device: str = "cpu",
    progress: Progress = silent,
) -> int:
    """Have a language model rate the descriptions of complete runs against the references.

    Ratings are appended to the run file, those that are there are kept; returns how many. If more
    than 2 % of the replies are malformed (`CheckFailedError`), nothing is appended.

    `suite` is a folder of suites, for one that is not in the package. `endpoint` is the address of
    an OpenAI-compatible server, which `model` is a name at, with the environment variable that
    holds its key, and `structured` to have it hold replies to a JSON schema; without one `model` is
    a folder, hub id or target's name, loaded on a device.
    """
    runs, cache = _described(path, suite), cache_dir() / "judge"

    def rated(judge: LanguageJudge) -> int:
        return sum(
            rate_run(one, task=task, suite=where, judge=judge, cache=cache, progress=progress)
            for one, task, where in runs
        )

    if endpoint is None:
        from ....benchmark.backends.explainer.local_judge import load_judge

        return rated(load_judge(model, device=device, progress=progress))
    from ....benchmark.judging.endpoint import EndpointJudge

    with EndpointJudge(
        endpoint, model, key_variable=key_variable, structured=structured
    ) as judge_there:
        return rated(judge_there)


def show_judge(
    suite: str | None = None,
    *,
    measure: bool = False,
    device: str = "cpu",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Say what a suite's judge makes of descriptions whose worth is known, on the test split.

    `suite` is a shipped suite or a folder of suites; the first shipped one if None. Returns
    `judge`, its id, and what `measure_judge` of `judge/quality.py` gives, as the suite says it or
    measured again on a device.
    """
    from ..task import NAME

    found = find_suite(suites()[0] if suite is None else suite, NAME)
    named = {"judge": found.manifest["judges"][EXACT]}
    if not measure:
        return {**named, **found.manifest["statistics"]["judge"]["test"]}
    from .judges import open_exact
    from .quality import measure_judge, read_split

    found.verify()
    judge = open_exact(found, device, progress)
    progress("judging five descriptions of every feature")
    seed = found.manifest["seed"]
    return named | measure_judge(read_split(found, "test"), judge.judge, seed=seed)
