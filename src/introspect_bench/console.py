"""What a person sees: options and results, nothing a terminal would obey.

Text that a model or a file wrote passes through `printable` first.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from .benchmark.evaluation.spec import INJECTIONS
from .benchmark.suite.subset import Amount, read_amount

Declared = TypeVar("Declared", bound=Callable[..., Any] | click.Command)
"""A command, or the function that becomes one."""


class GroupedOption(click.Option):
    """An option that `--help` shows under a title of its own."""

    def __init__(self, *words: Any, title: str = "", **settings: Any) -> None:
        """Take the title besides what click takes."""
        super().__init__(*words, **settings)
        self.title = title


class Grouped(click.Command):
    """A command whose `--help` shows common options first, then the titled groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write options without a title, then group by group."""
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for option in (p for p in self.get_params(ctx) if isinstance(p, click.Option)):
            if (record := option.get_help_record(ctx)) is not None:
                groups.setdefault(getattr(option, "title", "") or "Options", []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def grouped(title: str, *words: Any, **settings: Any) -> Callable[[Declared], Declared]:
    """Declare an option of a titled group."""
    return click.option(*words, cls=GroupedOption, title=title, **settings)


def choice(
    name: str, values: Sequence[str], help: str | None = None
) -> Callable[[Declared], Declared]:
    """Declare an option of some values, of which the first is the default."""
    kind = click.Choice(values)
    return click.option(name, type=kind, default=values[0], show_default=True, help=help)


def output(
    help: str | None = None,
    *,
    default: str | None = None,
    file: bool = False,
    required: bool = False,
) -> Callable[[Declared], Declared]:
    """Declare `--output`, a folder or a file."""
    return click.option(
        "--output",
        "-o",
        default=default,
        required=required,
        show_default=True,
        metavar="FILE" if file else "DIR",
        type=click.Path(path_type=Path, file_okay=file, dir_okay=not file),
        help=help,
    )


def _read_config(ctx: click.Context, _param: click.Parameter, path: Path | None) -> None:
    """Take a file's values as defaults of the command, by the names of its options."""
    import yaml

    if path is None:
        return
    try:
        node = yaml.compose(text := path.read_text("utf-8"), yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise click.UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise click.UsageError(f"{path}: expected `option: value`, one a line")
    names = [key.value for key, _ in node.value]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise click.UsageError(f"{path}: {', '.join(twice)} is said twice")
    options = {
        name.lstrip("-"): option
        for option in ctx.command.params
        for name in (*option.opts, *([option.name] if option.name else []))
        if isinstance(option, click.Option) and option.expose_value
    }
    found: dict[str, Any] = {}
    for name, value in values.items():
        if (option := options.get(str(name).replace("_", "-")) or options.get(str(name))) is None:
            near = difflib.get_close_matches(str(name), options, n=1)
            hint = f"; is {near[0]} meant" if near else ""
            raise click.UsageError(f"{path}: there is no option {name}{hint}")
        if value is None:
            raise click.UsageError(f"{path}: {name} has no value; leave the line out")
        if isinstance(value, dict):
            value = [f"{key}={own}" for key, own in value.items()]
        if isinstance(value, list) != option.multiple:
            if isinstance(value, list):
                raise click.UsageError(f"{path}: {name} takes one value")
            value = [value]
        found[str(option.name)] = value
    ctx.default_map = {**(ctx.default_map or {}), **found}


def config_option(title: str = "") -> Callable[[Declared], Declared]:
    """Declare `--config`."""
    return grouped(
        title,
        "--config",
        metavar="FILE",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=_read_config,
        help="YAML file of these options; the command line goes before it.",
    )


def overwrite_options(title: str = "") -> Callable[[Declared], Declared]:
    """Declare `--overwrite` and `--yes`."""
    anew = grouped(title, "--overwrite", is_flag=True, help="Start anew, after a question.")
    yes = grouped(title, "--yes", is_flag=True, help="Do not ask that question.")
    return lambda command: anew(yes(command))


def confirm_overwrite(paths: Iterable[Path], *, yes: bool) -> None:
    """Ask whether what lies at some paths may be replaced."""
    there = ", ".join(str(path) for path in paths if path.exists())
    if not there or yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"--overwrite would replace {there}; say --yes too if it may")
    if not click.confirm(f"Start anew and replace {there}?", err=True):
        raise click.UsageError(f"{there} stays; nothing was done")


def injection_options(title: str) -> Callable[[Declared], Declared]:
    """Declare the options that say how vectors enter, as a titled group."""
    where = (
        f"Where a query's vector enters: {INJECTIONS}. A bare value is for all tasks that are not "
        "named; may be repeated, as may the two that follow."
    )
    length = "raw, norm-matched, natural or learned length."
    options = (  # what is declared last is shown first
        ("--slots", "[TASK=]N", "Placeholder tokens for each vector."),
        ("--scaling", "scalings", "[TASK=]NAME", length),
        ("--injection", "injections", "[TASK=]MODE", where),
    )

    def declare(command: Declared) -> Declared:
        for *names, metavar, help in options:
            command = grouped(title, *names, multiple=True, metavar=metavar, help=help)(command)
        return command

    return declare


def amount(_ctx: click.Context, _param: click.Parameter, word: str | None) -> Amount | None:
    """Read an option such as `512` or `12%`."""
    return None if word is None else read_amount(word)


def printable(text: str, *, keep: str = "") -> str:
    """Write control, format and unassigned characters as escapes, but for those in `keep`."""
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )


def emit(value: object, text: str, *, as_json: bool) -> None:
    """Print a value as one JSON document, or what it is in a line of text."""
    if as_json:
        emit_json(value)
    else:
        click.echo(printable(text))


def emit_json(value: object) -> None:
    """Print one JSON document in ASCII, the only thing on stdout."""
    click.echo(json.dumps(value, allow_nan=False, separators=(",", ":")))


def emit_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns, separated by two spaces; the last one is not padded."""
    from rich.cells import cell_len  # some characters are two columns wide

    cells = [[printable(str(cell)) for cell in row] for row in [head, *rows]]
    widths = [max(cell_len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        padded = [cell + " " * (w - cell_len(cell)) for cell, w in zip(row, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())


def minutes(seconds: float | None) -> str:
    """Say an estimated time."""
    if seconds is None:
        return "unknown time"
    return "under a minute" if seconds < 60 else f"up to {seconds / 60:.0f} min"


def warn_unread(results: Iterable[Mapping[str, Any]]) -> None:
    """Say on stderr, of each run of which most replies cannot be read, what one of them is."""
    for result in results:
        if found := result["unread"]:
            click.echo(
                f"{result['task']}: {found['unparsed']} of {found['answered']} replies hold no "
                f"answer that can be read; query {found['id']} got "
                f"{printable(json.dumps(found['reply'], ensure_ascii=False))}, "
                f"expected {found['expected']}",
                err=True,
            )


def emit_labels(counts: Iterable[Mapping[str, Any]]) -> None:
    """Print how many labels were measured again with the same outcome: `task`, `split`, counts."""
    for one in counts:
        if found := one["labels_reproduced"]:
            said = f"labels reproduced {found['n']} / {found['of']}"
            click.echo(f"{one['task']} · {one['split']}: {said}")
