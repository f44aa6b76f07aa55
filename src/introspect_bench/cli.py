"""The verbs, and what happens to an error: a sentence and an exit code.

0 ok, 1 check failed, 2 usage, 3 something is missing, 4 integrity, 5 run incomplete, 130
interrupted.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

import click

from .benchmark._version import METRIC_VERSION, PROMPT_VERSION, __version__
from .benchmark.errors import IntrospectBenchError, memory_ended
from .benchmark.team import team
from .console import printable

VERBS = (
    "run",
    "import-run",
    "judge",
    "train",
    "score",
    "compare",
    "show",
    "validate",
    "submit",
    "recheck",
    "ledger",
    "ls",
    "doctor",
    "data",
    "board",
    "export",
    "cite",
)
"""Every verb, in the order of `--help`; each is a module of `commands`."""
BESIDE = {"import-run": "export", "cite": "ls", "ledger": "recheck"}
"""Verbs that stand in the module of another one, under their own name."""

RENAMED = {
    "simulate": "judge",
    "rate": "judge --model NAME",
    "reference": "train --recipe NAME --answer test",
    "leaderboard": "board",
    "version": "--version",
}
"""What was called otherwise before the first release."""

DEBUG_VARIABLE = "INTROSPECT_BENCH_DEBUG"
"""Environment variable that, when not empty, shows the traceback of an expected error too."""
GOES_ON = ("run", "judge", "train", "data")
"""Verbs that keep what they finished."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""
MISSING = 3
"""Exit code when the disk is full, or memory."""


_NO_SPACE = "no disk space left; free some and run the command again"
_NO_TEMPORARY = "no folder for temporary files can be written; free some space, or set TMPDIR"
_OUTSIDE = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: "a file may not become that large; raise the limit (`ulimit -f`)",
    errno.ENAMETOOLONG: "the name of a file is too long; give a shorter one",
    errno.EROFS: "cannot write to a read-only place; give another one",
    errno.EACCES: "no permission; check the path and its permissions",
}
"""What is said of errors of the system that no reader or writer took note of."""


class Verbs(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the verbs in their own order."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb's module."""
        if cmd_name in RENAMED:
            raise click.UsageError(f"`{cmd_name}` is now `{RENAMED[cmd_name]}`", ctx)
        if cmd_name not in VERBS:
            return None
        own = cmd_name.replace("-", "_") if cmd_name in BESIDE else "command"
        place = f".commands.{BESIDE.get(cmd_name, cmd_name)}"
        command: click.Command = getattr(importlib.import_module(place, __package__), own)
        return command


@click.group(
    cls=Verbs,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # --batch_size is as good as --batch-size
        "token_normalize_func": lambda word: word.replace("_", "-"),
        "max_content_width": 100,
    },
)
@click.version_option(
    __version__,
    message=f"introspect-bench %(version)s (metrics {METRIC_VERSION}, prompts {PROMPT_VERSION})",
)
def command_line() -> None:
    """Can a language model tell the truth about its own computation?

    `introspect-bench run --model baseline/zero-shot --split mini` is a first run.
    """


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; every expected error becomes one sentence on stderr and an exit code."""
    # the bars that libraries draw while they load; ours take their place
    os.environ.setdefault("TQDM_DISABLE", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # terminals with few letters
    with ExitStack() as quiet:
        if not team().first:  # of several processes one says what there is
            nowhere = quiet.enter_context(Path(os.devnull).open("w"))
            quiet.enter_context(redirect_stdout(nowhere))
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        code = command_line.main(
            list(arguments), prog_name="introspect-bench", standalone_mode=False
        )
    except IntrospectBenchError as error:
        return _explain(str(error), error.exit_code)
    except click.Abort:
        goes_on = (
            "; the same command goes on where it was"
            if arguments and arguments[0] in GOES_ON
            else ""
        )
        return _explain(f"interrupted{goes_on}", INTERRUPTED)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        hint = f" (see {where} --help)" if where else ""
        return _explain(f"{error.format_message()}{hint}", error.exit_code)
    except Exception as error:
        if (said := _from_outside(error)) is None:
            raise
        return _explain(said, MISSING)
    return code if isinstance(code, int) else 0


def _from_outside(error: Exception) -> str | None:
    """Say what is wrong with the machine or a path, if that is all; None of our own faults."""
    if memory_ended(error):
        return "memory ended; give a smaller --batch-size, or a device with more memory"
    if os.strerror(errno.ENOSPC) in str(error):  # safetensors says it in words alone
        return _NO_SPACE
    if "embedded null" in str(error):
        return "a path holds a NUL character; give another one"
    if not isinstance(error, OSError):
        return None
    place = f" ({str(error.filename)[:200]})" if error.filename else ""
    said = f"{error.strerror or error}; check the path"
    if "No usable temporary directory" in str(error):
        return _NO_TEMPORARY
    return f"{_OUTSIDE.get(error.errno or 0, said)}{place}"


def _explain(message: str, code: int) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc()
    one_line = " ".join(printable(message, keep="\n").split())
    who = "" if team().first else f"process {team().rank}: "
    click.echo(f"introspect-bench: error: {who}{one_line}", err=True)
    return code
