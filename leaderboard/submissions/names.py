"""Names that are the benchmark's own: nobody else's entry or explainer may be taken for one."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

from ...benchmark.models.targets import TARGETS
from ...benchmark.registry import BASELINE, REFERENCE, provided_baselines, suites, tasks
from ...benchmark.runs.run import Run
from ...benchmark.suite.select import shipped_suite
from .copies import OWN_ORG
from .entries import ENTRY, Entry
from .findings import Finding, failed_check
from .schema import ENTRY_ID, OWN_KINDS, org_of
from .text_rules import skeleton


@functools.cache
def official_names() -> Mapping[str, str]:
    """Return baselines, reference explainers, nulls and targets, by what the eye sees of a name."""
    named = [*(spec.name for spec in provided_baselines().BASELINES)]
    named += [*provided_baselines().reference_names(), *(spec.name for spec in TARGETS)]
    for suite, task in ((suite, task) for suite in suites() for task in tasks()):
        nulls = shipped_suite(suite, task.name).manifest.get("nulls", {})
        named += [row["name"] for rows in nulls.values() for row in rows]
    return {skeleton(name): name for name in named}


def official(name: str) -> str | None:
    """Return the official name that a name equals to the eye: case, blanks and look-alikes aside.

    Whatever follows `baseline/` or `reference/` is official.
    """
    seen = skeleton(name)
    for prefix in (BASELINE, REFERENCE):
        if "/" in name and seen.startswith(skeleton(prefix)):
            seen = seen.removeprefix(skeleton(prefix))
            return official_names().get(seen, name)
    return official_names().get(seen)


def name_findings(entry: Entry, runs: Mapping[str, Run]) -> Iterator[Finding]:
    """Yield names of others that equal official ones; a baseline that was run keeps its own."""
    if org_of(entry.id) == OWN_ORG:
        return
    ran = {run.header.explainer.name: run for run in runs.values()}
    own = {
        official(name) for name, run in ran.items() if run.header.explainer.kind in OWN_KINDS
    } - {None}
    expected = "a name that none of the benchmark's own resembles"
    match = ENTRY_ID.fullmatch(entry.id)
    for name in dict.fromkeys((entry.fields.name, match["name"] if match else "")):
        if (known := official(name)) is not None and known not in own:
            said = f"the name {name} is easily taken for {known}, which is the benchmark's own"
            yield failed_check(entry.folder / ENTRY, None, said, expected, "choose another name")
    for name, run in ran.items():
        known = official(name)
        a_target = known in {spec.name for spec in TARGETS}  # hashes say what it loaded
        if known is not None and known not in own and not a_target:
            said = f"explainer.name {name[:80]!r} is easily taken for {known}, which it is not"
            fix = "run it under a name of its own"
            yield failed_check(run.path, 1, said, expected, fix)
