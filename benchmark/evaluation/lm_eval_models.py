"""Models that lm-eval runs, `lm-eval:BACKEND,ARGS`: what their names mean; imports no lm-eval.

Backends and their arguments are those of `lm_eval --model BACKEND --model_args ARGS`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MissingPartError, UsageError
from ..models.targets import home_folder
from .text_models import OF_LM_EVAL, SECRETS, check_text_model

if TYPE_CHECKING:
    from ..task import Task
    from .spec import RunSpec

LM_EVAL = "lm-eval:"
"""How the name of a model that lm-eval runs starts."""
_ADDRESS = "base_url"
_OWN_CODE = (_ADDRESS, "trust_remote_code")


def split_name(model: str) -> tuple[str, dict[str, str]]:
    """Return the backend and its arguments, as text; refuse what is not `key=value`."""
    backend, _, rest = model.removeprefix(LM_EVAL).partition(",")
    arguments: dict[str, str] = {}
    for word in filter(None, rest.split(",")):
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier() or key in arguments:
            raise UsageError(f"{model!r}: expected lm-eval:BACKEND,key=value,... each key once")
        if key in SECRETS:
            raise UsageError(
                f"the argument {key} of lm-eval would be written into the run file; leave it out "
                "and set the variable of the environment that the backend reads"
            )
        arguments[key] = value
    if not backend:
        raise UsageError(f"{model!r} names no backend; expected such as lm-eval:hf,pretrained=DIR")
    return backend, arguments


def shown_arguments(arguments: Mapping[str, str]) -> dict[str, str]:
    """Return arguments as they are published: no address, and of a path the last part alone."""
    return {
        key: Path(value).name if _is_place(value) else value
        for key, value in arguments.items()
        if key != _ADDRESS
    }


def shown_name(model: str) -> str:
    """Return the name of a model as it is published; of another kind of model as it is."""
    if not model.startswith(LM_EVAL):
        return model
    backend, arguments = split_name(model)
    shown = (f"{key}={value}" for key, value in shown_arguments(arguments).items())
    return LM_EVAL + ",".join((backend, *shown))


def runs_own_code(arguments: Mapping[str, str]) -> bool:
    """Whether somebody's server, or code that comes with the weights, gives the answers."""
    return any(arguments.get(key) not in (None, "False", "false") for key in _OWN_CODE)


def check_lm_eval(request: RunSpec, task: Task) -> None:
    """Refuse what lm-eval cannot run, by its name and options alone; imports nothing of it."""
    split_name(request.model)
    if importlib.util.find_spec("lm_eval") is None:
        raise MissingPartError(
            f"{request.model} needs lm-eval; pip install 'introspect-bench[lm-eval]'"
        )
    check_text_model(
        request,
        task,
        who=OF_LM_EVAL,
        advice="give lm-eval's own arguments behind the backend, as in "
        "lm-eval:hf,pretrained=DIR,dtype=float32",
    )


def _is_place(value: str) -> bool:
    return value.startswith((".", "/", "~")) or home_folder(value).is_dir()
