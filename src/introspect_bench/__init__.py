"""introspect-bench: can a language model tell the truth about its own computation?

Every verb of the command line is a function here, with an underscore for two words: `run` (and
`plan`, which is `run --dry-run`), `import_run`, `judge`, `rate`, `score` (`check_score` is its
`--check`), `compare`, `train`, `plan_training`, `train_recipes`, `show` (and `show_judge`),
`validate` (`validate_all` takes folders too), `submit`, `recheck`, `ledger_show`, `ledger_add`,
`ls`, `doctor`, `labels`, `doctor_report`, `doctor_fill`, `data_verify`, `data_path`, `data_make`,
`data_import`, `data_export`, `data_hold_out`, `data_metric_card`, `data_nulls` (`check_nulls` is
its `--refit`), `score_table`, `board_build`, `board_check`, `board_diff`, `board_report`,
`board_scaling`, `export`, `cite` and `version`. `load` reads a run file, `score_all` scores
several, `data_split` gives queries, vectors and answers, `to_pandas` a table of runs or scores.
They are imported when they are first asked for.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not (Path(__file__).parent / "benchmark").is_dir():
    # a checkout: the folders that a wheel holds beside this file lie at its root
    __path__.append(str(Path(__file__).parents[2]))

from .benchmark._version import __version__
from .benchmark.registry import provide

if TYPE_CHECKING:
    from .api import (
        board_build,
        board_check,
        board_diff,
        board_report,
        board_scaling,
        check_nulls,
        check_score,
        cite,
        compare,
        data_export,
        data_hold_out,
        data_import,
        data_make,
        data_metric_card,
        data_nulls,
        data_path,
        data_split,
        data_verify,
        doctor,
        doctor_fill,
        doctor_report,
        export,
        import_run,
        judge,
        labels,
        ledger_add,
        ledger_show,
        load,
        ls,
        plan,
        plan_training,
        rate,
        recheck,
        run,
        score,
        score_all,
        score_table,
        show,
        show_judge,
        submit,
        to_pandas,
        train,
        train_recipes,
        validate,
        validate_all,
        version,
    )

__all__ = [
    "__version__",
    "board_build",
    "board_check",
    "board_diff",
    "board_report",
    "board_scaling",
    "check_nulls",
    "check_score",
    "cite",
    "compare",
    "data_export",
    "data_hold_out",
    "data_import",
    "data_make",
    "data_metric_card",
    "data_nulls",
    "data_path",
    "data_split",
    "data_verify",
    "doctor",
    "doctor_fill",
    "doctor_report",
    "export",
    "import_run",
    "judge",
    "labels",
    "ledger_add",
    "ledger_show",
    "load",
    "ls",
    "plan",
    "plan_training",
    "rate",
    "recheck",
    "run",
    "score",
    "score_all",
    "score_table",
    "show",
    "show_judge",
    "submit",
    "to_pandas",
    "train",
    "train_recipes",
    "validate",
    "validate_all",
    "version",
]


provide(tasks="introspect_bench.tasks", baselines="introspect_bench.baselines")


def __getattr__(name: str) -> Any:
    """Import a verb when it is first used, so that `import introspect_bench` costs nothing."""
    if name == "__all__" or not name.startswith("_"):
        api = import_module("introspect_bench.api")
        if name == "__all__":
            return ["__version__", *api.__all__]
        if name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module 'introspect_bench' has no attribute {name!r}")
