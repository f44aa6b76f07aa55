"""Greedy decoding of many questions behind one shared prefix.

Two engines: `shared-head` reads the prefix once and keeps keys and values; `plain` runs everything
through the model again for each token, slowly, for models whose attention cannot share. A probe
chooses when the model is loaded. Nothing is drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import IntegrityError
from ..injection.hooks import Injector, Slots
from ..models.batch import check_finite, pad, with_cache
from .attention import ATTENTION, CannotShareError, Reach, Store, install
from .chat import Encoded, joined

Rows = Sequence[Encoded]
Begin = Callable[[Tensor], list[Sequence[int]]]  # first logits to how replies begin
Done = Callable[[Sequence[int]], bool]  # whether a reply of these tokens has ended

PREFILL_TOKENS = 2048  # question tokens, padding included, that are read in one pass
COMPACT_BELOW = 0.75  # finished rows are dropped once less than this share still grows

TOLERANCE = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""By how much the engines' logits may differ when probed, as a share of the largest logit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Tokens shared by many questions, read once."""

    encoded: Encoded  # the tokens
    layers: list[tuple[Tensor, Tensor]]  # by layer, (n_kv_heads, length, d_head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One reply as it was generated."""

    ids: list[int]  # its tokens, opening and stop token included
    logprobs: list[float]  # natural log-probability of each, given all before it


