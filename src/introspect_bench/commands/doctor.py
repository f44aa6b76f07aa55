"""`introspect-bench doctor`."""

from __future__ import annotations

import click

from introspect_bench.benchmark.errors import CheckFailedError
from introspect_bench.console import emit_json, emit_table, progress


@click.command()
@click.option("--target", default="smollm2-135m", show_default=True, metavar="NAME")
@click.option("--device", default="cpu", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(target: str, device: str, as_json: bool) -> None:
    """Test that interventions do what they say.

    Fails if one of the checks fails on the target model.
    """
    from introspect_bench import api

    with progress() as bar:
        checks = api.doctor(target, device=device, on_fetch=bar.bytes)
    if as_json:
        emit_json({"target": target, "device": device, "checks": checks})
    else:
        emit_table(
            ("verdict", "check", "found"),
            [("pass" if c["passed"] else "FAIL", c["name"], c["detail"]) for c in checks],
        )
    failed = [check["name"] for check in checks if not check["passed"]]
    if failed:
        raise CheckFailedError(
            f"{len(failed)} of {len(checks)} checks failed on {target}: {', '.join(failed)}"
        )
