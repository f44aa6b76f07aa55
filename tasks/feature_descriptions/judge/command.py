"""Judges of descriptions after a run, and how good the suite's own one is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ....benchmark.cache import OnAnswers, OnProgress, cache_dir, silent
from ....benchmark.judging.rating import rate_run
from ....benchmark.registry import suites
from ....benchmark.runs.run import read_run
from ....benchmark.scoring.grade import about
from ....benchmark.scoring.judged import EXACT
from ....benchmark.suite.select import find_suite
from .run import judge as judge_descriptions


def judge(
    path: Path | str,
    *,
    suite: str | None = None,
    judges: Sequence[str] = (),
    device: str = "cpu",
    on_fetch: OnProgress = silent,
    on_answers: OnAnswers | None = None,
) -> int:
    """Have the descriptions of a complete run judged, as `run` does at its end.

    Args:
        path: the run file; judgements are appended to it, those that are there are kept.
        suite: folder of suites, for a suite that is not in the package.
        judges: `exact-predicates`, `simulator`; the first if empty.
        device: a torch device.
        on_fetch: told what is downloaded and prepared.
        on_answers: told judge, descriptions judged, descriptions in all.

    Returns:
        How many judgements were appended.

    Raises:
        UsageError: unknown judge, an incomplete run, or answers that need no judge.
        MissingPartError: weights, network, device or disk space are missing.
        IntegrityError: a file is corrupt, or a judge is not the suite's own.
    """
    task, where = about(read_run(Path(path)), suite)
    return judge_descriptions(
        Path(path),
        task,
        where,
        names=judges,
        device=device,
        on_fetch=on_fetch,
        on_answers=on_answers,
    )


def rate(
    path: Path | str,
    *,
    suite: str | None = None,
    endpoint: str | None = None,
    model: str,
    key_variable: str | None = None,
    structured: bool = True,
    device: str = "cpu",
    on_fetch: OnProgress = silent,
) -> int:
    """Have a language model rate the descriptions of a complete run against the references.

    Args:
        path: the run file; ratings are appended to it, those that are there are kept.
        suite: folder of suites, for a suite that is not in the package.
        endpoint: address of an OpenAI-compatible server; None loads a local model.
        model: name of the model at the server, or a folder, hub id or target's name.
        key_variable: environment variable that holds the server's key.
        structured: ask the server to hold replies to a JSON schema.
        device: a torch device, for a local model.
        on_fetch: told what is going on.

    Returns:
        How many ratings were appended.

    Raises:
        CheckFailedError: more than 2 % of the replies are malformed; nothing is appended.
        UsageError: an incomplete run, answers that are no descriptions, or a request refused.
        MissingPartError: the judge cannot be reached or loaded.
        IntegrityError: a file is corrupt.
    """
    found = read_run(Path(path))
    task, where = about(found, suite)
    cache = cache_dir() / "judge"
    if endpoint is None:
        from ....benchmark.backends.explainer.load import load_judge

        local = load_judge(model, device=device, on_progress=on_fetch)
        return rate_run(
            Path(path), task=task, suite=where, judge=local, cache=cache, on_progress=on_fetch
        )
    from ....benchmark.judging.endpoint import EndpointJudge

    with EndpointJudge(
        endpoint, model, key_variable=key_variable, structured=structured
    ) as judge_there:
        return rate_run(
            Path(path), task=task, suite=where, judge=judge_there, cache=cache, on_progress=on_fetch
        )


def show_judge(
    suite: str | None = None,
    *,
    measure: bool = False,
    device: str = "cpu",
    on_fetch: OnProgress = silent,
) -> dict[str, Any]:
    """Say what a suite's judge makes of descriptions whose worth is known, on the test split.

    Args:
        suite: a shipped suite or a folder of suites; the first shipped one if None.
        measure: measure it again instead of reading what the suite says.
        device: a torch device, for measuring.
        on_fetch: told what is downloaded and prepared.

    Returns:
        `judge`, its id, and what `measure_judge` of the task's `judge/quality.py` gives.

    Raises:
        UsageError: unknown suite, or it has no such task.
        MissingPartError: weights or device are missing; only if it is measured.
        IntegrityError: a file is corrupt.
    """
    from ..task import NAME

    found = find_suite(suites()[0] if suite is None else suite, NAME)
    named = {"judge": found.manifest["judges"][EXACT]}
    if not measure:
        return {**named, **found.manifest["statistics"]["judge"]["test"]}
    from ..predicates.lexicon import shipped_lexicon
    from .judges import open_exact
    from .quality import measure_judge, read_split

    found.verify()
    judge = open_exact(found, device, on_fetch)
    on_fetch("judging five descriptions of every feature", 0, None)
    seed = found.manifest["seed"]
    return named | measure_judge(
        read_split(found, "test"), judge.judge, shipped_lexicon(), seed=seed
    )
