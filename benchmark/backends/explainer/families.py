"""Prompt placement of explainer families whose checkpoints others publish.

Owns what each convention says about placeholder tokens, their place in the prompt, the layer and
the length of the vector. The wording of a question stays the benchmark's own. Sources, read and
not copied:

- `paper`: "Training Language Models to Explain Their Own Computations", arXiv:2511.08579; code
  yurekami/introspective-interp at f702be5, `config/*/*.yaml` and `model/continuous_base.py`. Three
  existing vocabulary entries, begin, placeholder, end, without spaces between them, stand in the
  question where the vector is named; the raw vector replaces the placeholder's input embedding.
- `activation-oracle`: "Activation Oracles", arXiv:2512.15674; code adamkarvonen/activation_oracles
  at 5712762, `nl_probes/sft.py` and `nl_probes/configs/sft_config.py`; the prefix and the hook
  (`dataset_utils.py`, `steering_hooks.py`) were read in forks of it. The user turn begins with a
  line that names the vector's layer and a line of one ` ?` a vector and a space; behind decoder
  layer 1 (counted from 0), v times the ratio of the residual's norm there to the vector's is added
  at the ` ?`.
- `latentqa`: "LatentQA", arXiv:2412.08686; code aypan17/latentqa as in tony10101105/latentqa at
  85bdecd, `lit/utils/dataset_utils.py`, `lit/utils/activation_utils.py` and
  `lit/configs/interpret_config.py`. A first user turn of one `? ` a vector, a fixed assistant turn,
  and the question as second user turn; assistant turns are headed `reflect`. The raw vector
  replaces the output of decoder layer 0 at the `?`.
- `selfie-adapter`: "Learning Self-Interpretation from Interpretability Artifacts",
  arXiv:2602.10352; code agencyenterprise/selfie-adapters, `training/config.py` at fa3fb16,
  `training/model.py` at 99359ce, and `selfie_adapters/inference.py`. A frozen model reads the
  template that the adapter's file states; the affine image of the vector replaces the input
  embedding at every placeholder of it. The reply ends at the first closing quotation mark.

A vector that stands for a block of layers names its middle one where one layer has to be named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import UsageError, check_choice
from ...records import SLOT, Prompt
from ..injection.spec import Injection, own_layers
from .chat import Encoded, bos_ids, offsets_of, plain_ids, render_chat, token_at

PUBLISHED = "paper/"  # how names of the paper's own templates begin
LATENTQA_TURN = "Sure, I've analyzed the assistant."  # between a vector and a question
REFLECT = "reflect"  # how LatentQA heads the turns of the decoder
LATENTQA_TEMPLATES = {
    "<|start_header_id|>": (
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
        "{{ m.content | trim }}<|eot_id|>{% endfor %}"
        "{{ '<|start_header_id|>reflect<|end_header_id|>\n\n' }}"
    ),
    "<|im_start|>": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{{ '<|im_start|>reflect\n' }}"
    ),
    "<start_of_turn>": (
        "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m.role }}\n"
        "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{{ '<start_of_turn>reflect\n' }}"
    ),
}
"""Chat templates by a token of the vocabularies they are for; others, such as Mistral's, keep their
own template, in which roles have no names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One convention."""

    name: str  # name of the family
    injection: Injection  # where and at what size the vector enters
    placeholders: tuple[tuple[str, str, str], ...]
    """Text before a placeholder, the placeholder, text after it: the first that the vocabulary has.
    """
    template: str | None = None  # the whole prompt, with `SLOT` for each placeholder
    ending: str | None = None  # a reply ends before this text, besides at a stop token


FAMILIES = {
    family.name: family
    for family in (
        Family(
            name="paper",
            injection=Injection(mode="embedding", scaling="raw"),
            placeholders=(
                (
                    "<|reserved_special_token_10|>",
                    "<|reserved_special_token_12|>",
                    "<|reserved_special_token_11|>",
                ),
                ("<|vision_start|>", "<|vision_pad|>", "<|vision_end|>"),
            ),
        ),
        Family(
            name="activation-oracle",
            injection=Injection(mode="add", layer=1, scaling="norm-matched"),
            placeholders=(("", " ?", ""),),
        ),
        Family(
            name="latentqa",
            injection=Injection(mode="replace", layer=0, scaling="raw"),
            placeholders=(("", "?", ""),),
        ),
        Family(
            name="selfie-adapter",
            injection=Injection(mode="embedding", scaling="raw"),
            placeholders=(("", "<|reserved_special_token_0|>", ""),),
            ending='"',
        ),
    )
}
"""The known conventions by name; a SelfIE adapter's file adds template and projection."""


def find_family(name: str) -> Family:
    """Return a family by its name."""
    check_choice("family", name, FAMILIES)
    return FAMILIES[name]


