"""`introspect-bench doctor`."""

from __future__ import annotations

from typing import Any

import click

from .. import api
from ..bars import progress
from ..benchmark.errors import CheckFailedError
from ..console import emit_json, emit_labels, emit_table


@click.command()
@click.option("--target", default="smollm2-135m", show_default=True, metavar="NAME")
@click.option("--device", default="cpu", show_default=True)
@click.option("--suite", metavar="NAME", help="Its labels are measured again. Default: shipped.")
@click.option("--split", default="mini", show_default=True, help="Queries whose labels are.")
@click.option("--batch-size", type=int, metavar="N", help="Rows in one batch, for labels.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(target: str, device: str, as_json: bool, **options: Any) -> None:
    """Test that interventions do what they say, and count labels that come out again.

    Fails if one of the checks fails on the target model. Labels of patching and ablations are
    measured again by carrying out each query's intervention on this machine; a label whose margin
    is small may differ on another one.
    """
    with progress() as bar:
        checks = api.doctor(target, device=device, progress=bar)
        counts = api.labels(target, device=device, progress=bar, **options)
    if as_json:
        emit_json({"target": target, "device": device, "checks": checks, "labels": counts})
    else:
        emit_table(
            ("verdict", "check", "found"),
            [("pass" if c["passed"] else "FAIL", c["name"], c["detail"]) for c in checks],
        )
        emit_labels(counts)
    failed = [check["name"] for check in checks if not check["passed"]]
    if failed:
        raise CheckFailedError(
            f"{len(failed)} of {len(checks)} checks failed on {target}: {', '.join(failed)}"
        )
