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

from .benchmark._version import __version__ as __version__
from .benchmark.registry import provide

if TYPE_CHECKING:
    from .api import board_build as board_build
    from .api import board_check as board_check
    from .api import board_diff as board_diff
    from .api import board_report as board_report
    from .api import board_scaling as board_scaling
    from .api import check_nulls as check_nulls
    from .api import check_score as check_score
    from .api import cite as cite
    from .api import compare as compare
    from .api import data_export as data_export
    from .api import data_hold_out as data_hold_out
    from .api import data_import as data_import
    from .api import data_make as data_make
    from .api import data_metric_card as data_metric_card
    from .api import data_nulls as data_nulls
    from .api import data_path as data_path
    from .api import data_split as data_split
    from .api import data_verify as data_verify
    from .api import doctor as doctor
    from .api import doctor_fill as doctor_fill
    from .api import doctor_report as doctor_report
    from .api import export as export
    from .api import import_run as import_run
    from .api import judge as judge
    from .api import labels as labels
    from .api import ledger_add as ledger_add
    from .api import ledger_show as ledger_show
    from .api import load as load
    from .api import ls as ls
    from .api import plan as plan
    from .api import plan_training as plan_training
    from .api import rate as rate
    from .api import recheck as recheck
    from .api import run as run
    from .api import score as score
    from .api import score_all as score_all
    from .api import score_table as score_table
    from .api import show as show
    from .api import show_judge as show_judge
    from .api import submit as submit
    from .api import to_pandas as to_pandas
    from .api import train as train
    from .api import train_recipes as train_recipes
    from .api import validate as validate
    from .api import validate_all as validate_all
    from .api import version as version

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


def __dir__() -> list[str]:
    """Every public name, also those not used yet: what an editor offers after a dot."""
    return sorted({*globals(), *__getattr__("__all__")})
