"""Text that the target writes itself: many kinds of text about many subjects, seeded, resumable.

A build has two texts: what everything is fitted on, and what features are scored on alone. Drawing
tokens is `benchmark/backends/interventions/sampling.py`. Everything drawn for a document comes from
a generator of its own, seeded with the seed and the document's number. Finished batches lie in the
folder as one file each: a killed build loses one batch at most, and several processes can fill it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ....benchmark.errors import CheckFailedError
from ....benchmark.files import (
    canonical_json,
    read_json,
    reading,
    sha256_bytes,
    write_json_atomic,
)
from ....benchmark.models.targets import weight_files
from ...build.order import Report
from ...facts.facts import load_facts
from ..shipped_text import FOLDER, unpack_batches
from ..windows import (
    WINDOW,
    Ids,
    Windows,
    concatenate,
    cut_documents,
    encode,
    load_windows,
    save_windows,
    without_duplicates,
)

if TYPE_CHECKING:
    from ....benchmark.backends.models.target_model import TargetModel

SCHEMA = "introspect-bench/sampled-batch/1"  # schema of a batch's file
LEAST_TOKENS = WINDOW + 1  # a document with fewer tokens is dropped
LEAST_VARIETY = 0.5
"""A document is dropped if a smaller share of its runs of three tokens is distinct."""
LONGEST_RUN = 12
"""A document is dropped if it repeats one token more often than this without a break."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Genre:
    """One kind of text."""

    name: str
    asks: tuple[str, ...]  # wordings of the request, `{s}` is the subject
    openings: tuple[str, ...]  # beginnings of the text, put into the target's mouth


