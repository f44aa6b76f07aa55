"""The model card of a trained explainer, for a hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...models.targets import HubId, locate


def model_card(record: Mapping[str, Any]) -> str:
    """Return `README.md` from what `explainer.json` says; no path of this machine is in it."""
    training = record["training"]
    name, about, settings = training["base"]["name"], training["about"], training["settings"]
    base = locate(name)
    front: dict[str, Any] = {
        "library_name": "peft" if settings["method"] == "lora" else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["introspect-bench", "interpretability", "introspection"],
    }
    if isinstance(base, HubId):
        front["base_model"] = base.id
    else:  # a target by name, or a folder
        name = name.rpartition("/")[2]
    rows = [
        f"| {one['task']} | {one['suite']} {one['version']} "
        f"| {training['lessons']['n_train'].get(one['task'], 0)} | `{one['data_sha256']}` |"
        for one in about["suites"]
    ]
    return _CARD.format(
        front="\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items()),
        base=name,
        sha256=training["base"]["sha256"],
        vectors="with" if about["vectors"] else "without",
        rows="\n".join(rows),
        loss=record["validation_loss"],
        seed=settings["seed"],
        package=about["package"],
    )


_CARD = """\
---
{front}
---

# An explainer of the inside of a language model

It was trained to say what features of another model's inside respond to, or what that model writes
after an intervention, {vectors} the vectors that are asked about. Made with introspect-bench
{package} from `{base}` (sha256 of its weights `{sha256}`), seed {seed}; loss on the validation
split {loss}. The test split was not opened.

| task | suite | training queries | sha256 of the data |
|---|---|---:|---|
{rows}

```bash
introspect-bench run --model OWNER/NAME@COMMIT --task TASK
```

`explainer.json` says how vectors enter and how it was trained; without it and introspect-bench this
is a model that reads placeholders. It answers in one form and says nothing of how sure it is. What
it says about a model is to be scored, not believed.
"""
