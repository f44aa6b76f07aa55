"""Models that read text alone: those that lm-eval or a server runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from ..task import Task
    from .spec import RunSpec

LM_EVAL_KIND, ENDPOINT_KIND = "lm-eval", "endpoint"
TEXT_KINDS = (LM_EVAL_KIND, ENDPOINT_KIND)
"""Kinds of such explainers in a run's header."""
NO_VECTORS = (
    "read text alone, and these queries have vectors; give the model's folder or hub id as "
    "--model, or run it without vectors, as a control, with --no-vector"
)
"""What to do about a task with vectors, after who it is."""
SECRETS = frozenset(
    {"api_key", "auth_token", "access_token", "hf_token", "token", "header", "password", "secret"}
)
"""Arguments that are never written into a run file."""

OF_LM_EVAL, BEHIND = "models of lm-eval", "models behind an endpoint"
"""What such explainers are called."""
ENDPOINT = "openai:"
"""How the name of a model behind an endpoint starts."""
_FIXED = frozenset({"model", "messages", "n", "stream"})


def check_text_model(request: RunSpec, task: Task, *, who: str, advice: str) -> None:
    """Refuse options of models that this package loads, and tasks with vectors."""
    given = {
        "--injection": request.injection is not None,
        "--family": request.family is not None,
        "--decoding": request.decoding is not None,
        "--thinking": request.thinking is not None,
        "--dtype": request.dtype != "auto",
        "--base": request.base is not None,
    }
    if wrong := [name for name, there in given.items() if there]:
        raise UsageError(
            f"{request.model}: {wrong[0]} is for models that this package loads; {advice}"
        )
    # of all tasks, those without vectors are answered; see the explainer's check_width
    if task.name in request.tasks and task.uses_vector and not request.no_vector:
        raise UsageError(f"{task.name}: {who} {NO_VECTORS}")


def check_endpoint(request: RunSpec, task: Task) -> None:
    """Refuse what no endpoint can be asked, by its name and options alone; sends nothing."""
    from ..endpoint.client import EndpointClient

    if not request.model.removeprefix(ENDPOINT).strip():
        raise UsageError(f"{request.model!r} names no model; expected openai:NAME")
    names = request.explainer_args.keys()
    if wrong := sorted(names & (SECRETS | _FIXED)):
        raise UsageError(
            f"{request.model}: --explainer-args are fields of a request, written into the run "
            f"file, and {wrong[0]} can't be one of them; a key comes from the environment"
        )
    advice = "give fields of a request with --explainer-args"
    check_text_model(request, task, who=BEHIND, advice=advice)
    with EndpointClient(request.server, request.model):  # address and key
        pass
