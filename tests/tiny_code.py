"""What tests of several files share with `benchmark/backends/models/test_pretrained.py`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_models import make_model, make_tokenizer

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


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "model"
    tokenizer = make_tokenizer()
    make_model("llama", tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be damaged, with a cache of its own."""
    monkeypatch.setenv("INTROSPECT_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(sound, tmp_path / "model"))


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
