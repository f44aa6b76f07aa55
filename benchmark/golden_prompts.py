"""Prompts of given queries in every form in which a model reads them, without a model.

A tokenizer of single characters stands for all others, so what is seen is the text, the places of
placeholders, and which layers go with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import jinja2
import numpy as np

from .backends.explainer.chat import Encoded, Encoder, joined
from .backends.explainer.families import FAMILIES, LATENTQA_TEMPLATES, FamilyEncoder
from .backends.injection.spec import Injection
from .errors import UsageError
from .prompts import Question, build_prompt, render_all
from .records import SLOT, Prompt, Query, Turn
from .task import Task

BOS = "<s>"
SHOTS = 2  # Solved queries of a prompt that shows some
EACH = 2  # Queries of each template that are laid out in every way; all of them in the first one
INJECTIONS = {
    "slot": Injection(),
    "slots": Injection(slots=3),
    "own-layers": Injection(mode="own-layers"),
    "quoted-token": Injection(mode="quoted-token"),
    "replay": Injection(mode="replay"),
}
_TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n{% if enable_thinking %}<think>\n{% endif %}"
)
# How a prompt is laid out, and the chat template
FORMS: Mapping[str, str | None] = {
    "plain": None,
    "chat": _TURNS,
    "chat without system turns": "{% if messages[0].role == 'system' %}{{ refuse() }}{% endif %}"
    + _TURNS,
}
SELFIE_TEMPLATE = f'What is the meaning of "{SLOT}"? The meaning of "{SLOT}" is "'


class Letters:
    """A tokenizer whose tokens are characters, names in `<|...|>` and ` ?`."""

    is_fast = True
    name_or_path = "letters"
    bos_token_id = 0
    pieces = re.compile(r"<\|\w+\|>| \?|.", re.DOTALL)

    def __init__(self, chat_template: str | None, known: Sequence[str] = ()) -> None:
        """Take a chat template, if there is one, and what else the vocabulary lists."""
        self.chat_template = chat_template
        self._ids = {BOS: 0}
        self._known = dict.fromkeys(known, 0)

    def __call__(self, text: str, *, add_special_tokens: bool = True, **_: Any) -> dict[str, Any]:
        """Ids and offsets of a text."""
        found = [(match[0], match.span()) for match in self.pieces.finditer(text)]
        found = [*([(BOS, (0, 0))] if add_special_tokens else []), *found]
        ids = [self._ids.setdefault(piece, len(self._ids)) for piece, _ in found]
        return {"input_ids": ids, "offset_mapping": [span for _, span in found]}

    def text(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        pieces = list(self._ids)
        return "".join(pieces[one] for one in ids)

    def get_vocab(self) -> dict[str, int]:
        """Tokens that tell a vocabulary from others."""
        return self._known

    def apply_chat_template(
        self, turns: Sequence[Mapping[str, str]], *, chat_template: str | None = None, **values: Any
    ) -> str:
        """Turns as text."""
        template = _compiled(chat_template or self.chat_template or "")
        return template.render(messages=turns, bos_token=BOS, refuse=_refuse, **values)


@cache
def _compiled(template: str) -> jinja2.Template:
    return jinja2.Environment(autoescape=False).from_string(template)


def _refuse() -> None:
    raise jinja2.TemplateError("no system turns")


def prompt_outputs(task: Task, queries: Sequence[Query], answers: Sequence[str]) -> dict[str, Any]:
    """Return, by form, what a model reads of each query; `answers` are the solved queries' own."""
    questions = render_all(task, queries)
    by_id = {one.query.id: one.rendered for one in questions}
    vectors = np.ones((1, 4), dtype=np.float16)
    shots = [
        Turn(
            question=by_id[query.id].question,
            answer=answer,
            vector=np.ones(4, dtype=np.float32) if task.uses_vector else None,
            fields=query.fields,
        )
        for query, answer in zip(queries[:SHOTS], answers, strict=False)
    ]
    few = [one for own in by_template(questions).values() for one in own[:EACH]]
    found: dict[str, Any] = {}
    for name, encoder in _encoders():
        asked = few if found else questions
        found[name] = [_read(encoder, build_prompt(one, vectors, ())) for one in asked]
        if isinstance(encoder, Encoder):
            solved = [_read(encoder, build_prompt(one, vectors, shots)) for one in few]
            found[f"{name}, solved"] = solved
    return found


def by_template(questions: Sequence[Question]) -> dict[str, list[Question]]:
    """Questions by their template."""
    found: dict[str, list[Question]] = {}
    for one in questions:
        found.setdefault(one.rendered.template, []).append(one)
    return found


def _encoders() -> Iterator[tuple[str, Encoder | FamilyEncoder]]:
    for form, template in FORMS.items():
        for name, injection in INJECTIONS.items():
            yield (
                f"{form}, {name}",
                Encoder(Letters(template), use_vectors=True, injection=injection),
            )
        yield f"{form}, no vectors", Encoder(Letters(template), use_vectors=False)
        yield f"{form}, system", Encoder(Letters(template), use_vectors=True, system="Be brief.")
    yield "thinking", Encoder(Letters(_TURNS), use_vectors=True, thinking=True)
    for name, family in FAMILIES.items():
        marks = LATENTQA_TEMPLATES if name == "latentqa" else ("",)
        if name == "selfie-adapter":
            family = replace(family, template=SELFIE_TEMPLATE)
        for mark in marks:
            yield (
                f"{name} {mark}",
                FamilyEncoder(
                    Letters(_TURNS, [mark]), family, use_vectors=True, injection=family.injection
                ),
            )


def _read(encoder: Encoder | FamilyEncoder, prompt: Prompt) -> list[Any]:
    """Text, columns and layers of a prompt, or the word `refused`."""
    try:
        whole: Encoded = joined(encoder.head(prompt), encoder.questions([prompt])[0])
    except UsageError:
        return ["refused"]
    text = encoder.tokenizer.text(whole.ids)
    return [text, list(whole.columns), [list(one) for one in whole.layers], len(whole.vectors)]
