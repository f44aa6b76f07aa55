"""Explainers that are local language models: greedy replies, optional vectors in the prompt."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from ...cache import Progress, silent
from ...errors import UsageError, check_choice
from ...prompts import AUTO_BATCH_SIZE
from ...records import DECODINGS, GREEDY, WHOLE, Completion, Prompt
from ...runs.reply_text import has_ended
from ..injection.hooks import Injector
from ..injection.learned import Learned, check_learned
from ..injection.spec import Injections, injection_of, merged
from ..models.batch import Room, stop_tokens
from .chat import Encoded, Encoder
from .decision import likeliest_opening, verdict_by, verdict_tokens
from .decoding import Begin, Decoder, Head, Written
from .families import Family, FamilyEncoder
from .vllm_decoder import VllmDecoder

MAX_NEW_TOKENS = 32  # longest reply, in explainer tokens
MAX_THINKING_TOKENS = 1024  # the same with thinking
UNSTOPPED = "ContinuousQwen3ForCausalLM"  # its replies have no stop texts in the paper's code
HEADS_KEPT = 4  # heads remembered between calls; a task has a few templates


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a loaded model is asked."""

    injection: Injections | None = None  # None: the family's way, or the default
    task: str = ""  # task that is asked about first; see `LocalExplainer.for_task`
    use_vectors: bool = True  # False: the placeholder's own embedding is left in every slot
    batch_size: int | None = None  # rows decoded together; `AUTO_BATCH_SIZE` if None
    max_new_tokens: int | None = None  # without the opening; None: 32, or 1,024 with thinking
    thinking: bool | None = None  # whether replies begin with thinking; off if None
    system: str | None = None  # text before the instructions
    openings: Sequence[str] = ()  # the one whose first token is likeliest begins a reply
    decoding: str = GREEDY  # one of `DECODINGS`
    thresholds: Mapping[str, float] = field(default_factory=dict)  # by task, see `decision.py`
    llm: Any = None  # a `vllm.LLM` that decodes, see `vllm_decoder.py`
    # Texts of which each ends a reply; None: it ends with the first line that can be an answer
    stops: Sequence[str] | None = None
    progress: Progress = silent  # told if memory ends

    def __post_init__(self) -> None:
        """Refuse what no explainer can do."""
        check_choice("decoding", self.decoding, DECODINGS)
        if self.thinking and self.decoding != GREEDY:
            raise UsageError(
                f"decoding {self.decoding} leaves no room for thinking; choose {GREEDY}"
            )
        if self.llm is not None and (self.decoding != GREEDY or self.openings):
            raise UsageError(
                f"vLLM decodes greedily; leave decoding {self.decoding} to this package"
            )
        if any(n is not None and n < 1 for n in (self.batch_size, self.max_new_tokens)):
            raise UsageError("batch size and longest reply are at least 1")


