"""What `train --projection` declares, and the maps it starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...cache import OnProgress
from ...errors import MissingPartError, UsageError
from ...files import canonical_json, sha256_bytes
from ...models.targets import layers_and_width
from ...registry import provided_tasks
from ...suite.suite import Suite
from ..injection.spec import Injection, Maps, own_layers
from .spec import LENS, STARTS, TrainRequest

OnAlign = Callable[[int, int], None]  # progress: pairs of tokens read and pairs in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Projecting:
    """A projection to be trained, or none."""

    injections: Mapping[str, Injection] = field(default_factory=dict)
    """How vectors of each task enter, with the maps that are declared."""
    make: Callable[[Any], Any] | None = None
    """Makes the maps from the loaded base model; None for no projection."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What `explainer.json` says of the start."""


def plan_projection(
    request: TrainRequest,
    suites: Sequence[Suite],
    base: Path,
    injections: Mapping[str, Injection],
    on_fetch: OnProgress,
    on_align: OnAlign,
) -> Projecting:
    """Say what is declared and how the maps are made; loads nothing yet but reads the texts.

    Vectors of all suites go through the maps, but for the input lens, which is for those that enter
    as embeddings; where none does, but states enter otherwise, nothing is declared.
    """
    start = request.projection
    if start not in STARTS:
        raise UsageError(f"projection {start!r}: choose from {', '.join(STARTS)}")
    _, width = layers_and_width(base)
    plain, mapped = _split(start, injections, suites)
    if others := _widths(plain, width) - {width}:
        raise UsageError(
            f"the vectors have width {min(others)} but {base.name} has width {width}; "
            "give --projection aligned or random"
        )
    if start == "none" or (plain and not mapped):
        return Projecting(injections=injections)
    fit, blocks = _fit(start, mapped), _blocks(mapped)
    maps = replace(_maps(mapped, blocks, width), nearest=start == LENS)
    ways = {suite.task: replace(injections[suite.task], projection=maps) for suite in mapped}
    injections = {**injections, **ways}
    if start == "random":
        from ..injection.learned import random_projection

        return Projecting(
            injections=injections,
            make=lambda _model: random_projection(maps, width, seed=request.seed),
            about={"start": start},
        )
    place, name = _place(list(ways.values())), str(mapped[0].manifest["target"].get("name"))
    texts = provided_tasks().shipped_texts(name) if request.align is None else _lines(request.align)

    def make(model: Any) -> Any:
        from ..explainer.checkpoints import find_model
        from ..injection import alignment

        folder = find_model(request.target or name, on_progress=on_fetch).directory
        target = alignment.load_reader(folder, device=request.device)
        reader = alignment.load_reader(base, device=request.device, model=model)
        return alignment.fitted_projection(
            fit, place, blocks, target, reader, texts, on_pairs=on_align
        )

    about = {"start": start, "texts_sha256": sha256_bytes(canonical_json(texts).encode())}
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


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise MissingPartError(f"{path}: no text can be read from it: {error}") from error
    return [line for line in lines if line]
