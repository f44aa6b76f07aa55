"""The error tree; every error a user can cause is one of these, and says how the program exits.

A message is one sentence: the thing (file:line, id, field), what was expected, what to do.
"""

from collections.abc import Iterable


class IntrospectBenchError(Exception):
    """Root of all errors raised on purpose by this package."""

    exit_code = 1


class CheckFailedError(IntrospectBenchError):
    """A check that was asked for ran to its end and failed."""

    exit_code = 1


class UsageError(IntrospectBenchError, ValueError):
    """The caller asked for something that does not exist or cannot be combined."""

    exit_code = 2


def check_choice(what: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a value that is none of those there are."""
    choices = tuple(choices)
    if value not in choices:
        raise UsageError(f"unknown {what} {value!r}; choose from {', '.join(choices)}")


class MissingPartError(IntrospectBenchError, OSError):
    """Something outside the program is missing: a package, a file, the network, disk space."""

    exit_code = 3


class IntegrityError(IntrospectBenchError, ValueError):
    """A file is not what it claims to be."""

    exit_code = 4


_ENDED = ("out of memory", "can't allocate memory", "not enough memory")  # as torch says it


def memory_ended(error: BaseException) -> bool:
    """Whether memory ended, of this machine or of an accelerator; imports no torch."""
    said = isinstance(error, RuntimeError) and any(words in str(error) for words in _ENDED)
    return said or isinstance(error, MemoryError)


class IncompleteRunError(IntrospectBenchError):
    """A run file lacks rows; running the same command again completes it."""

    exit_code = 5
