"""Explainers that lm-eval runs: any of its backends, asked in words as a local model is.

A backend renders chat turns with its own template and stops where it stops; a reply ends, as those
of local models do, with the first line that can be an answer. Nothing else of it is changed.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import torch

from ...errors import MissingPartError, UsageError
from ...evaluation.lm_eval_models import runs_own_code, shown_arguments, shown_name, split_name
from ...evaluation.text_models import LM_EVAL_KIND, NO_VECTORS, OF_LM_EVAL
from ...explainer import ExplainerCard
from ...models.targets import home_folder, weight_files
from ...records import Completion, Prompt
from ...runs.reply_text import THINK, until_ended
from ..models.batch import check_finite
from .through_endpoint import MAX_NEW_TOKENS, turns, words

NO_REPLY = (
    "the backend of lm-eval gave no reply to some queries, or an empty one; run the same command "
    "again, with more --max-new-tokens if the model thinks first"
)

HOSTED = ("anthropic", "litellm", "openai", "textsynth")
"""How names of backends begin whose models run elsewhere; others that ask a server show it."""


class LmEvalExplainer:
    """A model that lm-eval has loaded."""

    def __init__(
        self, lm: Any, *, chat: bool, hosted: bool, max_new_tokens: int, system: str | None
    ) -> None:
        """Take a model of lm-eval; `chat` says that it is asked in turns.

        Of one that is `hosted`, an empty reply is none: lm-eval puts it where a server sent nothing
        or filtered the content.
        """
        self.lm, self.chat, self.hosted, self.system = lm, chat, hosted, system
        self.max_new_tokens = max_new_tokens
        self._asked: Sequence[Prompt] = ()
        if isinstance(model := getattr(lm, "model", None), torch.nn.Module):
            model.register_forward_hook(self._check_logits)

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Answer prompts in order, greedily."""
        from lm_eval.api.instance import Instance

        self._asked = prompts
        texts = [self._chat_text(one) if self.chat else self._plain_text(one) for one in prompts]
        lengths = [self._length(text) for text in texts]
        asked = {"until": [], "do_sample": False, "max_gen_toks": self.max_new_tokens}
        requests = [
            Instance(request_type="generate_until", doc={}, arguments=(text, dict(asked)), idx=i)
            for i, text in enumerate(texts)
        ]
        quiet = "disable_tqdm" in inspect.signature(self.lm.generate_until).parameters
        replies = self.lm.generate_until(requests, **({"disable_tqdm": True} if quiet else {}))
        if len(replies) != len(prompts) or not all(map(self._is_reply, replies)):
            raise MissingPartError(NO_REPLY)
        return [
            Completion(text=until_ended(self._begun(text) + reply), n_in=length)
            for text, reply, length in zip(texts, replies, lengths, strict=True)
        ]

    def check_width(self, _d_target: int) -> None:
        """Refuse vectors of any width."""
        raise UsageError(f"{OF_LM_EVAL} {NO_VECTORS}")

    def _check_logits(self, _module: Any, _inputs: Any, output: Any) -> None:
        first, last = self._asked[0].query.id, self._asked[-1].query.id
        if (logits := getattr(output, "logits", None)) is not None:
            check_finite(logits[:, -1], lambda _: f"a query of those from {first} to {last}")

    def _is_reply(self, reply: object) -> bool:
        return isinstance(reply, str) and bool(reply.strip() or not self.hosted)

    def _plain_text(self, prompt: Prompt) -> str:
        shots = (f"{words(shot.question)}\nAnswer: {shot.answer}" for shot in prompt.shots)
        parts = (turns(prompt, self.system)[0]["content"], *shots)
        head = "".join(f"{part.strip()}\n\n" for part in parts)
        return f"{head}{words(prompt.question)}\nAnswer:"

    def _chat_text(self, prompt: Prompt) -> Any:
        """Turns as the backend renders them: text, or what it sends to its endpoint."""
        system, first, *rest = turns(prompt, self.system)
        instructions = system["content"]
        text = self.lm.apply_chat_template([system, first, *rest])
        if not isinstance(text, str) or instructions.strip() in text:
            return text
        # lm-eval leaves a system turn out where a template refuses it
        first = {"role": "user", "content": f"{instructions}\n\n{first['content']}"}
        return self.lm.apply_chat_template([first, *rest])

    def _begun(self, text: Any) -> str:
        """How each reply begins by the prompt's own words, unless lm-eval cuts thinking off."""
        cuts = getattr(self.lm, "think_end_token", None) is not None
        return THINK if isinstance(text, str) and text.rstrip().endswith(THINK) and not cuts else ""

    def _length(self, text: Any) -> int:
        """Tokens of a prompt, 0 if unknown; refuses one that lm-eval would cut."""
        if not isinstance(text, str) or not hasattr(_tokenizer(self.lm), "chat_template"):
            return 0
        length = len(self.lm.tok_encode(text))
        longest = getattr(self.lm, "max_length", None)
        if longest is not None and length + self.max_new_tokens > longest:
            raise UsageError(
                f"a prompt has {length} tokens and its reply up to {self.max_new_tokens}, but this "
                f"model reads at most {longest}"
            )
        return length


