"""Prompts to token ids: a head shared by many prompts, and a question.

Owns the chat form and the plain form. The two parts, and the text on either side of a slot, are
tokenised apart, so the ids of a question do not depend on what else is in its batch. Special tokens
come from the rendered text only.

The chat form is used when the tokenizer has a chat template: instructions as system turn, solved
queries as user and assistant turns, the question as last user turn. A template that refuses a
system turn gets the instructions in front of its first user turn. The plain form, for tokenizers
without a template, is

    <beginning-of-sequence token, if the tokenizer sets one>instructions

    question
    Answer: reply

    question
    Answer:
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import TemplateError

from introspect_bench.benchmark.errors import UsageError
from introspect_bench.benchmark.records import SLOT, Prompt

QUESTION_MARK = "⟦question⟧"
"""Stands for the question while the chat template is rendered."""

PLACEHOLDER = " X"
"""Its last token stands in the slot; the space before the slot belongs to it."""

CHAT_DATE = "26 Jul 2024"
"""Date told to templates that print one (Llama 3), so that a prompt does not depend on the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Token ids with their slots."""

    ids: tuple[int, ...]
    """Token ids, possibly none."""
    columns: tuple[int, ...] = ()
    """Index of each slot in `ids`."""
    vectors: tuple[npt.NDArray[np.float32], ...] = ()
    """One vector (d_target,) for each slot; empty when vectors are left out."""


class Encoder:
    """Turns prompts into ids with one tokenizer."""

    def __init__(self, tokenizer: Any, *, use_vectors: bool) -> None:
        """Remember the tokenizer; without `use_vectors` slots take no vector."""
        self.tokenizer = tokenizer
        self.use_vectors = use_vectors
        self.chat = bool(getattr(tokenizer, "chat_template", None))
        self.placeholder = self._plain_ids(PLACEHOLDER)[-1]

    def head(self, prompt: Prompt) -> Encoded:
        """Encode all before the question: instructions, solved queries, the opening of its turn."""
        text = self._texts(prompt)[0]
        vectors = [shot.vector for shot in prompt.shots if SLOT in shot.question]
        encoded = self._encode(text, vectors)
        if self.chat:
            return encoded
        bos = self._bos()
        return Encoded(
            ids=(*bos, *encoded.ids),
            columns=tuple(column + len(bos) for column in encoded.columns),
            vectors=encoded.vectors,
        )

    def questions(self, prompts: Sequence[Prompt]) -> list[Encoded]:
        """Questions of prompts that share their head, each with the opening of the reply."""
        tail = self._texts(prompts[0])[1]
        return [
            self._encode(prompt.question + tail, [prompt.vector] * prompt.question.count(SLOT))
            for prompt in prompts
        ]

    def reply_ids(self, text: str) -> tuple[int, ...]:
        """Ids of the beginning of a reply, as they follow a question."""
        return tuple(self._plain_ids(text if self.chat else f" {text}"))

    def _texts(self, prompt: Prompt) -> tuple[str, str]:
        """Text before and after the question."""
        if not self.chat:
            parts = [prompt.instructions]
            parts += [f"{shot.question}\nAnswer: {shot.answer}" for shot in prompt.shots]
            return "".join(f"{part.strip()}\n\n" for part in parts), "\nAnswer:"
        turns = [{"role": "system", "content": prompt.instructions}]
        for shot in prompt.shots:
            turns.append({"role": "user", "content": shot.question})
            turns.append({"role": "assistant", "content": shot.answer})
        turns.append({"role": "user", "content": QUESTION_MARK})
        try:
            text = self._render(turns)
        except TemplateError:
            first = {"role": "user", "content": f"{prompt.instructions}\n\n{turns[1]['content']}"}
            text = self._render([first, *turns[2:]])
        before, mark, after = text.partition(QUESTION_MARK)
        if not mark:
            raise UsageError("this tokenizer's chat template does not print the last user turn")
        return before, after

    def _render(self, turns: list[dict[str, str]]) -> str:
        text: str = self.tokenizer.apply_chat_template(
            turns,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
            date_string=CHAT_DATE,
        )
        return text

    def _encode(self, text: str, vectors: Sequence[npt.NDArray[np.float32] | None]) -> Encoded:
        """Ids of a text whose slots, in order, take these vectors."""
        parts = text.split(SLOT)
        ids: list[int] = []
        columns: list[int] = []
        for part in parts[:-1]:
            ids += self._plain_ids(part.removesuffix(" "))
            columns.append(len(ids))
            ids.append(self.placeholder)
        ids += self._plain_ids(parts[-1])
        if not self.use_vectors:
            return Encoded(ids=tuple(ids), columns=tuple(columns))
        given = tuple(vector for vector in vectors if vector is not None)
        if len(given) != len(columns):
            raise UsageError(f"a prompt has {len(columns)} slots but {len(given)} vectors")
        return Encoded(ids=tuple(ids), columns=tuple(columns), vectors=given)

    def _plain_ids(self, text: str) -> list[int]:
        if not text:
            return []
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _bos(self) -> tuple[int, ...]:
        """The beginning-of-sequence token if the tokenizer puts one in front of plain text."""
        bos = self.tokenizer.bos_token_id
        with_special: list[int] = self.tokenizer("a")["input_ids"]
        return (bos,) if bos is not None and with_special[0] == bos else ()
