"""Text that the target writes itself: many kinds of text about many subjects, seeded, resumable.

Owns what the target is asked, which replies are kept, and the folder of finished batches; drawing
tokens is `benchmark/backends/interventions/sampling.py`. Everything drawn for a document comes from
a generator of its own, seeded with the seed and the document's number. Finished batches lie in the
folder as one file each: a killed build loses one batch at most, and several processes can fill it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ....benchmark.files import canonical_json, read_json, sha256_bytes, write_json_atomic
from ...facts.facts import load_facts
from ..windows import (
    SAMPLED,
    WINDOW,
    Document,
    Ids,
    Windows,
    concatenate,
    cut_documents,
    encode,
    word_starts,
)
from .genres import GENRES
from .topics import TOPICS

if TYPE_CHECKING:
    from ....benchmark.backends.models.target_model import TargetModel

SCHEMA = "introspect-bench/sampled-batch/1"
"""Schema of a batch's file."""
LEAST_TOKENS = WINDOW + 1
"""A document with fewer tokens is dropped."""
LEAST_VARIETY = 0.5
"""A document is dropped if a smaller share of its runs of three tokens is distinct."""
LONGEST_RUN = 12
"""A document is dropped if it repeats one token more often than this without a break."""

Progress = Callable[[str, int], None]
"""Called with a stage name and the number of items just finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything besides the target that decides sampled text."""

    seed: int
    """Seed of all draws."""
    temperature: float = 0.9
    """Logits are divided by it."""
    top_p: float = 0.95
    """Probability of the nucleus that tokens are drawn from."""
    max_new_tokens: int = 160
    """Longest reply, in tokens."""
    batch_size: int = 64
    """Documents written together; it changes the last bits of the arithmetic, so it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the target is asked for one document."""

    genre: str
    """Name in `GENRES`."""
    user: str
    """The user's turn."""
    opening: str
    """How the reply is made to begin; the document begins so too."""


def request(number: int, seed: int, subjects: Sequence[str]) -> tuple[Request, np.random.Generator]:
    """Draw what is asked for one document; the generator returned draws its tokens.

    Half of the subjects are drawn from `TOPICS`, half from the others given.

    Args:
        number: the document's number, from 0.
        seed: seed of the corpus.
        subjects: names that texts can be about, besides `TOPICS`.
    """
    rng = np.random.default_rng([seed, number])
    genre = GENRES[rng.integers(len(GENRES))]
    ask = genre.asks[rng.integers(len(genre.asks))]
    opening = genre.openings[rng.integers(len(genre.openings))]
    pool = TOPICS if rng.random() < 0.5 or not subjects else subjects
    subject = pool[int(rng.integers(len(pool)))]
    return Request(genre=genre.name, user=ask.format(s=subject), opening=opening), rng


def fact_subjects() -> tuple[str, ...]:
    """Return the subjects of all facts, without repeats, in sorted order."""
    return tuple(sorted({fact.subject for fact in load_facts()}))


def is_degenerate(ids: Ids) -> bool:
    """Return whether a document is dropped: too short, or it repeats itself.

    Args:
        ids: its token ids, int32 (n_tokens,).
    """
    if len(ids) < LEAST_TOKENS:
        return True
    changes = np.flatnonzero(np.diff(ids)) + 1
    edges = np.concatenate([[0], changes, [len(ids)]])
    if int(np.diff(edges).max()) > LONGEST_RUN:
        return True
    triples = np.stack([ids[:-2], ids[1:-1], ids[2:]], axis=1)
    return len(np.unique(triples, axis=0)) < LEAST_VARIETY * len(triples)


class Sampler:
    """One target, one folder of finished batches, one list of documents without an end."""

    def __init__(
        self,
        target: TargetModel,
        folder: Path,
        *,
        weights: dict[str, str],
        settings: Settings,
        subjects: Sequence[str],
    ) -> None:
        """Bind; nothing is written before a batch is asked for.

        Args:
            target: the model that writes.
            folder: where finished batches lie.
            weights: hash of each weight file of the target; batches of another are not reused.
            settings: how text is sampled.
            subjects: names that texts can be about, besides `TOPICS`.
        """
        self.target, self.folder, self.settings = target, folder, settings
        self._weights, self._subjects = weights, tuple(subjects)

    def batch(self, number: int) -> list[Document]:
        """Return the kept documents of one batch, from its file or from the target.

        Args:
            number: the batch's number, from 0.
        """
        size = self.settings.batch_size
        drawn = [
            request(index, self.settings.seed, self._subjects)
            for index in range(number * size, (number + 1) * size)
        ]
        asked = {
            "schema": SCHEMA,
            "weights": self._weights,
            "settings": asdict(self.settings),
            "batch": number,
            "requests": [asdict(one) for one, _ in drawn],
        }
        digest = sha256_bytes(canonical_json(asked).encode())[:16]
        path = self.folder / f"{number:06d}-{digest}.json"
        if not path.exists():
            texts = self._write([one for one, _ in drawn], [rng for _, rng in drawn])
            write_json_atomic(path, {"schema": SCHEMA, "batch": number, "texts": texts})
        texts = read_json(path)["texts"]
        kept = zip(texts, encode(self.target.tokenizer, texts), strict=True)
        return [Document(source=SAMPLED, text=text) for text, ids in kept if not is_degenerate(ids)]

    def fill(self, batches: Iterable[int], report: Progress) -> None:
        """Write batches ahead of need, for instance every second one in a second process."""
        for number in batches:
            report("sampled documents", len(self.batch(number)))

    def windows(self, n_tokens: int, report: Progress) -> Windows:
        """Return the windows of the first batches that together have this many tokens or more.

        Args:
            n_tokens: tokens in windows, 32 to each.
            report: told how many tokens more there are after each batch.
        """
        starts = word_starts(self.target.tokenizer)
        parts = [cut_documents([], self.target.tokenizer, starts=starts)]
        found = number = 0
        while found < n_tokens:
            part = cut_documents(self.batch(number), self.target.tokenizer, starts=starts)
            parts.append(part)
            found, number = found + part.ids.size, number + 1
            report("sampled tokens", part.ids.size)
        return concatenate(parts)

    def _write(
        self, requests: Sequence[Request], generators: Sequence[np.random.Generator]
    ) -> list[str]:
        """Documents as the target writes them, opening included."""
        from ....benchmark.backends.interventions.sampling import sample

        target, settings = self.target, self.settings
        prompts = [target.encode_chat(one.user, one.opening) for one in requests]
        uniforms: npt.NDArray[np.float64] = np.stack(
            [rng.random(settings.max_new_tokens) for rng in generators]
        )
        written = sample(
            target,
            prompts,
            uniforms,
            temperature=settings.temperature,
            top_p=settings.top_p,
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
