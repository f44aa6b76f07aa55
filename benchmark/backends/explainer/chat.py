"""Prompts to token ids: a head shared by many prompts, and a question.

The two parts, and the text on either side of a slot, are tokenised apart, so the ids of a question
do not depend on what else is in its batch. Special tokens come from the rendered text only. With a
chat template, instructions are the system turn (or stand before the first user turn, where a
template refuses one), solved queries are user and assistant turns, the question the last user turn.
Without one, the form is

    <beginning-of-sequence token, if the tokenizer sets one>instructions

    question
    Answer: reply

    question
    Answer:
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from ... import files
from ...errors import IntegrityError, UsageError
from ...records import SLOT, Prompt
from ...runs.reply_text import THINK
from ..injection.spec import REPLAY, Injection, names_token, own_layers

QUESTION_MARK = "⟦question⟧"  # stands for the question while the chat template is rendered

PLACEHOLDER = " X"  # its last token stands in the slot; the space before the slot belongs to it

ENABLE_THINKING = "enable_thinking"  # variable of chat templates whose models can think first

CHAT_DATE = "26 Jul 2024"
"""Date for templates that print one (Llama 3), so that a prompt does not depend on the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Token ids with their slots."""

    ids: tuple[int, ...]  # token ids, possibly none
    columns: tuple[int, ...] = ()  # index in `ids` of each place where a vector enters
    vectors: tuple[npt.NDArray[np.float32], ...] = ()  # each (d_target,); empty if left out
    layers: tuple[tuple[int, int], ...] = ()  # first, last; empty unless queries have their own
    name: str = ""  # the query it asks, for errors


def joined(head: Encoded, question: Encoded) -> Encoded:
    """A question behind its head."""
    return Encoded(
        ids=(*head.ids, *question.ids),
        columns=(*head.columns, *(len(head.ids) + column for column in question.columns)),
        vectors=(*head.vectors, *question.vectors),
        layers=(*head.layers, *question.layers),
    )


Entry = tuple[npt.NDArray[np.float32] | None, Mapping[str, Any]]
"""What enters at one `SLOT` of a text: a vector (d_target,), or None, and its query's fields."""


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """Ids of a text without special tokens of the tokenizer's own."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    return ids


def render_chat(
    tokenizer: Any, turns: Sequence[Mapping[str, str]], *, enable_thinking: bool, **options: Any
) -> str:
    """Text of a conversation, up to where the assistant speaks; IntegrityError: it is refused."""
    options |= {"tokenize": False, "add_generation_prompt": True, "date_string": CHAT_DATE}
    with files.reading(tokenizer.name_or_path, "a folder whose chat template takes these turns"):
        text: str = tokenizer.apply_chat_template(
            list(turns), enable_thinking=enable_thinking, **options
        )
    return text


def bos_ids(tokenizer: Any) -> tuple[int, ...]:
    """The beginning-of-sequence token if the tokenizer puts one in front of plain text."""
    bos, ids = tokenizer.bos_token_id, tokenizer("a")["input_ids"]
    return (bos,) if bos is not None and ids[0] == bos else ()


class Encoder:
    """Turns prompts into ids with one tokenizer."""

    def __init__(
        self,
        tokenizer: Any,
        *,
        use_vectors: bool,
        injection: Injection | None = None,
        target_tokenizer: Any = None,
        thinking: bool | None = None,
        system: str | None = None,
    ) -> None:
        """Bind to a tokenizer, which also counts positions in texts if no other does."""
        self.tokenizer = tokenizer
        self.use_vectors = use_vectors
        self.injection = injection or Injection()
        self.target_tokenizer = tokenizer if target_tokenizer is None else target_tokenizer
        self.chat = bool(getattr(tokenizer, "chat_template", None))
        self.placeholder = plain_ids(tokenizer, PLACEHOLDER)[-1]
        self.thinking, self.system = thinking is True, system
        if thinking is not None and ENABLE_THINKING not in str(tokenizer.chat_template):
            raise UsageError(
                f"this explainer's chat template has no {ENABLE_THINKING}, so thinking cannot be "
                "turned on or off; leave --thinking and --no-thinking out"
            )
        opened = self._render([{"role": "user", "content": "?"}]).rstrip() if self.chat else ""
        self.begun = THINK if opened.endswith(THINK) else ""  # by the prompt's own words

    def entering(self, injection: Injection) -> Encoder:
        """The same with vectors entering in another way."""
        other = copy.copy(self)
        other.injection = injection
        return other

    def head(self, prompt: Prompt) -> Encoded:
        """Encode all before the question: instructions, solved queries, the opening of its turn."""
        shots = [shot for shot in prompt.shots if SLOT in shot.question]
        entries = [(shot.vector, shot.fields) for shot in shots]
        encoded = self._encode(self._texts(prompt)[0], entries)
        bos = () if self.chat else bos_ids(self.tokenizer)
        columns = tuple(column + len(bos) for column in encoded.columns)
        return replace(encoded, ids=(*bos, *encoded.ids), columns=columns)

    def questions(self, prompts: Sequence[Prompt]) -> list[Encoded]:
        """Questions of prompts that share their head, each with the opening of the reply."""
        tail, encoded = self._texts(prompts[0])[1], []
        for prompt in prompts:
            entries = [(prompt.vector, prompt.query.fields)] * prompt.question.count(SLOT)
            encoded.append(self._encode(self._asked(prompt, tail), entries))
        return encoded

    def reply_ids(self, text: str, *, replayed: bool = False) -> tuple[int, ...]:
        """Ids of the beginning of a reply, as they follow a question or a replayed text."""
        return tuple(plain_ids(self.tokenizer, f" {text}" if replayed or not self.chat else text))

    def replays(self, prompt: Prompt) -> bool:
        """Whether the explainer's turn begins with the text that the question quotes."""
        named = names_token(prompt.query.fields)
        return self.injection.mode == REPLAY and SLOT in prompt.question and named

    def _texts(self, prompt: Prompt) -> tuple[str, str]:
        asked = [self._marked(shot.question, shot.fields) for shot in prompt.shots]
        instructions = "\n\n".join(filter(None, (self.system, prompt.instructions)))
        if not self.chat:
            pairs = zip(asked, prompt.shots, strict=True)
            parts = [instructions, *(f"{text}\nAnswer: {shot.answer}" for text, shot in pairs)]
            return "".join(f"{part.strip()}\n\n" for part in parts), "\nAnswer:"
        turns = [{"role": "system", "content": instructions}]
        for question, shot in zip(asked, prompt.shots, strict=True):
            turns.append({"role": "user", "content": question})
            turns.append({"role": "assistant", "content": shot.answer})
        turns.append({"role": "user", "content": QUESTION_MARK})
        try:
            text = self._render(turns)
        except IntegrityError:  # templates without a system turn refuse one
            first = {"role": "user", "content": f"{instructions}\n\n{turns[1]['content']}"}
            text = self._render([first, *turns[2:]])
        before, mark, after = text.partition(QUESTION_MARK)
        if not mark:
            raise UsageError("this tokenizer's chat template does not print the last user turn")
        return before, after

    def _render(self, turns: list[dict[str, str]]) -> str:
        return render_chat(self.tokenizer, turns, enable_thinking=self.thinking)

    def _asked(self, prompt: Prompt, tail: str) -> str:
        fields = prompt.query.fields
        if not self.replays(prompt):
            return self._marked(prompt.question, fields) + tail
        text = str(fields["text"])
        if self.use_vectors:
            text = mark_quoted(text, fields, self.target_tokenizer)
        return prompt.question + tail + ("" if self.chat else "\n") + text

    def _marked(self, question: str, fields: Mapping[str, Any]) -> str:
        if not self.injection.quotes or not self.use_vectors or SLOT not in question:
            return question
        return mark_quoted(question, fields, self.target_tokenizer)

    def _encode(self, text: str, entries: Sequence[Entry]) -> Encoded:
        """Ids of a text whose slots, in order, take these vectors, where they are not left out."""
        parts = text.split(SLOT)
        ids: list[int] = []
        slots: list[list[int]] = []
        quoted: list[int] = []
        for number, part in enumerate(parts):
            plain, marks = unmark(part)
            last = number == len(parts) - 1
            plain = plain if last else plain.removesuffix(" ")
            if marks:
                offsets = offsets_of(self.tokenizer, plain, special=False)
                quoted += [len(ids) + token_at(offsets, *mark) for mark in marks]
            ids += plain_ids(self.tokenizer, plain)
            if not last:
                count = self.injection.slots
                slots.append(list(range(len(ids), len(ids) + count)))
                ids += [self.placeholder] * count
        if not self.use_vectors:
            return Encoded(ids=tuple(ids), columns=tuple(place for slot in slots for place in slot))
        given = sum(vector is not None for vector, _ in entries)
        if len(slots) != given:
            raise UsageError(f"a prompt has {len(slots)} slots but {given} vectors")
        return self._placed(ids, slots, quoted, entries)

    def _placed(
        self,
        ids: Sequence[int],
        slots: Sequence[Sequence[int]],
        quoted: Sequence[int],
        entries: Sequence[Entry],
    ) -> Encoded:
        """The ids with each vector at its slot, or at the token that its query names."""
        columns: list[int] = []
        vectors: list[npt.NDArray[np.float32]] = []
        layers: list[tuple[int, int]] = []
        tokens = iter(quoted)
        for slot, (vector, fields) in zip(slots, entries, strict=True):
            named = self.injection.quotes and names_token(fields)
            places = [next(tokens)] if named else slot
            columns += places
            vectors += [vector] * len(places)  # type: ignore[list-item]
            if self.injection.needs_layers:
                layers += [own_layers(fields)] * len(places)
        return Encoded(
            ids=tuple(ids), columns=tuple(columns), vectors=tuple(vectors), layers=tuple(layers)
        )