def load_lm_eval(
    model: str,
    *,
    device: str,
    batch_size: int | None,
    max_new_tokens: int | None,
    system: str | None,
) -> tuple[LmEvalExplainer, ExplainerCard]:
    """Load `lm-eval:BACKEND,ARGS`; a batch has one prompt if nothing else is said, as there."""
    backend, arguments = split_name(model)
    lm = _load(model, backend, {"device": device, "batch_size": batch_size or 1})
    chat = _reads_turns(backend, lm)
    explainer = LmEvalExplainer(
        lm,
        chat=chat,
        hosted=hasattr(lm, "model_call") or backend.startswith(HOSTED),
        max_new_tokens=max_new_tokens or MAX_NEW_TOKENS,
        system=system,
    )
    card = ExplainerCard(
        name=shown_name(model),
        kind=LM_EVAL_KIND,
        revision=arguments.get("revision"),
        weights_sha256=_hashes(arguments),
        settings={
            "backend": backend,
            "arguments": shown_arguments(arguments),
            "lm_eval": metadata.version("lm_eval"),
            "prompt_form": "chat" if chat else "plain",
            "batch_size": batch_size or 1,
            "max_new_tokens": explainer.max_new_tokens,
            "vectors": False,
            **({"system": system} if system else {}),
            **({"own_code": True} if runs_own_code(arguments) else {}),
        },
    )
    return explainer, card


def _load(model: str, backend: str, options: dict[str, Any]) -> Any:
    """Load a backend; whatever it says when it cannot be loaded is one error."""
    arguments = split_name(model)[1]
    words = ",".join(f"{key}={value}" for key, value in arguments.items())
    more = {key: value for key, value in options.items() if key not in arguments}
    try:
        from lm_eval.api.registry import get_model

        return get_model(backend).create_from_arg_string(words, more)
    except (Exception, SystemExit) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise MissingPartError(
            f"lm-eval cannot load {shown_name(model)}: {lines[0][:400]}"
        ) from error


def _reads_turns(backend: str, lm: Any) -> bool:
    """Whether a model is asked in turns: an endpoint for chats, or a tokenizer with a template."""
    if "chat" in backend or backend == "litellm":
        return True
    sends_text = getattr(lm, "tokenized_requests", True) is False
    return bool(getattr(_tokenizer(lm), "chat_template", None)) and not sends_text


def _tokenizer(lm: Any) -> Any:
    return getattr(lm, "tokenizer", None)


def _hashes(arguments: dict[str, str]) -> dict[str, str]:
    """Sha256 of every weight file in the folders that arguments name; none of a hosted model."""
    found: dict[str, str] = {}
    for key in ("pretrained", "model", "peft", "delta"):
        folder = home_folder(arguments.get(key, ""))
        if arguments.get(key) and folder.is_dir():
            prefix = "" if key in ("pretrained", "model") else f"{key}/"
            found |= {f"{prefix}{name}": sha for name, sha in weight_files(folder).items()}
    return found
