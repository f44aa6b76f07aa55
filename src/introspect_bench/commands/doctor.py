"""`introspect-bench doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .. import api
from ..bars import progress
from ..benchmark.errors import CheckFailedError
from ..console import emit_json, emit_labels, emit_table, printable


@click.command()
@click.option("--target", default="smollm2-135m", show_default=True, metavar="NAME")
@click.option("--device", default="cpu", show_default=True)
@click.option("--suite", metavar="NAME", help="Its labels are measured again. Default: shipped.")
@click.option("--split", default="mini", show_default=True, help="Queries whose labels are.")
@click.option("--limit", type=int, metavar="N", help="Only the first N of each task.")
@click.option("--batch-size", type=int, metavar="N", help="Rows in one batch, for labels.")
@click.option("--report", is_flag=True, help="The whole trust report, in Markdown.")
@click.option(
    "--fill",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Only write the report's tables between the markers of this page; runs no model.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(
    target: str, device: str, report: bool, fill: Path | None, as_json: bool, **options: Any
) -> None:
    """Test that interventions do what they say, and count labels that come out again.

    Fails if one of the checks fails on the target model, or if metrics or prompts give other
    outputs than the recorded ones. Labels of patching and ablations are measured again by carrying
    out each query's intervention on this machine; a label whose margin is small may differ on
    another one. --report adds what manifests and scripts found: flip rates, null models, faults.
    """
    if fill is not None:
        said = "wrote" if api.doctor_fill(fill) else "nothing to change in"
        click.echo(f"{said} {fill}", err=True)
        return
    with progress() as bar:
        found = api.doctor_report(target, device=device, progress=bar, **options)
    if as_json:
        emit_json(found if report else {name: found[name] for name in SHOWN})
    elif report:
        from ..trust import report_text

        click.echo(printable(report_text(found), keep="\n"), nl=False)
    else:
        emit_table(
            ("verdict", "check", "found"),
            [("pass" if c["passed"] else "FAIL", c["name"], c["detail"]) for c in found["checks"]],
        )
        emit_labels(found["labels"])
        for name, one in found["versions"].items():
            click.echo(f"{name}: {one['computed']}, recorded {one['recorded']}")
    _fail(target, found)


SHOWN = ("target", "device", "checks", "labels", "versions")  # Without --report


def _fail(target: str, found: Mapping[str, Any]) -> None:
    """Raise an error if something is not as it should be."""
    checks = found["checks"]
    failed = [check["name"] for check in checks if not check["passed"]]
    if failed:
        raise CheckFailedError(
            f"{len(failed)} of {len(checks)} checks failed on {target}: {', '.join(failed)}"
        )
    for name, one in found["versions"].items():
        if one["computed"] != one["recorded"]:
            raise CheckFailedError(
                f"{name} is recorded as {one['recorded']}, outputs here give {one['computed']}; "
                "other versions of libraries, or changed code: scores may not be comparable"
            )
