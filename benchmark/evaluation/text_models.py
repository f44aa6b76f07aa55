"""Models that read text alone: those that lm-eval or a server runs; imports no lm-eval.

`lm-eval:BACKEND,ARGS` means what `lm_eval --model BACKEND --model_args ARGS` does.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MissingPartError, UsageError
from ..models.targets import home_folder

if TYPE_CHECKING:
    from ..task import Task
    from .spec import RunSpec

LM_EVAL, ENDPOINT = "lm-eval:", "openai:"
TEXT_MODELS = (LM_EVAL, ENDPOINT)  # How their names start
LM_EVAL_KIND, ENDPOINT_KIND = "lm-eval", "endpoint"
TEXT_KINDS = (LM_EVAL_KIND, ENDPOINT_KIND)  # Kinds of such explainers in a run's header
OF_LM_EVAL, BEHIND = "models of lm-eval", "models behind an endpoint"  # What they are called
# What to do about a task with vectors, after who it is
NO_VECTORS = (
    "read text alone, and these queries have vectors; give the model's folder or hub id as "
    "--model, or run it without vectors, as a control, with --no-vector"
)
# Arguments that are never written into a run file
SECRETS = frozenset(
    {"api_key", "auth_token", "access_token", "hf_token", "token", "header", "password", "secret"}
)
_FIXED = frozenset({"model", "messages", "n", "stream"})
_ADDRESS = "base_url"
_OWN_CODE = (_ADDRESS, "trust_remote_code")


def split_name(model: str) -> tuple[str, dict[str, str]]:
    """Return lm-eval's backend and its arguments, as text; refuse what is not `key=value`."""
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
    """Return the name of a model as it is published; of one that lm-eval does not run as it is."""
    if not model.startswith(LM_EVAL):
        return model
    backend, arguments = split_name(model)
    shown = (f"{key}={value}" for key, value in shown_arguments(arguments).items())
    return LM_EVAL + ",".join((backend, *shown))


def runs_own_code(arguments: Mapping[str, str]) -> bool:
    """Whether somebody's server, or code that comes with the weights, gives the answers."""
    return any(arguments.get(key) not in (None, "False", "false") for key in _OWN_CODE)


def check_lm_eval(request: RunSpec, task: Task) -> None:
    """Refuse what lm-eval cannot run, by its name and options alone."""
    split_name(request.model)
    if importlib.util.find_spec("lm_eval") is None:
        raise MissingPartError(
            f"{request.model} needs lm-eval; pip install 'introspect-bench[lm-eval]'"
        )
    advice = "give lm-eval's own arguments behind the backend, as in "
    advice += "lm-eval:hf,pretrained=DIR,dtype=float32"
    _check_text_model(request, task, who=OF_LM_EVAL, advice=advice)


def check_endpoint(request: RunSpec, task: Task) -> None:
    """Refuse what no endpoint can be asked, by its name and options alone; sends nothing."""
    from ..endpoint.client import EndpointClient

    if not request.model.removeprefix(ENDPOINT).strip():
        raise UsageError(f"{request.model!r} names no model; expected openai:NAME")
    if wrong := sorted(request.explainer_args.keys() & (SECRETS | _FIXED)):
        raise UsageError(
            f"{request.model}: --explainer-args are fields of a request, written into the run "
            f"file, and {wrong[0]} can't be one of them; a key comes from the environment"
        )
    advice = "give fields of a request with --explainer-args"
    _check_text_model(request, task, who=BEHIND, advice=advice)
    with EndpointClient(request.server, request.model):  # address and key
        pass


def _check_text_model(request: RunSpec, task: Task, *, who: str, advice: str) -> None:
    """Refuse options of models that this package loads, and tasks with vectors."""
    for name in ("injection", "family", "decoding", "thinking", "dtype", "base"):
        if (value := getattr(request, name)) is not None and (name, value) != ("dtype", "auto"):
            raise UsageError(
                f"{request.model}: --{name} is for models that this package loads; {advice}"
            )
    # of all tasks, those without vectors are answered; see the explainer's check_width
    if task.name in request.tasks and task.uses_vector and not request.no_vector:
        raise UsageError(f"{task.name}: {who} {NO_VECTORS}")


def _is_place(value: str) -> bool:
    return value.startswith((".", "/", "~")) or home_folder(value).is_dir()
