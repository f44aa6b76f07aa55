"""A tiny base model on disk, and features whose descriptions name the letters they respond to."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
from tiny_models import make_tokenizer, save_model

from introspect_bench.benchmark.backends.simulator.examples import Lessons

LETTERS = "ABCDEF"
WINDOW = 12
save_base = save_model


def windows_of_letters(n: int, w: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """Random windows, int32 (n, w, 12), of the tokens of `LETTERS`."""
    ids = make_tokenizer()(LETTERS, add_special_tokens=False)["input_ids"]
    drawn = np.array(ids, dtype=np.int32)[rng.integers(len(ids), size=(n, w, WINDOW))]
    return np.asarray(drawn, dtype=np.int32)


def pairs(seed: int = 0) -> list[str]:
    """All pairs of letters in a random order."""
    found = ["".join(pair) for pair in combinations(LETTERS, 2)]
    return [found[place] for place in np.random.default_rng(seed).permutation(len(found))]


def lessons_of_pairs(names: list[str], *, w: int = 4, seed: int = 0) -> Lessons:
    """Features active, 3.5, on either letter of a pair; the description is the pair."""
    rng = np.random.default_rng(seed)
    ids = windows_of_letters(len(names), w, rng)
    tokens = {letter: make_tokenizer()(letter)["input_ids"][-1] for letter in LETTERS}
    active = np.stack(
        [
            np.isin(own, [tokens[letter] for letter in name])
            for own, name in zip(ids, names, strict=True)
        ]
    )
    return Lessons(
        descriptions=tuple((name, name[::-1]) for name in names),
        opposites=tuple((f"not {name}",) for name in names),
        ids=ids,
        activations=(3.5 * active).astype(np.float32),
    )
