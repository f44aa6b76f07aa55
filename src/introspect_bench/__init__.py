"""introspect-bench: can a language model tell the truth about its own computation?

`run`, `score`, `load`, `show`, `validate`, `plan` and `doctor` are the verbs of the command line as
functions; they are imported when they are first asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from introspect_bench.api import doctor, load, plan, run, score, show, validate

__version__ = "0.1.0"

__all__ = ["__version__", "doctor", "load", "plan", "run", "score", "show", "validate"]


def __getattr__(name: str) -> Any:
    """Import a verb when it is first used, so that `import introspect_bench` costs nothing."""
    if name in __all__:
        from introspect_bench import api

        return getattr(api, name)
    raise AttributeError(f"module 'introspect_bench' has no attribute {name!r}")