class Decoder:
    """One model, one way of injecting vectors, one engine."""

    def __init__(self, model: Any, injector: Injector, *, max_new_tokens: int) -> None:
        """Bind and probe; afterwards the model uses the attention of the chosen engine."""
        self.model, self.injector, self.max_new_tokens = model, injector, max_new_tokens
        self.n_layers: int = model.config.get_text_config().num_hidden_layers
        self._shared = False
        self.engine = self._choose_engine()

    def check_injection(self) -> None:
        """Refuse an injection that this engine cannot do; it does all."""

    def head(self, encoded: Encoded) -> Head:
        """Read the tokens that questions share."""
        if not self._shared or not encoded.ids:
            return Head(encoded=encoded, layers=[])
        store = Store(rows=1, length=len(encoded.ids))
        none = Head(encoded=Encoded(ids=()), layers=[])
        self._read(none, [encoded], store, slice(0, 1), stop=len(encoded.ids))
        layers = [(keys[0], values[0]) for keys, values in store.buffers]
        return Head(encoded=encoded, layers=layers)

    def first_logits(self, head: Head, questions: Rows) -> Tensor:
        """Logits of the first reply token, float32 (n_questions, vocabulary)."""
        logits = self._prefill(head, questions, 1)[0]
        check_finite(logits, partial(token_name, questions, 0))
        return logits

    def greedy(
        self, head: Head, questions: Rows, done: Done, begin: Begin | None = None, longest: int = 0
    ) -> list[Written]:
        """Greedy reply to each question, up to and with the token after which `done` is true.

        Questions are best sorted by length. `begin` says from the first logits what replies begin
        with, at most `longest` tokens, which do not count in a reply's length.
        """
        logits, store = self._prefill(head, questions, self.max_new_tokens + longest)
        begun = [()] * len(questions) if begin is None else begin(logits)
        return self._grow(head, questions, begun, logits, store, done)

    def likeliest(
        self, head: Head, questions: Rows, openings: Sequence[Sequence[int]], done: Done
    ) -> list[Written]:
        """Of the greedy replies after each opening, the one that is likeliest, opening included."""
        logits, store = self._prefill(head, questions, self.max_new_tokens)
        n = len(questions)
        rows = torch.arange(n, device=logits.device).repeat(len(openings))
        store.keep(rows)  # each question once for every opening
        begun = [opening for opening in openings for _ in questions]
        asked = [*questions] * len(openings)
        written = self._grow(head, asked, begun, logits[rows], store, done)
        return [max(written[row::n], key=lambda reply: sum(reply.logprobs)) for row in range(n)]

    def _grow(
        self,
        head: Head,
        questions: Rows,
        begun: Sequence[Sequence[int]],
        logits: Tensor,
        store: Store,
        done: Done,
    ) -> list[Written]:
        """Greedy replies behind what each begins with, of at most `max_new_tokens` tokens more."""
        written = [Written(ids=[], logprobs=[]) for _ in questions]
        stored = list(range(len(questions)))  # question of each stored row
        growing = set(stored)
        for turn in range(store.room):
            left = [place for place, row in enumerate(stored) if row in growing]
            asked = [questions[row] for row in stored]
            check_finite(logits, partial(token_name, asked, turn), left)
            tokens = logits.argmax(dim=-1)
            for place, row in enumerate(stored):
                if turn < len(begun[row]):
                    tokens[place] = begun[row][turn]
            likelihood = logits.log_softmax(dim=-1).gather(1, tokens[:, None])[:, 0]
            for row, token, score in zip(stored, tokens.tolist(), likelihood.tolist(), strict=True):
                if row in growing:
                    written[row].ids.append(token)
                    written[row].logprobs.append(score)
                    free = written[row].ids[len(begun[row]) :]
                    if free and (len(free) == self.max_new_tokens or done(free)):
                        growing.remove(row)
            if not growing or turn == store.room - 1:
                break
            if len(growing) < COMPACT_BELOW * len(stored):
                left = [place for place, row in enumerate(stored) if row in growing]
                keep = torch.tensor(left, device=tokens.device)
                store.keep(keep)
                tokens, stored = tokens[keep], [stored[place] for place in left]
            rows = [questions[row] for row in stored]
            if self._shared:
                logits = self._next(head, rows, tokens, store, turn)
            else:
                longer = {row: (*questions[row].ids, *written[row].ids) for row in stored}
                grown = [replace(questions[row], ids=ids) for row, ids in longer.items()]
                logits = self._plain(head.encoded, grown)
        return written

    def _choose_engine(self) -> str:
        """Share heads if a small probe then gives the logits of a plain pass; else stay plain."""
        size = self.model.config.get_text_config().vocab_size
        ids = tuple(index % size for index in range(3, 15))
        head, rows = Encoded(ids=ids[:6]), [Encoded(ids=ids[6:8]), Encoded(ids=ids[7:])]
        if self.model.config._attn_implementation == ATTENTION:
            self.model.set_attn_implementation("eager")  # wrapped before: start afresh
        before = self.model.config._attn_implementation
        with torch.inference_mode():
            plain = self._plain(head, rows)
            self._shared = install(self.model)
            try:
                shared = self._prefill(self.head(head), rows, 1)[0]
            except CannotShareError:
                shared = torch.full_like(plain, float("inf"))
        allowed = TOLERANCE.get(self.model.dtype, 0.0) * plain.abs().max()
        if self._shared and bool((shared - plain).abs().max() <= allowed):
            return "shared-head"
        if self._shared:
            self.model.set_attn_implementation(before)
        self._shared = False
        return "plain"

    def _prefill(self, head: Head, questions: Rows, room: int) -> tuple[Tensor, Store]:
        """First logits (rows, vocabulary) and the rows' keys and values, with room for replies."""
        lengths = [len(question.ids) for question in questions]
        length = max(lengths) + room
        store = Store(rows=len(questions), length=length, room=room)
        if not self._shared:
            return self._plain(head.encoded, questions), store
        logits = [
            self._read(head, questions[rows], store, rows, stop=max(lengths))
            for rows in _passes(lengths)
        ]
        return torch.cat(logits), store

    def _read(self, head: Head, questions: Rows, store: Store, rows: slice, *, stop: int) -> Tensor:
        """Read questions into rows of the store, ending before column `stop`; last logits."""
        width = max(len(question.ids) for question in questions)
        batch = pad([question.ids for question in questions], self.model)
        positions = torch.where(batch.mask > 0, batch.positions + len(head.encoded.ids), -1)
        store.aim(rows, first=stop - width, start=stop - width, stop=stop)
        slots = self._slots(questions, width)
        reach = Reach(head=head.layers, queries=positions, keys=positions)
        with self.injector.during(slots):
            return self._pass(self.injector.embed(batch.ids, slots), store, reach)

    def _next(self, head: Head, questions: Rows, tokens: Tensor, store: Store, turn: int) -> Tensor:
        """Feed each row's token number `turn`; logits of the next (rows, vocabulary)."""
        column = store.length - store.room + turn
        lengths = torch.tensor([len(question.ids) for question in questions], device=tokens.device)
        padding = store.length - store.room - lengths  # (rows,)
        keys = torch.arange(column + 1, device=tokens.device)[None] - padding[:, None]
        keys = torch.where(keys < 0, -1, keys + len(head.encoded.ids))
        store.aim(slice(0, len(questions)), first=0, start=column, stop=column + 1)
        reach = Reach(head=head.layers, queries=keys[:, -1:], keys=keys)
        return self._pass(self.injector.embed(tokens[:, None], None), store, reach)

    def _pass(self, embedded: Tensor, store: Store, reach: Reach) -> Tensor:
        """Last logits, float32 (rows, vocabulary), of a pass with shared head."""
        output = self.model(
            inputs_embeds=embedded,
            position_ids=reach.queries.clamp(min=0),
            use_cache=True,
            logits_to_keep=1,
            reach=reach,
            **with_cache(store),
        )
        if reach.calls != self.n_layers:
            raise CannotShareError(f"{reach.calls} of {self.n_layers} layers took part")
        last: Tensor = output.logits[:, -1].float()
        return last

    def _plain(self, head: Encoded, questions: Rows) -> Tensor:
        """Last logits, float32 (rows, vocabulary), of an ordinary pass over head and question."""
        rows = [joined(head, question) for question in questions]
        width = max(len(row.ids) for row in rows)
        batch = pad([row.ids for row in rows], self.model)
        slots = self._slots(rows, width)
        with self.injector.during(slots):
            output = self.model(
                inputs_embeds=self.injector.embed(batch.ids, slots),
                attention_mask=batch.mask,
                position_ids=batch.positions,
                use_cache=False,
                logits_to_keep=1,
            )
        last: Tensor = output.logits[:, -1].float()
        return last

    def _slots(self, rows: Rows, width: int) -> Slots | None:
        places = [
            (index, width - len(row.ids) + column, vector)
            for index, row in enumerate(rows)
            if row.vectors
            for column, vector in zip(row.columns, row.vectors, strict=True)
        ]
        if not places:
            return None
        stacked = np.stack([vector for _, _, vector in places]).astype(np.float32)
        if not np.isfinite(stacked).all():
            raise IntegrityError("a vector is not finite")
        if self.injector.injection.scaling != "raw" and not stacked.any(axis=1).all():
            raise IntegrityError("a vector is zero, so its length cannot be matched")
        device = self.model.device
        layers = [own for row in rows for own in row.layers]
        return Slots(
            rows=torch.tensor([row for row, _, _ in places], device=device),
            columns=torch.tensor([column for _, column, _ in places], device=device),
            vectors=torch.from_numpy(stacked).to(device),
            layers=torch.tensor(layers, device=device) if layers else None,
        )


def token_name(questions: Rows, turn: int, row: int) -> str:
    """What an error calls a token of a reply, `turn` from 0."""
    return f"query {questions[row].name}, token {turn + 1} of the reply"


def _passes(lengths: Sequence[int]) -> Iterator[slice]:
    """Consecutive rows whose padded tokens stay within `PREFILL_TOKENS`."""
    start, longest = 0, 0
    for index, length in enumerate(lengths):
        longest = max(longest, length)
        if index > start and (index + 1 - start) * longest > PREFILL_TOKENS:
            yield slice(start, index)
            start, longest = index, length
    yield slice(start, len(lengths))