_MARK = re.compile("⟦quoted:(\\d+)⟧")


def mark_quoted(question: str, fields: Mapping[str, Any], target_tokenizer: Any) -> str:
    """Put a mark behind the last character of the token that a query names, if it names one."""
    if not names_token(fields):
        return question
    text = fields["text"]
    if question.count(text) != 1:
        raise UsageError("the question does not quote its text exactly once; use another injection")
    end, behind = _last_character(fields, target_tokenizer)
    place = question.index(text) + end
    return f"{question[:place]}⟦quoted:{behind}⟧{question[place:]}"


def unmark(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Take marks out; for each the character before it and how many tokens behind share it."""
    pieces = _MARK.split(text)  # text and numbers in turn
    ends = accumulate(len(piece) for piece in pieces[::2])
    places = [(end - 1, int(n)) for end, n in zip(ends, pieces[1::2], strict=False)]
    return "".join(pieces[::2]), places


def token_at(offsets: Sequence[tuple[int, int]], character: int, behind: int = 0) -> int:
    """Index of the token that covers a character; of its pieces the one with `behind` after it."""
    found = [index for index, (low, high) in enumerate(offsets) if low <= character < high]
    if not found:
        raise UsageError("the explainer's tokenizer drops the quoted token; use another injection")
    return found[max(0, len(found) - 1 - behind)]


def offsets_of(tokenizer: Any, text: str, *, special: bool) -> list[tuple[int, int]]:
    """First character and end of each token of a text, with or without special tokens."""
    if not tokenizer.is_fast:
        raise UsageError("this tokenizer tells no character offsets; use another injection")
    encoded = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
    return [(int(low), int(high)) for low, high in encoded["offset_mapping"]]


def _last_character(fields: Mapping[str, Any], target_tokenizer: Any) -> tuple[int, int]:
    """End of the named token in the text, and how many tokens behind it share its end."""
    text, token, position = fields["text"], fields["token"], fields["position"]
    offsets = offsets_of(target_tokenizer, text, special=True)
    if len(offsets) == fields["n_tokens"]:
        low, high = offsets[position]
        if text[low:high].strip() == token.strip() and high > low:
            behind = sum(a < high <= b for a, b in offsets[position + 1 :])
            return high, behind
    if text.count(token) != 1:
        raise UsageError(
            f"token {position + 1} of {fields['n_tokens']} cannot be told apart in a query's text "
            "with this tokenizer; use another injection"
        )
    return text.index(token) + len(token), 0
