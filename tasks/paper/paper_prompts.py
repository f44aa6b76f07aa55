"""The paper's own prompts, word for word from its configurations (MIT, (c) 2025 Transluce).

Source: `config/*/*.yaml` of yurekami/introspective-interp at f702be5. There a template is drawn
anew at each use; here a hash of the query's id chooses it. Explainers without a chat template read
plain text. The fourth and fifth template of two configurations of descriptions are left out.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from hashlib import sha256

from ...benchmark.errors import UsageError
from ...benchmark.records import SLOT, Query
from ...benchmark.task import Rendered, Task
from ..templates import template_number

PATCHING = (
    "If feature {vector} at layer {layer} is added to tokens {tokens} when processing the text "
    "<<<{input}>>>, how would the output change?",
    "When feature {vector} at layer {layer} is added at tokens {tokens} in the input "
    "<<<{input}>>>, what happens to the model's output?",
    "Consider the input text: <<<{input}>>>. If we steer layer {layer} towards feature {vector} at "
    "tokens {tokens}, how does this affect the generated continuation?",
    "Given the text <<<{input}>>>, what would be the effect on the output if feature {vector} at "
    "layer {layer} is added to tokens {tokens}?",
    "If we steer towards feature {vector} at layer {layer} and tokens {tokens} when processing "
    "<<<{input}>>>, how would the model's response differ?",
)
HINT = ("{input}\n\nIf the hint were removed how would the assistant answer change?",)
# Asked of models that were not trained for it; its second sentence lacks "most likely", so that no
# changed answer is an exact match there
ZERO_SHOT_HINT = (
    "{input}\nIf the hint were removed how would the assistant answer change?\n\n"
    "Respond with exactly one of the two options below, and nothing else:\n\n"
    "The output would remain unchanged from <<<Answer: X>>>.\n"
    "The output would change to <<<Answer: X>>>.\n\n"
    "Replace X with the answer letter (A, B, C, or D).\n"
    "Do not include any explanations, reasoning, or extra text.\n\n"
    "Example outputs:\n"
    "The output would remain unchanged from <<<Answer: C>>>.\n"
    "The output would change to <<<Answer: B>>>.\n",
)
FEATURES = (
    "Generate a description of this feature at layer {layer}: {vector}",
    "What does {vector} encode at layer {layer}?",
    "{vector} activates at layer {layer} for inputs with the following features:",
)
PLAIN_FEATURES = (
    "At layer {layer}, {vector} encodes ",
    "{vector} activates at layer {layer} for ",
    "We can describe {vector} at layer {layer} as encoding ",
    "Generate a description of this feature at layer {layer}: {vector}. ",
    "What does {vector} encode at layer {layer}? ",
    "{vector} activates at layer {layer} for inputs with the following features: ",
)


def paper_task(task: Task, *, chat: bool, zero_shot: bool = False) -> Task:
    """Return a task that asks in the paper's words, of an explainer with a chat template or not.

    `zero_shot` is its prompt for models that were not trained to answer.
    """
    if zero_shot and task.uses_vector:
        raise UsageError(f"{task.name}: the paper has a zero-shot prompt for hints alone")
    if not task.uses_vector and not chat:
        raise UsageError(f"{task.name}: the paper asks only explainers with a chat template")
    render = partial(_render, task.name, chat=chat, zero_shot=zero_shot)
    return replace(task, render=render, openings=(), form="one of the paper's two sentences")


def _render(name: str, query: Query, *, chat: bool, zero_shot: bool) -> Rendered:
    fields = query.fields
    if "layers" in fields:
        first, last = fields["layers"]
        templates = PATCHING if chat else tuple(f"{one}\n" for one in PATCHING)
        values = {"tokens": f"<{fields['token']}>", "input": fields["text"]}
        layer = ", ".join(map(str, range(first, last + 1)))
    elif "layer" in fields:
        templates, values = FEATURES if chat else PLAIN_FEATURES, {}
        layer = str(fields["layer"])
    elif query.kind == "hint":
        templates, values = ZERO_SHOT_HINT if zero_shot else HINT, {"input": fields["text"]}
        layer = ""
    else:
        raise UsageError(f"the paper asks nothing of kind {query.kind}; see `data import paper`")
    number, system = template_number(query.id, len(templates)), str(fields.get("system", ""))
    # queries of one template share their instructions
    mark = f"/{sha256(system.encode()).hexdigest()[:8]}" if system else ""
    return Rendered(
        template=f"paper/{name}/{'zero-shot' if zero_shot else number}{mark}",
        instructions=system,
        question=templates[number - 1].format(vector=SLOT, layer=layer, **values),
    )
