"""`introspect-bench submit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import api
from ..console import emit_json, output, printable


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--name", required=True, metavar="ORG/NAME", help="Who, and what it is called.")
@click.option("--kind", metavar="KIND", help="trained, untrained, baseline or oracle.")
@click.option(
    "--access",
    type=click.Choice(("words", "runs-target", "replays", "oracle")),
    help="How your own code (py:) comes by its answers; of all else the run files say it.",
)
@click.option("--author", "authors", multiple=True, metavar="NAME", help="May be repeated.")
@click.option("--contact", required=True, metavar="MAIL|URL", help="Where questions go.")
@click.option("--display", metavar="NAME", help="Name on the board; NAME by default.")
@click.option("--paper-url", metavar="URL")
@click.option("--code-url", metavar="URL")
@click.option("--model-url", metavar="URL")
@click.option("--licence", default="CC-BY-4.0", show_default=True, metavar="SPDX")
@click.option("--trained-on", multiple=True, metavar="SENTENCE", help="May be repeated.")
@click.option("--attempts", default=1, show_default=True, metavar="N", help="Runs, all of them.")
@click.option("--parameters", type=int, metavar="N", help="Of the explainer.")
@click.option("--date", metavar="DAY", help="Default: the day of the newest run.")
@click.option("--bibtex", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--vector-use", metavar="ID", help="The entry without vectors, its control.")
@click.option("--base", metavar="TARGET", help="The target model it was made from, if it is one.")
@click.option("--n-train", type=int, metavar="N", help="Training queries it learnt from.")
@click.option("--notes", metavar="FILE", type=click.Path(path_type=Path), help="Plain text.")
@click.option("--declare", "declared", is_flag=True, help="State what a submission states.")
@click.option("--suite", metavar="DIR", help="Suites elsewhere: a folder, or owner/name@commit.")
@click.option("--open-pr", is_flag=True, help="Push a branch and open a pull request with gh.")
@output(default="submissions")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(
    runs: tuple[Path, ...],
    bibtex: Path | None,
    notes: Path | None,
    output: Path,
    suite: str | None,
    open_pr: bool,
    as_json: bool,
    **said: Any,
) -> None:
    """Turn run files, or a folder of them, into a folder that a pull request adds.

    Checks everything that CI checks and changes no file that exists. --declare states: nothing was
    trained on validation or test queries, or chosen on test queries; every reply is what the
    explainer said, once per query; --attempts counts every run on these queries; the run files may
    be published under CC-BY-4.0. Nothing leaves this machine without --open-pr.

    --access says what your own code does: words reads the query, its text and vector, and answers;
    runs-target takes the unmodified target's output on the shown text, or on siblings' texts;
    replays executes the query's intervention in whole or part; oracle is told what no contestant
    has. Code of class words is ranked after maintainers ran it again without the target's weights,
    code of class replays at once, all other user code is shown without a rank.
    """
    from ..leaderboard.submissions.schema import LINKS
    from ..leaderboard.submissions.submit import Statement, read_text

    links = {name: said.pop(f"{name}_url") for name in LINKS}
    description = Statement(
        **said,
        links={name: link for name, link in links.items() if link is not None},
        bibtex="" if bibtex is None else read_text(bibtex),
    )
    made = api.submit(runs, description, notes=notes, output=output, suite=suite, open_pr=open_pr)
    if as_json:
        emit_json(made.as_json())
        return
    for warning in made.warnings:
        click.echo(printable(f"warning: {warning.sentence}"), err=True)
    click.echo(printable(str(made.folder)))
    if made.pull_request:
        click.echo(printable(made.pull_request))
        return
    commands = "".join(f"  {printable(line)}\n" for line in made.commands)
    click.echo(f"\nnext:\n{commands}then open a pull request")
