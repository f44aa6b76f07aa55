"""From the words after `--model` to whatever answers queries; heavy imports come late.

A user's own code is `py:module:Class`, whose module may lie in the current folder, or `py:NAME`,
which an installed package brings.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..cache import Progress
from ..errors import IntrospectBenchError, MissingPartError, UsageError
from ..explainer import Explainer, ExplainerCard
from ..models.fetch import prepare_target
from ..models.targets import TargetSpec, find_name, home_folder, named_targets
from ..records import COMPARED, GREEDY, ORACLE, UNDECLARED, WHOLE, Query
from ..registry import BASELINE, REFERENCE, find_baseline, installed, provided_baselines
from ..runs.header import Answering, local_access, widest
from ..suite.suite import Suite
from ..task import Task
from ..team import team
from .objects import code_of, declared_identity, object_card
from .spec import PAPER, VLLM, VLLM_KEPT, RunSpec
from .text_models import ENDPOINT, LM_EVAL, TEXT_KINDS, check_endpoint, check_lm_eval

PAPER_LONGEST = {"feature-descriptions": 20, "activation-patching": 50, "input-ablations": 50}
PAPER_STOPS = (" [END]", "\n", ">>>.")  # Texts that end a reply there
CUSTOM = "py:"  # How the name of a user's own explainer starts


def check_custom(model: str) -> None:
    """Refuse a module that is not there; it is looked up, not run."""
    module, _ = _custom_names(model)
    if module in sys.modules:  # also `__main__`, whose file is not looked up
        return
    with _users_code(model, module):
        found = importlib.util.find_spec(module)
    if found is None:
        raise UsageError(f"{model}: cannot import {module}: there is no such module")


def load_custom(model: str, arguments: Mapping[str, Any]) -> tuple[Explainer, ExplainerCard]:
    """Make the user's own explainer; `arguments` are keyword arguments of its class."""
    module_name, class_name = _custom_names(model)
    with _users_code(model, module_name):
        module = importlib.import_module(module_name)
    factory = getattr(module, class_name, None)
    if not callable(factory):
        raise UsageError(f"{model}: {module_name} has no class {class_name}")
    try:
        inspect.signature(factory).bind(**arguments)
    except (TypeError, ValueError) as error:  # ValueError: a type of C says nothing of itself
        raise UsageError(f"{model}: {error}; see --explainer-args") from error
    explainer: Explainer = factory(**arguments)
    if not callable(getattr(explainer, "complete", None)):
        raise UsageError(f"{model}: {class_name} has no method complete(prompts)")
    # changed code is another explainer, so its run is not resumed
    settings = dict(arguments) | code_of(factory, module) | declared_identity(explainer)
    return explainer, ExplainerCard(name=model, kind="custom", settings=settings)


def _custom_names(model: str) -> tuple[str, str]:
    named = model.removeprefix(CUSTOM)
    if named in (others := installed("explainers")):
        return others[named].__module__, others[named].__qualname__
    module, _, name = named.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        brought = f", or py:NAME of {', '.join(others)}" if others else ""
        raise UsageError(f"{model!r}: expected py:module:Class{brought}")
    return module, name


