"""Greedy decoding by vLLM, which reads each prompt as its input embeddings.

Vectors enter there and nowhere else: what writes into layers needs hooks that vLLM has not. Prompts
are embedded here, by the checkpoint's own embedding module. Cached prefixes stay off, so that no
prompt is answered from another one's vectors. A probe refuses models that vLLM computes otherwise,
such as those that read token ids beside the embeddings.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import MissingPartError, UsageError
from ...evaluation.spec import VLLM, VLLM_FIXED
from ..injection.hooks import Injector, decoder_layers
from ..models.batch import check_finite
from .chat import Encoded, joined
from .decoding import Begin, Decoder, Done, Head, Rows, Written, token_name

ALIKE = 0.9  # least correlation of logits of one model here and in vLLM, which may have packed it


class VllmDecoder(Decoder):
    """One model in vLLM, with its embedding module here."""

    def __init__(
        self,
        model: Any,
        injector: Injector,
        *,
        max_new_tokens: int,
        llm: Any,
        stop: Collection[int],
    ) -> None:
        """Bind and probe; then `model` keeps its embeddings. `stop` are tokens that end a reply."""
        self.llm, self.stop = llm, sorted(stop)
        super().__init__(model, injector, max_new_tokens=max_new_tokens)

    def check_injection(self) -> None:
        """Refuse vectors that enter at layers."""
        if self.injector.injection.mode != "embedding":
            raise UsageError(
                f"--engine {VLLM} reads vectors at the input embedding alone, and this explainer's "
                f"enter by {self.injector.injection.mode}; leave --engine out"
            )

    def head(self, encoded: Encoded) -> Head:
        """The tokens that questions share; they are read anew with each question."""
        return Head(encoded=encoded, layers=[])

    def first_logits(self, head: Head, questions: Rows) -> Tensor:
        """Log-probabilities of the first reply token, float32 (n_questions, vocabulary)."""
        outputs = self._generate(head, questions, max_tokens=1, logprobs=-1, flat_logprobs=True)
        size = self.model.config.get_text_config().vocab_size
        found = torch.full((len(questions), size), float("nan"))
        for row, output in enumerate(outputs):
            found[row, output.logprobs.token_ids] = torch.tensor(output.logprobs.logprobs)
        check_finite(found, partial(token_name, questions, 0))
        return found

    def greedy(
        self, head: Head, questions: Rows, done: Done, begin: Begin | None = None, longest: int = 0
    ) -> list[Written]:
        """Greedy reply to each question, up to and with the token after which `done` is true."""
        if longest:
            raise UsageError(f"--engine {VLLM} begins no replies with openings")
        written = [Written(ids=[], logprobs=[]) for _ in questions]
        if begin is not None:
            first = self.first_logits(head, questions)
            for row, begun in enumerate(begin(first)):
                written[row].ids.extend(begun)
                written[row].logprobs.extend(first[row, list(begun)].tolist())
        asked = [
            replace(question, ids=(*question.ids, *reply.ids))
            for question, reply in zip(questions, written, strict=True)
        ]
        outputs = self._generate(head, asked, max_tokens=self.max_new_tokens, logprobs=0)
        for reply, output in zip(written, outputs, strict=True):
            room = self.max_new_tokens - len(reply.ids)
            ids = list(output.token_ids)[:room]
            kept = next((n for n in range(1, len(ids)) if done(ids[:n])), len(ids))
            if kept < room and not (kept and done(ids[:kept])):
                raise UsageError(
                    f"vLLM cut a reply off after {kept} of {room} tokens; its max_model_len must "
                    "hold prompts and replies"
                )
            scores = [at[token].logprob for at, token in zip(output.logprobs, ids, strict=False)]
            reply.ids.extend(ids[:kept])
            reply.logprobs.extend(scores[:kept])
        sums = torch.tensor([[sum(reply.logprobs)] for reply in written])
        check_finite(sums, partial(token_name, questions, 0))
        return written

    def _generate(self, head: Head, questions: Rows, **options: Any) -> list[Any]:
        """What vLLM writes behind each question."""
        from vllm import SamplingParams

        options = {"temperature": 0.0, "detokenize": False, "ignore_eos": True, **options}
        prompts = [self._embedded(joined(head.encoded, question)) for question in questions]
        settings = SamplingParams(stop_token_ids=self.stop, **options)
        try:
            outputs = self.llm.generate(prompts, settings, use_tqdm=False)
        except Exception as error:  # a prompt that is too long for it, an engine that died
            raise UsageError(f"vLLM: {_first_line(error)}") from error
        return [output.outputs[0] for output in outputs]

    def _embedded(self, row: Encoded) -> dict[str, Tensor]:
        ids = torch.tensor([row.ids], device=self.model.device)
        embedded = self.injector.embed(ids, self._slots([row], len(row.ids)))
        return {"prompt_embeds": embedded[0].to(self.model.dtype)}

    def _choose_engine(self) -> str:
        """Refuse a model whose logits are others in vLLM; drop what embeddings do not need."""
        size = self.model.config.get_text_config().vocab_size
        none, ids = Encoded(ids=()), tuple(index * size // 36 for index in range(36))
        rows = [Encoded(ids=ids[first::3]) for first in range(3)]
        with torch.inference_mode():
            both = (self._plain(none, rows), self.first_logits(self.head(none), rows))
        alike = min(
            float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in zip(*both, strict=True)
        )
        if not alike >= ALIKE:
            raise UsageError(
                f"vLLM computes {type(self.model).__name__} otherwise than transformers does "
                f"(correlation of logits {alike:.2f}); leave --engine out"
            )
        with suppress(UsageError):  # layers that cannot be told apart stay
            decoder_layers(self.model).to("meta")
        return VLLM


def open_llm(
    model: Any,
    files: Collection[str],
    directory: Path,
    arguments: Mapping[str, Any],
    device: torch.device,
) -> tuple[Any, dict[str, Any]]:
    """Load a model, of these weight files, into vLLM; with it, what the explainer's card says.

    If an adapter was merged into it, its weights are written for vLLM to read.
    """
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # stdout is for results
    try:
        from vllm import LLM, __version__
        from vllm.platforms import current_platform
    except (ImportError, OSError) as error:
        raise MissingPartError(f"vLLM cannot be imported: {_first_line(error)}") from error
    if device.index or device.type != current_platform.device_type:
        raise UsageError(
            f"this vLLM runs on {current_platform.device_type}, on the first such device: give "
            f"--device {current_platform.device_type}, and choose by CUDA_VISIBLE_DEVICES"
        )
    dtype = str(model.dtype).removeprefix("torch.")
    with tempfile.TemporaryDirectory() as folder:
        merged = any(name.startswith("base/") for name in files)
        if merged:
            model.save_pretrained(folder)
        where = folder if merged else str(directory)
        try:
            llm = LLM(model=where, dtype=dtype, **VLLM_FIXED, **arguments)
        except Exception as error:  # many kinds, from other processes too
            raise MissingPartError(f"vLLM cannot load {directory}: {_first_line(error)}") from error
    return llm, {"version": __version__, **arguments}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:400]
