"""Whether an explainer reads more from a patched vector than rules fitted on train do.

    python docs/studies/split.py RUN.jsonl ... [--suite DIR]

Splits each run's changed queries of activation patching by how many of the content rules of class
`words` (`tasks/nulls`: votes of near vectors, probes on the vector, on the words, on both) name
the outcome, and prints the share of right contents in each part, beside the best single rule.
Rules and explainers answer the same queries; the rules see all of train.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np

import introspect_bench as ib
from introspect_bench.benchmark.records import WORDS, Answer
from introspect_bench.benchmark.registry import get_task
from introspect_bench.benchmark.runs.run import Run
from introspect_bench.benchmark.scoring.correct import same_content
from introspect_bench.benchmark.suite.select import find_suite
from introspect_bench.benchmark.suite.suite import Suite
from introspect_bench.tasks.nulls.columns import read_columns
from introspect_bench.tasks.nulls.patching import Seen, changed_rules

PATCHING = "activation-patching"
PARTS = {"no rule": (0, 0), "1 or 2 rules": (1, 2), "3 rules or more": (3, 99)}
"""Parts of the changed queries by how many rules are right, least and most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What rules name."""

    rules: dict[str, list[str]]
    """By id of each changed query the rules that name its outcome."""
    n_rules: int
    """How many rules there are."""
    kinds: dict[str, str]
    """Kind of each changed query."""


def named_by_rules(suite: Suite, split: str) -> Named:
    """Fit all content rules of class `words` on train and say what they name in a split."""
    kinds = get_task(PATCHING).headline_kinds
    queries = suite.queries(split)
    train, own = read_columns(suite, "train"), read_columns(suite, split)
    if kinds is not None:
        train = train.take(np.isin(train.kind.astype(str), list(kinds)))
        own = own.take(np.isin(own.kind.astype(str), list(kinds)))
        queries = tuple(query for query in queries if query.kind in kinds)
    rules = [rule for rule in changed_rules(Seen([train, own])) if rule.access == WORDS]
    right = {rule.name: rule.guessed[1][:, 0] == own.outcome for rule in rules}
    changed = [(i, query) for i, query in enumerate(queries) if own.changed[i]]
    return Named(
        rules={query.id: [name for name, hits in right.items() if hits[i]] for i, query in changed},
        n_rules=len(rules),
        kinds={query.id: query.kind for _, query in changed},
    )


def shares(run: Run, suite: Suite, named: Named) -> dict[str, str]:
    """Return the share of right contents in every part and kind, as text."""
    task, truths = get_task(PATCHING), suite.answers(run.header.task.split)
    right = {}
    for key in named.rules:
        answer, truth = task.parse(run.rows[key]["raw"]), truths[key]
        assert isinstance(truth, Answer)
        right[key] = isinstance(answer, Answer) and same_content(answer.content, truth.content)
    parts = {
        name: [key for key, rules in named.rules.items() if low <= len(rules) <= high]
        for name, (low, high) in PARTS.items()
    }
    for kind in sorted({*named.kinds.values()}):
        parts[kind] = [key for key, own in named.kinds.items() if own == kind]
    return {
        name: f"{100 * mean(right[key] for key in keys):.1f} of {len(keys)}"
        for name, keys in parts.items()
        if keys
    }


def main(words: Sequence[str]) -> int:
    """Print a line for the rules and one for each run, in per cent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN.jsonl")
    parser.add_argument("--suite", metavar="DIR", help="A suite that is not in the package.")
    options = parser.parse_args(words)
    runs = [ib.load(path) for path in options.runs]
    asked = runs[0].header.task
    suite = find_suite(options.suite or asked.suite, PATCHING)
    named = named_by_rules(suite, asked.split)
    hits = Counter(name for rules in named.rules.values() for name in rules)
    ((best, n),) = hits.most_common(1)
    lines = [
        f"{len(named.rules)} changed queries of {asked.split}, {named.n_rules} rules; best alone: "
        f"{best}, {100 * n / len(named.rules):.1f}"
    ]
    for run in runs:
        said = [f"{name} {share}" for name, share in shares(run, suite, named).items()]
        lines.append(f"{run.path.name}: {', '.join(said)}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