class LocalExplainer:
    """A causal language model of transformers as an explainer."""

    encoder: Encoder | FamilyEncoder

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        learned: Learned | None = None,
        family: Family | None = None,
        target_tokenizer: Any = None,
        **options: Any,
    ) -> None:
        """Take a loaded model with its tokenizer and fields of `Options`.

        The model is put into evaluation mode, and switched to the shared-prefix attention if a
        probe shows that it gives the same logits. `target_tokenizer` counts positions in queries'
        texts, the explainer's own if None.
        """
        asked = Options(**options)
        self.injections = merged(asked.injection, None if family is None else family.injection)
        self.learned = learned or Learned()
        check_learned(self.injections, self.learned)
        chosen = injection_of(asked.task, self.injections)
        self.model, self.family = model.eval().requires_grad_(False), family
        told: dict[str, Any] = {"thinking": asked.thinking, "system": asked.system}
        entering: dict[str, Any] = {"use_vectors": asked.use_vectors, "injection": chosen}
        if family is None:
            self.encoder = Encoder(tokenizer, target_tokenizer=target_tokenizer, **entering, **told)
        elif told["thinking"] is not None or told["system"]:
            raise UsageError(
                f"family {family.name} has its own prompts; leave --thinking and --system out"
            )
        else:
            self.encoder = FamilyEncoder(tokenizer, family, **entering)
        default = MAX_THINKING_TOKENS if asked.thinking else MAX_NEW_TOKENS
        self.max_new_tokens = asked.max_new_tokens or default
        self.batch_size, self.decoding = asked.batch_size or AUTO_BATCH_SIZE, asked.decoding
        self._room = Room(self.batch_size, fixed=asked.batch_size is not None, tell=asked.progress)
        self.injector = Injector(model, chosen, self.learned.used_by(chosen))
        self._stop = stop_tokens(model, tokenizer)
        self.decoder = self._make_decoder(asked.llm)
        config = model.config.get_text_config()
        self.d_model: int = config.hidden_size
        self.max_length: int | None = getattr(config, "max_position_embeddings", None)
        self.openings, self.thresholds = tuple(asked.openings), dict(asked.thresholds)
        self._opening_ids = [self.encoder.reply_ids(opening) for opening in self.openings]
        if len({ids[0] for ids in self._opening_ids}) < len(self._opening_ids):
            raise UsageError("two openings begin with the same token of this explainer")
        bare = UNSTOPPED in (getattr(model.config, "architectures", None) or ())
        self.stops = () if asked.stops is not None and bare else asked.stops
        self._heads: OrderedDict[tuple[Any, ...], Head] = OrderedDict()

    def _make_decoder(self, llm: Any) -> Decoder:
        longest = {"max_new_tokens": self.max_new_tokens}
        if llm is None:
            return Decoder(self.model, self.injector, **longest)
        return VllmDecoder(self.model, self.injector, llm=llm, stop=self._stop, **longest)

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Answer prompts that share template, instructions and shots, in order."""
        if not prompts:
            return []
        with torch.inference_mode():
            head, questions = self._encoded(prompts)
            order = sorted(range(len(prompts)), key=lambda i: (len(questions[i].ids), i))
            replies: dict[int, Completion] = {}
            for part, written in self._room.parts(
                order, lambda part: self._written(head, [questions[i] for i in part], prompts[0])
            ):
                for i, reply in zip(part, written, strict=True):
                    n_in = len(head.encoded.ids) + len(questions[i].ids)
                    replies[i] = self._completion(reply, n_in)
        return [replies[index] for index in range(len(prompts))]

    def without_vectors(self) -> LocalExplainer:
        """The same explainer with vectors left out; itself if they are."""
        if not self.encoder.use_vectors:
            return self
        encoder = copy.copy(self.encoder)
        encoder.use_vectors = False
        return self._with(encoder=encoder)

    def for_task(self, task: str) -> LocalExplainer:
        """The same explainer, with vectors entering as is said of a task."""
        chosen = injection_of(task, self.injections)
        if chosen == self.injector.injection:
            return self
        injector = Injector(self.model, chosen, self.learned.used_by(chosen))
        decoder = copy.copy(self.decoder)
        decoder.injector = injector
        return self._with(encoder=self.encoder.entering(chosen), injector=injector, decoder=decoder)

    def limited(self, max_new_tokens: int) -> LocalExplainer:
        """The same explainer with a longest reply of its own."""
        decoder = copy.copy(self.decoder)
        decoder.max_new_tokens = max_new_tokens
        return self._with(max_new_tokens=max_new_tokens, decoder=decoder)

    def decoded(self, decoding: str) -> LocalExplainer:
        """The same explainer with its replies chosen otherwise, one of `DECODINGS`."""
        return self._with(decoding=decoding)

    def _with(self, **parts: Any) -> LocalExplainer:
        other = copy.copy(self)
        vars(other).update(parts, _heads=OrderedDict())
        return other

    def first_logits(self, prompts: Sequence[Prompt]) -> torch.Tensor:
        """Logits of the first reply token, float32 (n_prompts, vocabulary); as `complete`."""
        with torch.inference_mode():
            return self.decoder.first_logits(*self._encoded(prompts))

    def replays(self, prompt: Prompt) -> bool:
        """Whether its turn begins with the text that the question quotes."""
        return isinstance(self.encoder, Encoder) and self.encoder.replays(prompt)

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
            **({"verdict_thresholds": self.thresholds} if self.thresholds else {}),
            **({} if self.family is None else {"family": self.family.name}),
            **({"thinking": True} if self.encoder.thinking else {}),
            **({"system": self.encoder.system} if self.encoder.system else {}),
            **({} if self.stops is None else {"stops": list(self.stops)}),
        }

    def check_width(self, d_target: int) -> None:
        """Refuse vectors of another width than this explainer takes, unless they are left out."""
        if not self.encoder.use_vectors:
            return
        self.decoder.check_injection()
        maps = self.injector.injection.projection
        if maps is not None and d_target != maps.d_target:
            raise UsageError(
                f"the vectors have width {d_target} but this explainer's projection is for width "
                f"{maps.d_target}; --no-vector runs it without them, as a control"
            )
        if maps is None and d_target != self.d_model:
            raise UsageError(
                f"the vectors have width {d_target} but this explainer has width {self.d_model} "
                "and brings no projection for them; `introspect-bench train --projection aligned` "
                "trains one, --no-vector runs it without them, as a control"
            )

    def _encoded(self, prompts: Sequence[Prompt]) -> tuple[Head, list[Encoded]]:
        if len({(prompt.instructions, tuple(prompt.shots)) for prompt in prompts}) > 1:
            raise UsageError("the prompts of one call must share instructions and shots")
        encoded, asked = self.encoder.head(prompts[0]), self.encoder.questions(prompts)
        named = zip(asked, prompts, strict=True)
        questions = [replace(question, name=prompt.query.id) for question, prompt in named]
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
        vectors = tuple(vector.tobytes() for vector in encoded.vectors)
        key = (encoded.ids, encoded.columns, encoded.layers, vectors)
        if key not in self._heads:
            self._heads[key] = self.decoder.head(encoded)
            if len(self._heads) > HEADS_KEPT:
                self._heads.popitem(last=False)
        self._heads.move_to_end(key)
        return self._heads[key]

    def _written(
        self, head: Head, questions: Sequence[Encoded], prompt: Prompt
    ) -> Sequence[Written]:
        if self.decoding == WHOLE and prompt.openings and not self.replays(prompt):
            openings = [self.encoder.reply_ids(opening) for opening in prompt.openings]
            return self.decoder.likeliest(head, questions, openings, self._done)
        begin, longest = self._begin(prompt)
        return self.decoder.greedy(head, questions, self._done, begin, longest)

    def _begin(self, prompt: Prompt) -> tuple[Begin | None, int]:
        """What says how replies begin, if anything does, and the most tokens of that."""
        if openings := self._opening_ids:
            return partial(likeliest_opening, openings=openings), max(map(len, openings))
        threshold = self.thresholds.get(prompt.template.partition("/")[0])
        firsts = verdict_tokens(self, prompt)
        if threshold is None or firsts is None:
            return None, 0
        return partial(verdict_by, firsts=firsts, threshold=threshold), 0

    def _completion(self, reply: Written, n_in: int) -> Completion:
        begun, n = self.encoder.begun, len(reply.ids)
        return Completion(
            text=begun + self._said(reply.ids),
            n_in=n_in,
            n_out=n,
            logprobs=tuple(reply.logprobs),
            ends=tuple(len(begun) + len(self._said(reply.ids[: i + 1])) for i in range(n)),
        )

    def _done(self, ids: Sequence[int]) -> bool:
        """Whether a reply has ended: a stop token, or the end of a line behind any thinking."""
        text = self._text(ids)
        if self.stops is not None:
            return ids[-1] in self._stop or any(stop in text for stop in self.stops)
        ended = has_ended(self.encoder.begun + text)
        return ids[-1] in self._stop or ended or self._said(ids) != text

    def _said(self, ids: Sequence[int]) -> str:
        ending = None if self.family is None else self.family.ending
        return self._text(ids) if ending is None else self._text(ids).partition(ending)[0]

    def _text(self, ids: Sequence[int]) -> str:
        as_is = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
        return str(self.encoder.tokenizer.decode(ids, **as_is))
