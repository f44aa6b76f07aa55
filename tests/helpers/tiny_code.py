"""What tests of several files share with `benchmark/backends/models/test_pretrained.py`."""

from __future__ import annotations

import json
from pathlib import Path

CODE = """
from pathlib import Path
Path({marker!r}).touch()
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class Config(LlamaConfig):
    model_type = "brought"
class Model(LlamaForCausalLM):
    config_class = Config
class Tokenizer(PreTrainedTokenizerFast):
    pass
"""


def change(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def bring_code(folder: Path, marker: Path) -> None:
    (folder / "brought.py").write_text(CODE.format(marker=str(marker)))
    change(
        folder / "config.json",
        model_type="brought",
        auto_map={"AutoConfig": "brought.Config", "AutoModelForCausalLM": "brought.Model"},
    )
    change(
        folder / "tokenizer_config.json",
        tokenizer_class="Tokenizer",
        auto_map={"AutoTokenizer": [None, "brought.Tokenizer"]},
    )
