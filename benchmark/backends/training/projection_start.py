"""What `train --projection` declares, and the maps it starts from.

Owns which target layers get a map, read from the training and validation queries of a suite, and
the texts and the target model of an alignment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cache import OnProgress
from ...errors import MissingPartError, UsageError
from ...files import canonical_json, sha256_bytes
from ...models.targets import layers_and_width
from ...registry import provided_tasks
from ...suite.suite import Suite
from ...task import Task

if TYPE_CHECKING:
    from ..injection.spec import Injection, Maps

OnAlign = Callable[[int, int], None]
"""Told pairs of tokens read and pairs in all."""

LENS = "input-lens"
STARTS = ("none", "random", "aligned", LENS)
"""What `--projection` takes: `aligned` maps the target's states to the explainer's; `input-lens`
shows the explainer its own tokens: for a direction those that it responds to, for a state those
whose embeddings are nearest to where `aligned` maps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Projecting:
    """A projection to be trained, or none."""

    injections: Mapping[str, Injection] = field(default_factory=dict)
    """How vectors of each task enter, with the maps that are declared."""
    make: Callable[[Any], Any] | None = None
    """Makes the maps from the loaded base model; None for no projection."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What `explainer.json` says of the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where the maps of a projection come from."""

    kind: str = "none"
    """One of `STARTS`."""
    texts: Path | None = None
    """Text file to align on, one text a line; None for what the suite's target wrote."""
    target: str | None = None
    """Folder, hub id or name of the target to align with; None for the suite's own."""


def plan_projection(
    start: Start,
    found: Sequence[tuple[Task, Suite]],
    base: Path,
    injections: Mapping[str, Injection],
    *,
    seed: int,
    device: str,
    on_fetch: OnProgress,
    on_align: OnAlign = lambda _done, _total: None,
) -> Projecting:
    """Say what is declared and how the maps are made; loads nothing yet but reads the texts.

    Vectors of all tasks go through the maps, but for the input lens, which is for those that enter
    as embeddings; where none does, but states enter otherwise, nothing is declared.

    Args:
        start: where the maps come from.
        found: tasks that are learnt, with their suites; those without vectors count for nothing.
        base: folder of the base model.
        injections: where vectors of each task will enter.
        seed: decides random maps.
        device: where an aligned target runs.
        on_fetch: told what is downloaded and prepared.
        on_align: told how far an alignment is.

    Raises:
        UsageError: unknown start, vectors of another width than the base without a projection, a
            projection without vectors, maps for directions and vectors that are none, or no text
            to align on.
        MissingPartError: the text file is not there.
    """
    from ..explainer.load import find_model

    if start.kind not in STARTS:
        raise UsageError(f"projection {start.kind!r}: choose from {', '.join(STARTS)}")
    _, width = layers_and_width(base)
    plain, suites = _split(start, injections, [suite for task, suite in found if task.uses_vector])
    widths = [
        {suite.manifest["target"].get("d_model", width) for suite in s} for s in (plain, suites)
    ]
    if widths[0] - {width}:
        raise UsageError(
            f"the vectors have width {min(widths[0] - {width})} but {base.name} has width {width}; "
            "give --projection aligned or random"
        )
    if start.kind == "none" or (plain and not suites):
        return Projecting(injections=injections)
    if len(widths[1]) != 1:
        raise UsageError("a projection needs tasks with vectors, all of one width")
    read = _read_as(start, suites)
    blocks = _blocks(suites)
    maps = replace(_maps(suites, blocks, widths[1].pop()), nearest=start.kind == LENS)
    mapped = {suite.task: replace(injections[suite.task], projection=maps) for suite in suites}
    place = None if start.kind == "random" else _place(list(mapped.values()))
    if place is None:
        return Projecting(
            injections={**injections, **mapped},
            make=lambda _model: _random(maps, width, seed),
            about={"start": start.kind},
        )
    name = str(suites[0].manifest["target"].get("name"))
    texts = provided_tasks().shipped_texts(name) if start.texts is None else _lines(start.texts)
    return Projecting(
        injections={**injections, **mapped},
        make=lambda model: _fitted(
            read,
            place,
            blocks,
            texts,
            find_model(start.target or name, on_progress=on_fetch).directory,
            base,
            model,
            device,
            on_align,
        ),
        about={"start": start.kind, "texts_sha256": sha256_bytes(canonical_json(texts).encode())},
    )