class FamilyEncoder:
    """Turns prompts into ids as a family does: the whole prompt at once, with nothing shared."""

    def __init__(
        self, tokenizer: Any, family: Family, *, use_vectors: bool, injection: Injection
    ) -> None:
        """Bind; the injection is the family's own unless the user chose another."""
        self.tokenizer, self.family = tokenizer, family
        self.begun = ""
        self.thinking, self.system = False, None
        self.use_vectors, self.injection = use_vectors, injection
        self.chat = bool(getattr(tokenizer, "chat_template", None))
        if injection.slots != 1 or injection.quotes:
            raise UsageError(f"family {family.name} has its own placeholders; choose other slots")
        self.before, self.text, self.after = self._placeholder()
        self.placeholder = plain_ids(tokenizer, self.text)[0]

    def entering(self, injection: Injection) -> FamilyEncoder:
        """The same with vectors entering in another way."""
        return FamilyEncoder(
            self.tokenizer, self.family, use_vectors=self.use_vectors, injection=injection
        )

    def head(self, prompt: Prompt) -> Encoded:
        """Nothing: prompts of a family share no head, and no family knows solved queries."""
        if prompt.shots:
            raise UsageError(f"family {self.family.name} shows no solved queries; use --shots 0")
        return Encoded(ids=())

    def questions(self, prompts: Sequence[Prompt]) -> list[Encoded]:
        """Whole prompts, each with the opening of the reply."""
        return [self._encode(prompt) for prompt in prompts]

    def reply_ids(self, text: str) -> tuple[int, ...]:
        """Ids of the beginning of a reply, as they follow a prompt."""
        return tuple(plain_ids(self.tokenizer, text))

    def _encode(self, prompt: Prompt) -> Encoded:
        parts = self._text(prompt).split(SLOT)
        if len(parts) > 1 and self.use_vectors and prompt.vector is None:
            raise UsageError("a prompt has a placeholder but no vector")
        text, characters = parts[0], []
        for part in parts[1:]:
            text += self.before + self.text
            characters.append(len(text) - 1)
            text += self.after + part
        ids = plain_ids(self.tokenizer, text)
        offsets = offsets_of(self.tokenizer, text, special=False)
        columns = tuple(token_at(offsets, character) for character in characters)
        if any(ids[column] != self.placeholder for column in columns):
            raise UsageError(
                f"family {self.family.name}: this tokenizer joins its placeholder with what stands "
                "beside it"
            )
        # under the paper's protocol a rendered chat is tokenised like text, so with two such tokens
        published = prompt.template.startswith(PUBLISHED)
        if published or (not self.chat and self.family.template is None):
            start = bos_ids(self.tokenizer)
            ids, columns = [*start, *ids], tuple(column + len(start) for column in columns)
        if not self.use_vectors or prompt.vector is None:
            return Encoded(ids=tuple(ids), columns=columns)
        own = (own_layers(prompt.query.fields),) if self.injection.needs_layers else ()
        vectors, n = (prompt.vector,), len(columns)
        return Encoded(ids=tuple(ids), columns=columns, vectors=vectors * n, layers=own * n)

    def _text(self, prompt: Prompt) -> str:
        name, asks = self.family.name, SLOT in prompt.question
        if name == "selfie-adapter":
            if not asks or "text" in prompt.query.fields:
                raise UsageError(
                    "family selfie-adapter says what a vector means and answers no other question; "
                    "run it on feature-descriptions"
                )
            return str(self.family.template)
        question = f"{prompt.instructions}\n\n{prompt.question}"
        if prompt.template.startswith(PUBLISHED):
            system = [("system", prompt.instructions)] if prompt.instructions else []
            asked = prompt.question
            return self._render([*system, ("user", asked)]) if self.chat else asked
        if name == "paper":
            return self._render([("user", question)]) if self.chat else f"{question}\nAnswer:"
        if not self.chat:
            raise UsageError(f"family {name} needs a chat template, which this tokenizer lacks")
        spoken = question.replace(SLOT, "?")
        if name == "activation-oracle":
            first, last = own_layers(prompt.query.fields) if asks else (0, 0)
            prefix = f"Layer: {(first + last) // 2}\n{SLOT} \n" if asks else ""
            return self._render([("user", prefix + spoken)])
        shown = [("user", f"{SLOT} "), (REFLECT, LATENTQA_TURN)] if asks else []
        return self._render([*shown, ("user", spoken)])

    def _render(self, turns: Sequence[tuple[str, str]]) -> str:
        options = {}
        if self.family.name == "latentqa":
            vocabulary = self.tokenizer.get_vocab()
            known = [text for token, text in LATENTQA_TEMPLATES.items() if token in vocabulary]
            options = {"chat_template": known[0]} if known else {}
            if not known:
                turns = [(role.replace(REFLECT, "assistant"), content) for role, content in turns]
        said = [{"role": role, "content": content} for role, content in turns]
        return render_chat(self.tokenizer, said, enable_thinking=False, **options)

    def _placeholder(self) -> tuple[str, str, str]:
        for parts in self.family.placeholders:
            if all(len(plain_ids(self.tokenizer, part)) == 1 for part in parts if part):
                return parts
        names = ", ".join(token.strip() for _, token, _ in self.family.placeholders)
        raise UsageError(
            f"family {self.family.name}: this explainer's vocabulary has no {names}, so it is no "
            "checkpoint of that family"
        )