@contextmanager
def _users_code(model: str, module: str) -> Iterator[None]:
    """Import from the current folder too; whatever a module does while imported is one error."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        yield
    except IntrospectBenchError:
        raise
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        # a module that is not there, or cannot be read, has no line of its own
        own = isinstance(error, SyntaxError) or last.filename.startswith("<frozen")
        place = "" if own else f" ({Path(last.filename).name}, line {last.lineno})"
        raise UsageError(
            f"{model}: cannot import {module}: {type(error).__name__}: {error}{place}"
        ) from error


def parse_arguments(words: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` words; a value that is JSON is read as such, anything else is text."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier() or key in found:
            raise UsageError(f"explainer argument {word!r}: expected key=value, each key once")
        try:
            found[key] = json.loads(value)
        except (ValueError, RecursionError):  # also a number of too many digits
            found[key] = value
    return found


def check_model(request: RunSpec, task: Task) -> None:
    """Refuse a model that cannot be loaded, by its name alone; loads and downloads nothing."""
    model = request.model
    if request.explainer is not None and request.explainer_args:
        raise UsageError(f"{model} was made already; explainer arguments are for its name alone")
    if request.endpoint is not None and not model.startswith(ENDPOINT):
        raise UsageError(f"{model}: --endpoint and its limits are for --model openai:NAME")
    if request.explainer is not None:
        return
    if model.startswith(ENDPOINT):
        check_endpoint(request, task)
        return
    if model.startswith(CUSTOM):
        check_custom(model)
        return
    if request.engine == VLLM:
        _check_vllm(request)
    elif request.explainer_args:
        raise UsageError(
            "explainer arguments are for py:module:Class and openai:NAME models and --engine vllm "
            "only"
        )
    if model.startswith(LM_EVAL):
        check_lm_eval(request, task)
    elif model.startswith(BASELINE):
        name = model.removeprefix(BASELINE)
        provided_baselines().check_baseline(name, task, use_vectors=not request.no_vector)
    elif model.startswith(REFERENCE):
        provided_baselines().reference_folder(model.removeprefix(REFERENCE))
    else:
        find_name(model)


def _check_vllm(request: RunSpec) -> None:
    """Refuse what vLLM cannot do, by the options alone."""
    if importlib.util.find_spec("vllm") is None:
        raise MissingPartError("--engine vllm needs vLLM; pip install 'introspect-bench[vllm]'")
    if team().size > 1 or request.device_map is not None or request.quantization is not None:
        raise UsageError(
            "vLLM places and packs weights itself, in one process: give its own arguments, such as "
            "--explainer-args tensor_parallel_size=2"
        )
    if request.decoding not in (None, GREEDY):
        raise UsageError(
            f"vLLM decodes greedily; leave decoding {request.decoding} to this package"
        )
    if wrong := sorted(request.explainer_args.keys() & VLLM_KEPT):
        raise UsageError(f"--explainer-args: {wrong[0]} of vLLM can't be chosen")


def load_explainer(
    request: RunSpec, task: Task, suite: Suite, progress: Progress
) -> tuple[Explainer, ExplainerCard]:
    """Load or train an explainer that `check_model` found nothing wrong with."""
    if request.explainer is not None:
        return request.explainer, object_card(request.explainer, request.model)
    if request.model.startswith(CUSTOM):
        return load_custom(request.model, request.explainer_args)
    if request.model.startswith(LM_EVAL):
        from ..backends.explainer.through_lm_eval import load_lm_eval

        return load_lm_eval(
            request.model,
            device=request.device,
            batch_size=request.batch_size,
            max_new_tokens=request.max_new_tokens,
            system=request.system,
        )
    if request.model.startswith(ENDPOINT):
        from ..backends.explainer.through_endpoint import open_endpoint

        return open_endpoint(
            request.model,
            request.server,
            max_new_tokens=request.max_new_tokens,
            system=request.system,
            fields=request.explainer_args,
        )
    target = named_target(suite)
    if not request.model.startswith(BASELINE):
        return _load_local(request, task, target, progress)
    name = request.model.removeprefix(BASELINE)
    if target is not None and "target-model" in find_baseline(name).needs:
        prepare_target(target, progress=progress)
    return provided_baselines().make_baseline(
        name,
        task=task,
        suite=suite,
        split=request.split,
        device=request.device,
        dtype=request.dtype,
        batch_size=request.batch_size,
        use_vectors=not request.no_vector,
        injection=request.injection,
        progress=progress,
    )


def named_target(suite: Suite) -> TargetSpec | None:
    """Return the target that a suite is about, if the package knows it by its name."""
    name = suite.manifest["target"].get("name")
    return next((spec for spec in named_targets() if spec.name == name), None)


def _load_local(
    request: RunSpec, task: Task, target: TargetSpec | None, progress: Progress
) -> tuple[Explainer, ExplainerCard]:
    from ..backends.explainer.load import load_local

    model = where = request.model
    shipped = model.startswith(REFERENCE)
    if shipped:
        where = str(provided_baselines().reference_folder(model.removeprefix(REFERENCE)))
    explainer, card = load_local(
        where,
        device=request.device,
        dtype=request.dtype,
        batch_size=request.batch_size,
        use_vectors=not request.no_vector,
        injection=request.injection,
        task=task.name,
        family=request.family if request.protocol is None else PAPER,
        stops=None if request.protocol is None else PAPER_STOPS,
        base=request.base,
        decoding=request.decoding if request.protocol is None else GREEDY,
        target=None if target is None else target.name,
        **request.generation,
        device_map=request.device_map,
        quantization=request.quantization,
        vllm=request.explainer_args if request.engine == VLLM else None,
        progress=progress,
    )
    folder = home_folder(model)
    if shipped:
        card = dataclasses.replace(card, name=model)
    elif folder.is_dir():
        # a run file is published; where a folder lies on this machine is nobody's business
        card = dataclasses.replace(card, name=folder.resolve().name)
    return explainer, card


def asked_by(
    request: RunSpec, task: Task, explainer: Explainer, card: ExplainerCard
) -> tuple[Explainer, ExplainerCard]:
    """Return a loaded explainer, and its card, as one task asks it.

    Vectors enter as is said of the task. Decoding `compared` takes verdicts from two replies; where
    a task has no vectors it is `whole-reply` for a task with verdicts, else `greedy`. Replies under
    the paper's protocol are as long as there.
    """
    if card.kind != "local":
        return explainer, card
    from ..backends.explainer.decision import Compared
    from ..backends.explainer.local import LocalExplainer

    assert isinstance(explainer, LocalExplainer)
    explainer = explainer.for_task(task.name)
    settings = {**card.settings, "injection": explainer.settings()["injection"]}
    if request.protocol is not None:
        settings["max_new_tokens"] = request.max_new_tokens or PAPER_LONGEST[task.name]
        explainer = explainer.limited(settings["max_new_tokens"])
    compared = settings.get("decoding") == COMPARED
    if compared and task.uses_vector and task.openings:
        return Compared(explainer, task), dataclasses.replace(card, settings=settings)
    if compared:
        settings["decoding"] = WHOLE if task.openings else GREEDY
        explainer = explainer.decoded(settings["decoding"])
    return explainer, dataclasses.replace(card, settings=settings)


def harness_access(explainer: ExplainerCard | Answering, queries: Iterable[Query]) -> str:
    """Return the access class of a run; a single query may stand for all of a task."""
    known = ("local", *TEXT_KINDS, "baseline", ORACLE)
    if explainer.kind not in known or explainer.settings.get("own_code"):
        return UNDECLARED
    own = local_access(explainer.settings, queries)
    if explainer.kind in ("local", *TEXT_KINDS):
        return own
    return widest((own, find_baseline(explainer.name).access))