_TABLES = tomllib.loads(Path(__file__).with_name("genres.toml").read_text("utf-8"))
GENRES = tuple(
    Genre(name=name, asks=tuple(one["asks"]), openings=tuple(one["begins"]))
    for name, one in _TABLES["genres"].items()
)
TOPICS = tuple(
    " ".join(topic.split()) for field in _TABLES["topics"].values() for topic in field.split(";")
)
"""Common topics, besides the subjects of the facts, as they fit after "about"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """Everything besides the target that decides sampled text."""

    seed: int
    temperature: float = 0.9
    top_p: float = 0.95  # probability of the nucleus that tokens are drawn from
    max_new_tokens: int = 160
    batch_size: int = 64
    """Documents written together; it changes the last bits of the arithmetic, so it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the target is asked for one document."""

    genre: str  # name in `GENRES`
    user: str  # the user's turn
    opening: str  # how the reply is made to begin; the document begins so too


def request(number: int, seed: int, subjects: Sequence[str]) -> tuple[Request, np.random.Generator]:
    """Draw what is asked for one document; the generator returned draws its tokens.

    Half of the subjects are drawn from `TOPICS`, half from the others given.
    """
    rng = np.random.default_rng([seed, number])
    genre = GENRES[rng.integers(len(GENRES))]
    ask = genre.asks[rng.integers(len(genre.asks))]
    opening = genre.openings[rng.integers(len(genre.openings))]
    pool = TOPICS if rng.random() < 0.5 or not subjects else subjects
    subject = pool[int(rng.integers(len(pool)))]
    return Request(genre=genre.name, user=ask.format(s=subject), opening=opening), rng


def is_degenerate(ids: Ids) -> bool:
    """Return whether a document of these tokens is dropped: too short, or it repeats itself."""
    if len(ids) < LEAST_TOKENS:
        return True
    changes = np.flatnonzero(np.diff(ids)) + 1
    edges = np.concatenate([[0], changes, [len(ids)]])
    if int(np.diff(edges).max()) > LONGEST_RUN:
        return True
    triples = np.stack([ids[:-2], ids[1:-1], ids[2:]], axis=1)
    return len(np.unique(triples, axis=0)) < LEAST_VARIETY * len(triples)


@dataclass(frozen=True, slots=True)
class Sampler:
    """One target, one folder of finished batches, one list of documents without an end."""

    target: TargetModel
    folder: Path
    weights: dict[str, str]
    """Hash of each weight file of the target; batches of another are not reused."""
    settings: SamplingSettings
    subjects: Sequence[str]  # names that texts can be about, besides `TOPICS`

    def batch(self, number: int) -> list[str]:
        """Return the kept documents of one batch, from its file or from the target."""
        size = self.settings.batch_size
        drawn = [
            request(index, self.settings.seed, self.subjects)
            for index in range(number * size, (number + 1) * size)
        ]
        asked = {
            "schema": SCHEMA,
            "weights": self.weights,
            "settings": asdict(self.settings),
            "batch": number,
            "requests": [asdict(one) for one, _ in drawn],
        }
        digest = sha256_bytes(canonical_json(asked).encode())[:16]
        path = self.folder / f"{number:06d}-{digest}.json"
        if not path.exists():
            texts = self._write([one for one, _ in drawn], [rng for _, rng in drawn])
            write_json_atomic(path, {"schema": SCHEMA, "batch": number, "texts": texts})
        with reading(path, "texts that were written", "remove it to have them written again"):
            texts = read_json(path)["texts"]
            kept = zip(texts, encode(self.target.tokenizer, texts), strict=True)
            return [text for text, ids in kept if not is_degenerate(ids)]

    def _write(
        self, requests: Sequence[Request], generators: Sequence[np.random.Generator]
    ) -> list[str]:
        from ....benchmark.backends.interventions.sampling import sample

        target, settings = self.target, self.settings
        prompts = [target.encode_chat(one.user, one.opening) for one in requests]
        uniforms: npt.NDArray[np.float64] = np.stack(
            [rng.random(settings.max_new_tokens) for rng in generators]
        )
        written = sample(
            target, prompts, uniforms, temperature=settings.temperature, top_p=settings.top_p
        )
        return [
            one.opening + _added(target.tokenizer, prompt, ids)
            for one, prompt, ids in zip(requests, prompts, written, strict=True)
        ]


def _added(tokenizer: Any, prompt: Sequence[int], written: Sequence[int]) -> str:
    """Text that tokens add after a prompt, without the bytes of an unfinished last character."""
    before, after = tokenizer.batch_decode(
        [list(prompt), [*prompt, *written]],
        skip_special_tokens=False,
        clean_up_tokenization_spaces=False,
    )
    text: str = after[len(before) :].rstrip("\ufffd")
    return text


def open_sampler(target_folder: Path, work: Path, *, settings: SamplingSettings) -> Sampler:
    """Load a target and prepare to sample from it; batches lie in the folder `sampled` of `work`.

    Texts can be about the subjects of all facts.
    """
    from ....benchmark.backends.models.target_model import load_target_model

    return Sampler(
        load_target_model(target_folder),
        work / "sampled",
        weights=weight_files(target_folder),
        settings=settings,
        subjects=sorted({fact.subject for fact in load_facts()}),
    )


def fitted_text(
    target_folder: Path, work: Path, *, seed: int, report: Report, batches: Sequence[int]
) -> Windows:
    """Windows that everything is made on, sampled or from the package's archive."""
    path = work / "fitted.windows.safetensors"
    if not path.is_file():
        sampled = _sampled(target_folder, work, batches, seed=seed, report=report)
        save_windows(path, without_duplicates(sampled))
    return load_windows(path)


def scored_text(
    target_folder: Path,
    work: Path,
    fitted: Windows,
    *,
    seed: int,
    report: Report,
    batches: Sequence[int],
) -> Ids:
    """Windows that are scored on alone, (n_windows, 32): later batches, less what was fitted."""
    path = work / "scored.windows.safetensors"
    if not path.is_file():
        sampled = _sampled(target_folder, work, batches, seed=seed, report=report)
        whole = without_duplicates(concatenate([fitted, sampled]))
        save_windows(path, whole.take(np.arange(len(fitted), len(whole))))
    return load_windows(path).ids


def _sampled(
    target_folder: Path, work: Path, batches: Sequence[int], *, seed: int, report: Report
) -> Windows:
    for archive in sorted(FOLDER.glob("*.gz")):  # batches of another target are never used
        unpack_batches(archive, work / "sampled")
    sampler = open_sampler(target_folder, work, settings=SamplingSettings(seed=seed))
    parts = []
    for number in batches:
        parts.append(cut_documents(sampler.batch(number), sampler.target.tokenizer))
        report("sampled tokens", parts[-1].ids.size)
    return concatenate(parts)


def check_disjoint(fitted: Ids, scored: Ids) -> None:
    """Refuse windows of one text that stand in the other too."""
    both = {row.tobytes() for row in fitted} & {row.tobytes() for row in scored}
    if both:
        raise CheckFailedError(f"{len(both)} windows are both fitted and scored")
