"""Workflow A: check a pull request as data, without checking it out; write a JSON report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from introspect_bench.benchmark.errors import IntrospectBenchError
from introspect_bench.benchmark.files import write_json_atomic
from introspect_bench.leaderboard.submissions.pull_request import check_pull_request


def main(words: list[str] | None = None) -> int:
    """Check and report; the exit code is the report's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path())
    parser.add_argument("--base", required=True, help="commit that is merged into")
    parser.add_argument("--head", required=True, help="commit of the merge")
    parser.add_argument("--author", help="login of who opened it")
    parser.add_argument("--work", type=Path, required=True, help="a folder that does not exist")
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--suite", help="folder of suites that are not in the package")
    given = parser.parse_args(words)
    try:
        report = check_pull_request(
            given.repository,
            base=given.base,
            head=given.head,
            work=given.work,
            author=given.author,
            suite=given.suite,
        )
    except IntrospectBenchError as error:
        sys.stderr.write(f"{str(error)!a}\n")
        return error.exit_code
    write_json_atomic(given.report, report)
    own = report["entry"]["findings"] if report["entry"] else []
    for finding in [*report["findings"], *own]:
        # in ASCII with escapes: a line of a log can be a command to the runner
        place = f"{finding['file']}:{finding['line'] or 1}"
        sys.stdout.write(f" {finding['level']}: {place!a}: {finding['found']!a}\n")
    return int(report["exit_code"])


if __name__ == "__main__":
    sys.exit(main())
