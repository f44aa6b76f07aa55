"""Explainers that are local language models: greedy replies, with an optional vector in the prompt.

Owns `LocalExplainer`, which turns prompts into completions, and when a reply ends. Loading is in
`load.py`, prompts to tokens in `chat.py`, decoding in `decoding.py`, vectors in
`injection/spec.py`.
"""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...errors import UsageError
from ...prompts import AUTO_BATCH_SIZE as AUTO_BATCH_SIZE
from ...records import DECODINGS, GREEDY, WHOLE, Completion, Prompt
from ...runs.reply_text import has_ended
from ..injection.hooks import Injector
from ..injection.learned import Learned, check_learned
from ..injection.spec import Injections, injection_of, merged
from ..interventions.sampling import stop_tokens
from .chat import Encoded, Encoder
from .decoding import Decoder, Head, Written
from .encoders import make_encoder
from .families import Family

MAX_NEW_TOKENS = 32
"""Longest reply, in explainer tokens."""
MAX_THINKING_TOKENS = 1024
"""The same with thinking."""

HEADS_KEPT = 4
"""Heads remembered between calls; a task has a few templates."""


class LocalExplainer:
    """A causal language model of transformers as an explainer."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        injection: Injections | None = None,
        task: str = "",
        learned: Learned | None = None,
        target_tokenizer: Any = None,
        family: Family | None = None,
        use_vectors: bool = True,
        batch_size: int = AUTO_BATCH_SIZE,
        max_new_tokens: int | None = None,
        thinking: bool | None = None,
        system: str | None = None,
        openings: Sequence[str] = (),
        decoding: str = GREEDY,
    ) -> None:
        """Take a loaded model with its tokenizer.

        Args:
            model: a causal language model of transformers; put into evaluation mode, and switched
                to the shared-head attention if a probe shows that it gives the same logits.
            tokenizer: its tokenizer.
            injection: how vectors enter, for every task or by task; the default if None.
            task: name of the task that is asked about first, see `for_task`.
            learned: learned parts of the injection, if it has any.
            target_tokenizer: counts positions in queries' texts; the explainer's own if None.
            family: whose convention prompts follow; the benchmark's own if None.
            use_vectors: False leaves the placeholder's own embedding in every slot (a control).
            batch_size: rows decoded together.
            max_new_tokens: longest reply, in tokens, without its opening; if None,
                `MAX_NEW_TOKENS`, or with thinking `MAX_THINKING_TOKENS`.
            thinking: whether replies begin with thinking, off if None; and
            system: what stands before the instructions; both as `Encoder` takes them.
            openings: a reply must begin with one of these; the one whose first token is likeliest
                is taken, and the rest is free. Empty: all of it is free.
            decoding: one of `DECODINGS`.

        Raises:
            UsageError: the injection does not fit the model, a number is below 1, two openings
                begin with the same token, a learned part is missing or left over, or there can be
                no thinking or system text.
        """
        self.injections = merged(injection, None if family is None else family.injection)
        self.learned = learned or Learned()
        check_learned(self.injections, self.learned)
        chosen = injection_of(task, self.injections)
        if decoding not in DECODINGS:
            raise UsageError(f"decoding {decoding!r}: choose from {', '.join(DECODINGS)}")
        self.decoding = decoding
        if thinking and decoding != GREEDY:
            raise UsageError(f"decoding {decoding} leaves no room for thinking; choose {GREEDY}")
        if max_new_tokens is None:
            max_new_tokens = MAX_THINKING_TOKENS if thinking else MAX_NEW_TOKENS
        if batch_size < 1 or max_new_tokens < 1:
            raise UsageError("batch size and longest reply are at least 1")
        self.model = model.eval().requires_grad_(False)
        self.family = family
        self.encoder = make_encoder(
            tokenizer, family, chosen, use_vectors, target_tokenizer, thinking, system
        )
        self.injector = Injector(model, chosen, self.learned.used_by(chosen))
        self.decoder = Decoder(model, self.injector, max_new_tokens=max_new_tokens)
        self.batch_size, self.max_new_tokens = batch_size, max_new_tokens
        config = model.config.get_text_config()
        self.d_model: int = config.hidden_size
        self.max_length: int | None = getattr(config, "max_position_embeddings", None)
        self.openings = tuple(openings)
        self._opening_ids = [self.encoder.reply_ids(opening) for opening in openings]
        if len({ids[0] for ids in self._opening_ids}) < len(self._opening_ids):
            raise UsageError("two openings begin with the same token of this explainer")
        self._stop = stop_tokens(model, tokenizer)
        self._heads: OrderedDict[str, Head] = OrderedDict()

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Answer prompts that share template, instructions and shots, in order.

        Raises:
            UsageError: the prompts do not share their head, a vector has another width than the
                explainer, or a prompt is too long for it.
            IntegrityError: a vector is not finite, or zero where its length is to be matched.
        """
        if not prompts:
            return []
        with torch.inference_mode():
            head, questions = self._encoded(prompts)
            order = sorted(range(len(prompts)), key=lambda i: (len(questions[i].ids), i))
            replies: dict[int, Completion] = {}
            for start in range(0, len(order), self.batch_size):
                part = order[start : start + self.batch_size]
                asked = [questions[i] for i in part]
                if self.decoding == WHOLE and self._opens(prompts[0]):
                    found = self._likeliest(head, asked, prompts[0].openings)
                else:
                    found = self._replies(head, asked)
                replies.update(zip(part, found, strict=True))
        return [replies[index] for index in range(len(prompts))]

    def without_vectors(self) -> LocalExplainer:
        """The same explainer with vectors left out; itself if they are."""
        if not self.encoder.use_vectors:
            return self
        other = copy.copy(self)
        other.encoder = copy.copy(self.encoder)
        other.encoder.use_vectors = False
        other._heads = OrderedDict()
        return other

    def for_task(self, task: str) -> LocalExplainer:
        """The same explainer, with vectors entering as is said of a task."""
        chosen = injection_of(task, self.injections)
        if chosen == self.injector.injection:
            return self
        other = copy.copy(self)
        other.encoder = self.encoder.entering(chosen)
        other.injector = Injector(self.model, chosen, self.learned.used_by(chosen))
        other.decoder = copy.copy(self.decoder)
        other.decoder.injector = other.injector
        other._heads = OrderedDict()
        return other

    def decoded(self, decoding: str) -> LocalExplainer:
        """The same explainer with its replies chosen otherwise, one of `DECODINGS`."""
        other = copy.copy(self)
        other.decoding = decoding
        return other

    def first_logits(self, prompts: Sequence[Prompt]) -> torch.Tensor:
        """Logits of the first reply token, float32 (n_prompts, vocabulary); as `complete`."""
        with torch.inference_mode():
            return self.decoder.first_logits(*self._encoded(prompts))

    def settings(self) -> dict[str, Any]:
        """Everything here that could change a reply, as JSON values for the explainer's card."""
        use_vectors = self.encoder.use_vectors
        return {
            "injection": self.injector.injection.as_json() if use_vectors else None,
            "vectors": use_vectors,
            "prompt_form": "chat" if self.encoder.chat else "plain",
            "engine": self.decoder.engine,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "batch_size": self.batch_size,
            "max_new_tokens": self.max_new_tokens,
            "decoding": self.decoding,
            "openings": list(self.openings),
            **({} if self.family is None else {"family": self.family.name}),
            **({"thinking": True} if self.encoder.thinking else {}),
            **({"system": self.encoder.system} if self.encoder.system else {}),
        }

    def check_width(self, d_target: int) -> None:
        """Refuse vectors of another width than this explainer takes, unless they are left out.

        Raises:
            UsageError: the widths differ.
        """
        if not self.encoder.use_vectors:
            return
        maps = self.injector.injection.projection
        if maps is not None and d_target != maps.d_target:
            raise UsageError(
                f"the vectors have width {d_target} but this explainer's projection is for width "
                f"{maps.d_target}; --no-vector runs it without them, as a control"
            )
        if maps is None and d_target != self.d_model:
            raise UsageError(
                f"the vectors have width {d_target} but this explainer has width {self.d_model} "
                "and brings no projection for them; --no-vector runs it without them, as a control"
            )

    def _encoded(self, prompts: Sequence[Prompt]) -> tuple[Head, list[Encoded]]:
        """The prompts' common head and their questions, checked."""
        if len({(prompt.instructions, tuple(prompt.shots)) for prompt in prompts}) > 1:
            raise UsageError("the prompts of one call must share instructions and shots")
        encoded, questions = self.encoder.head(prompts[0]), self.encoder.questions(prompts)
        for part in (encoded, *questions):
            for vector in part.vectors:
                self.check_width(vector.shape[-1])
        longest = len(encoded.ids) + max(len(question.ids) for question in questions)
        longest += max((len(ids) for ids in self._opening_ids), default=0)
        if self.max_length is not None and longest + self.max_new_tokens > self.max_length:
            raise UsageError(
                f"a prompt has {longest} tokens and its reply up to {self.max_new_tokens}, but "
                f"this explainer reads at most {self.max_length}"
            )
        return self._head(encoded), questions

    def _head(self, encoded: Encoded) -> Head:
        """The head with these tokens and vectors, from memory if it was used lately."""
        places = (encoded.ids, encoded.columns, encoded.layers)
        digest = hashlib.sha256(repr(places).encode())
        for vector in encoded.vectors:
            digest.update(np.ascontiguousarray(vector).tobytes())
        key = digest.hexdigest()
        if key not in self._heads:
            self._heads[key] = self.decoder.head(encoded)
            if len(self._heads) > HEADS_KEPT:
                self._heads.popitem(last=False)
        self._heads.move_to_end(key)
        return self._heads[key]

    def _replies(self, head: Head, questions: Sequence[Encoded]) -> list[Completion]:
        written = self.decoder.greedy(head, questions, self._done, self._opening_ids)
        return self._completions(head, questions, written)

    def _completions(
        self, head: Head, questions: Sequence[Encoded], written: Sequence[Written]
    ) -> list[Completion]:
        return [
            Completion(
                text=self.encoder.begun + self._said(reply.ids),
                n_in=len(head.encoded.ids) + len(question.ids),
                n_out=len(reply.ids),
                logprobs=tuple(reply.logprobs),
                ends=self._ends(reply.ids),
            )
            for reply, question in zip(written, questions, strict=True)
        ]

    def _ends(self, ids: Sequence[int]) -> tuple[int, ...]:
        begun = len(self.encoder.begun)
        return tuple(begun + len(self._said(ids[: n + 1])) for n in range(len(ids)))

    def _opens(self, prompt: Prompt) -> bool:
        """Whether replies to a prompt begin with one of the task's openings."""
        replayed = isinstance(self.encoder, Encoder) and self.encoder.replays(prompt)
        return prompt.openings != () and not replayed

    def _likeliest(
        self, head: Head, questions: Sequence[Encoded], openings: Sequence[str]
    ) -> list[Completion]:
        begun = [self.encoder.reply_ids(opening) for opening in openings]
        written = self.decoder.likeliest(head, questions, begun, self._done)
        return self._completions(head, questions, written)

    def _done(self, ids: Sequence[int]) -> bool:
        """Whether a reply has ended: a stop token, or the end of a line behind any thinking."""
        text = self._text(ids)
        ended = has_ended(self.encoder.begun + text)
        return ids[-1] in self._stop or ended or self._said(ids) != text

    def _said(self, ids: Sequence[int]) -> str:
        """The reply without what only ends it in its family."""
        ending = None if self.family is None else self.family.ending
        return self._text(ids) if ending is None else self._text(ids).partition(ending)[0]

    def _text(self, ids: Sequence[int]) -> str:
        text: str = self.encoder.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text
