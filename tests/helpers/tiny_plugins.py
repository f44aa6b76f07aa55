"""Explainers of one's own that run the target or only read, and queries measured by slow means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_targets import Patch, slow_answer

from introspect_bench.benchmark.backends.models.target_model import TargetModel
from introspect_bench.benchmark.suite.freeze import Measured

LOADS = {
    "package": "from introspect_bench.benchmark.backends.models.target_model "
    "import load_target_model\n"
    "TARGET = load_target_model(FOLDER)\nMODEL, TOKENIZER = TARGET.model, TARGET.tokenizer",
    "transformers": "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
    "MODEL = AutoModelForCausalLM.from_pretrained(FOLDER)\n"
    "TOKENIZER = AutoTokenizer.from_pretrained(FOLDER)",
}
CALCULATOR = """
import torch
from pathlib import Path
FOLDER = Path({folder!r})

class Calculator:
    def complete(self, prompts):
        if not hasattr(self, "model"):
            self.load()
        return [self.reply(prompt.query.fields, prompt.vector) for prompt in prompts]

    def load(self):
        {load}
        self.model, self.tokenizer = MODEL.eval(), TOKENIZER

    def reply(self, fields, vector):
        before = self.says(fields["text"])
        first, last = fields["layers"]
        def write(_module, _inputs, output):
            hidden = (output[0] if isinstance(output, tuple) else output).clone()
            hidden[0, fields["position"]] = torch.tensor(vector)
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden
        layers = self.model.model.layers[first : last + 1]
        hooks = [layer.register_forward_hook(write) for layer in layers]
        after = self.says(fields["text"])
        for hook in hooks:
            hook.remove()
        return f"{{'changed' if before != after else 'unchanged'}}: {{after}}"

    def says(self, text):
        ids, start = self.tokenizer(text)["input_ids"], len(self.tokenizer(text)["input_ids"])
        for _ in range(6):
            with torch.no_grad():
                ids.append(int(self.model(torch.tensor([ids])).logits[0, -1].argmax()))
            said = self.tokenizer.decode(ids[start:], skip_special_tokens=True)
            ends = [said.index(sign) for sign in '.,;:!?()[]"\\n' if sign in said]
            if ends:
                return said[: min(ends)].strip()
        return said.strip()
"""
READER = """
class Reader:
    def complete(self, prompts):
        return [f"changed: {prompt.query.fields['layers'][0]}" for prompt in prompts]
"""


def measured(target: TargetModel, split: str, group: int) -> list[Measured]:
    """Two queries whose output changes and two whose does not, about one text, measured."""
    rng = np.random.default_rng([len(split), group])
    texts = (f"The {split} {group} of {number} is" for number in range(1000))
    encode: Any = target.tokenizer
    found = ((text, slow_answer(target, encode(text)["input_ids"])) for text in texts)
    text, clean = next((text, answer) for text, answer in found if answer.text)
    ids = encode(text)["input_ids"]

    def patched() -> Iterator[Measured]:
        while True:
            vector = (3 * rng.normal(size=target.d_model)).astype(np.float16)
            patch = Patch(position=4, layers=(1, 2), vector=torch.tensor(vector).float())
            answer = slow_answer(target, ids, patch)
            if answer.text:
                yield Measured(
                    kind="last-subject",
                    fields={
                        "text": text,
                        "position": 4,
                        "n_tokens": len(ids),
                        "token": encode.decode(ids[4]),
                        "layers": [1, 2],
                        "relation": "city",
                    },
                    source=answer.text,
                    vector=vector,
                    clean=clean.text,
                    outcome=answer.text,
                    clean_ids=list(clean.ids),
                    outcome_ids=list(answer.ids),
                    margin=min(answer.margin, clean.margin),
                )

    changed: list[Measured] = []
    unchanged: list[Measured] = []
    for one in patched():
        (unchanged if one.clean == one.outcome else changed).append(one)
        if min(len(changed), len(unchanged)) >= 2:
            break
    return [*changed[:2], *unchanged[:2]]


def calculator(world: Path, way: str = "package") -> str:
    """Write the plug-in into the current folder; return what `--model` takes."""
    load = LOADS[way].replace("\n", "\n        ")
    source = CALCULATOR.replace("{load}", load).replace("{{", "{").replace("}}", "}")
    Path(f"calculator_{way}.py").write_text(
        source.replace("{folder!r}", repr(str(world / "target")))
    )
    return f"py:calculator_{way}:Calculator"


def reader() -> str:
    Path("reading.py").write_text(READER)
    return "py:reading:Reader"