def _split(
    start: Start, injections: Mapping[str, Injection], suites: Sequence[Suite]
) -> tuple[list[Suite], list[Suite]]:
    """Suites whose vectors enter as they are, and those whose vectors go through the maps.

    Raises:
        UsageError: directions are to be seen as tokens and enter elsewhere.
    """
    plain = [
        start.kind == "none" or (start.kind == LENS and injections[suite.task].mode != "embedding")
        for suite in suites
    ]
    if start.kind == LENS and all(plain) and any(suite.describes for suite in suites):
        raise UsageError(
            "the input lens shows directions as tokens: give injection mode 'embedding'"
        )
    return (
        [suite for suite, as_it_is in zip(suites, plain, strict=True) if as_it_is],
        [suite for suite, as_it_is in zip(suites, plain, strict=True) if not as_it_is],
    )


def _read_as(start: Start, suites: Sequence[Suite]) -> str:
    """Which fit maps are made by: directions are pulled back, states are aligned.

    Raises:
        UsageError: the input lens would have to be both.
    """
    kinds = {suite.describes for suite in suites}
    if start.kind != LENS:
        return "aligned"
    if len(kinds) > 1:
        raise UsageError(
            "the input lens reads directions or states, not both; train on one task alone, or give "
            "--injection activation-patching=own-layers"
        )
    return "pulled-back" if kinds == {True} else "aligned"


def _place(mapped: Sequence[Injection]) -> Injection:
    """Where vectors that go through maps enter: the place that the maps are fitted to.

    Raises:
        UsageError: there are several, which one set of maps cannot lead to.
    """
    # all modes of a query's own layers read the same residuals
    if len({"own" if way.own else (way.mode, way.layer) for way in mapped}) > 1:
        raise UsageError(
            "one set of maps leads to one place; let the vectors of all tasks that go through it "
            "enter alike, or give --projection random"
        )
    return mapped[0]


def _blocks(suites: Sequence[Suite]) -> list[tuple[int, int]]:
    """First and last layer of each map: the widest block that begins at each layer."""
    from ..injection.spec import own_layers

    widest: dict[int, int] = {}
    for suite in suites:
        for split in ("train", "validation"):
            for query in suite.queries(split):
                first, last = own_layers(query.fields)
                widest[first] = max(last, widest.get(first, last))
    return sorted(widest.items())


def _maps(suites: Sequence[Suite], blocks: Sequence[tuple[int, int]], width: int) -> Maps:
    from ..injection.spec import Maps

    deepest = max(last for _, last in blocks) + 1
    return Maps(
        d_target=width,
        n_layers=int(suites[0].manifest["target"].get("n_layers", deepest)),
        layers=tuple(first for first, _ in blocks),
    )


def _lines(path: Path) -> list[str]:
    try:
        found = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise MissingPartError(f"{path}: no text can be read from it: {error}") from error
    return [line for line in found if line]


def _random(maps: Maps, width: int, seed: int) -> Any:
    from ..injection.projection import random_projection

    return random_projection(maps, width, seed=seed)


def _fitted(
    start: str,
    injection: Injection,
    blocks: Sequence[tuple[int, int]],
    texts: Sequence[str],
    target: Path,
    base: Path,
    model: Any,
    device: str,
    told: OnAlign,
) -> Any:
    """Maps by least squares; the target is loaded beside the base model."""
    from ..injection.alignment import fit_base

    return fit_base(start, model, base, target, injection, blocks, texts, device=device, told=told)
