"""The maps that a training begins with, from the vectors of the target to the explainer's width."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ...cache import Progress
from ...errors import MissingPartError, UsageError
from ...files import canonical_json, sha256_bytes
from ...models.targets import layers_and_width
from ...registry import provided_tasks
from ...suite.suite import Suite
from ..injection.spec import Injection, Maps, own_layers
from .spec import LENS, TrainSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Projecting:
    """A projection to be trained, or none."""

    injections: Mapping[str, Injection] = field(default_factory=dict)  # by task
    make: Callable[[Any], Any] | None = None  # from the loaded base model to its maps
    about: Mapping[str, Any] = field(default_factory=dict)  # for `explainer.json`


def plan_projection(
    request: TrainSpec,
    suites: Sequence[Suite],
    base: Path,
    injections: Mapping[str, Injection],
    progress: Progress,
) -> Projecting:
    """Say what `--projection` declares and how its maps are made; of models it loads none yet.

    Vectors of all suites go through the maps, but for the input lens, which is for those that enter
    as embeddings; where none does, but states enter otherwise, nothing is declared.
    """
    start, (_, width) = request.projection, layers_and_width(base)
    plain, mapped = _split(start, injections, suites)
    if others := _widths(plain, width) - {width}:
        raise UsageError(
            f"the vectors have width {min(others)} but {base.name} has width {width}; "
            "give `train --projection aligned`, or random"
        )
    if start == "none" or (plain and not mapped):
        return Projecting(injections=injections)
    fit, blocks = _fit(start, mapped), _blocks(mapped)
    maps = replace(_maps(mapped, blocks, width), nearest=start == LENS)
    ways = {suite.task: replace(injections[suite.task], projection=maps) for suite in mapped}
    injections, about = {**injections, **ways}, {"start": start}
    if start == "random":
        from ..injection.learned import random_projection

        drawn = partial(random_projection, maps, width, seed=request.seed)
        return Projecting(injections=injections, make=lambda _model: drawn(), about=about)
    place, name = _place(list(ways.values())), str(mapped[0].manifest["target"].get("name"))
    texts = provided_tasks().shipped_texts(name) if request.align is None else _lines(request.align)
    about["texts_sha256"] = sha256_bytes(canonical_json(texts).encode())

    def make(model: Any) -> Any:
        from ..explainer.load import find_model
        from ..injection.alignment import fitted_projection, load_reader

        folder = find_model(request.target or name, progress=progress).directory
        target = load_reader(folder, device=request.device)
        reader = load_reader(base, device=request.device, model=model)
        return fitted_projection(fit, place, blocks, target, reader, texts, progress=progress)

    return Projecting(injections=injections, make=make, about=about)


def _split(
    start: str, injections: Mapping[str, Injection], suites: Sequence[Suite]
) -> tuple[list[Suite], list[Suite]]:
    plain = [
        suite
        for suite in suites
        if start == "none" or (start == LENS and injections[suite.task].mode != "embedding")
    ]
    if start == LENS and len(plain) == len(suites) and any(suite.describes for suite in suites):
        raise UsageError(
            "the input lens shows directions as tokens: give injection mode 'embedding'"
        )
    return plain, [suite for suite in suites if suite not in plain]


def _fit(start: str, suites: Sequence[Suite]) -> str:
    """How maps are fitted: directions are pulled back, states are aligned."""
    kinds = {suite.describes for suite in suites}
    if start != LENS:
        return "aligned"
    if len(kinds) > 1:
        raise UsageError(
            "the input lens reads directions or states, not both; train on one task alone, or give "
            "--injection activation-patching=own-layers"
        )
    return "pulled-back" if kinds == {True} else "aligned"


def _place(mapped: Sequence[Injection]) -> Injection:
    # all modes of a query's own layers read the same residuals
    if len({"own" if way.own else (way.mode, way.layer) for way in mapped}) > 1:
        raise UsageError(
            "one set of maps leads to one place; let the vectors of all tasks that go through it "
            "enter alike, or give --projection random"
        )
    return mapped[0]


def _blocks(suites: Sequence[Suite]) -> list[tuple[int, int]]:
    """First and last layer of each map: the widest block that begins at each layer."""
    widest: dict[int, int] = {}
    for suite in suites:
        for query in [*suite.queries("train"), *suite.queries("validation")]:
            first, last = own_layers(query.fields)
            widest[first] = max(last, widest.get(first, last))
    return sorted(widest.items())


def _widths(suites: Sequence[Suite], width: int) -> set[int]:
    return {suite.manifest["target"].get("d_model", width) for suite in suites}


def _maps(suites: Sequence[Suite], blocks: Sequence[tuple[int, int]], width: int) -> Maps:
    widths, deepest = _widths(suites, width), max((last for _, last in blocks), default=0) + 1
    if len(widths) != 1:
        raise UsageError("a projection needs tasks with vectors, all of one width")
    return Maps(
        d_target=widths.pop(),
        n_layers=int(suites[0].manifest["target"].get("n_layers", deepest)),
        layers=tuple(first for first, _ in blocks),
    )


def _lines(path: Path | str) -> list[str]:
    try:
        lines = [line.strip() for line in Path(path).read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise MissingPartError(f"{path}: no text can be read from it: {error}") from error
    return [line for line in lines if line]
