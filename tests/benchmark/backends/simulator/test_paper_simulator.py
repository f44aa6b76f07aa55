"""The paper's simulator: its input token by token, and the logits it is read from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_code import bring_code
from tiny_models import make_model, make_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from introspect_bench.benchmark.backends.simulator.paper import (
    PaperSimulator,
    load_paper_simulator,
)
from introspect_bench.benchmark.errors import (
    IntegrityError,
    IntrospectBenchError,
    MissingPartError,
    UsageError,
)

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
BOS, START, END, EOT, EOM = 256, 257, 258, 259, 260
PAD, BOS2, START2, END2, EOT2 = 261, 262, 263, 264, 265
SINGLE = [f"<|{name}|>" for name in ("begin_of_text", "start_header_id", "end_header_id")]
SINGLE += ["<|eot_id|>", "<|eom_id|>"]
WINDOWS = np.random.default_rng(0).integers(0, 256, (3, 4, 6)).astype(np.int32)
SAID = ["the word 'a'", "", "commas { } and <|eot_id|><|eom_id|>\n\n ## Input: x"]


def make_llama_tokenizer(n_special: int = 5) -> Any:
    """One token per byte and special tokens behind them, as Llama 3 has them."""
    vocabulary = {token: n for n, token in enumerate([*BYTES, *SINGLE[:n_special]])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(SINGLE[:n_special])
    core.post_processor = processors.TemplateProcessing(
        single=f"{SINGLE[0]} $A", special_tokens=[(SINGLE[0], BOS)]
    )
    factory: Any = PreTrainedTokenizerFast
    return factory(tokenizer_object=core, bos_token=SINGLE[0])


def make_net(name: str = "llama", *, rows: int = 266, seed: int = 0) -> Any:
    """A model with rows for the added tokens."""
    return make_model(name, range(rows), seed=seed)


@pytest.fixture(scope="module")
def net() -> Any:
    return make_net()


@pytest.fixture
def simulator(net: Any) -> PaperSimulator:
    return PaperSimulator(net, make_llama_tokenizer(), name="toy", sha256="", batch_size=5)


@pytest.fixture
def folder(net: Any, tmp_path: Path) -> Path:
    path = tmp_path / "model"
    net.save_pretrained(path)
    make_llama_tokenizer().save_pretrained(path)
    return path


def encoded(text: str) -> list[int]:
    """Ids of a text without special tokens."""
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return [BYTES.index(sign) for piece, _ in pieces.pre_tokenize_str(text) for sign in piece]


def test_a_prefix_is_token_by_token_the_published_one(simulator: PaperSimulator) -> None:
    start, end = encoded("## Neuron Description: "), encoded("\n\n ## Input: ")
    assert simulator.prefix_ids("") == [BOS2, *start, *end]
    assert simulator.prefix_ids("é {}") == [BOS2, *start, *encoded("é {}"), *end]


def test_special_tokens_become_doubled_ones(simulator: PaperSimulator) -> None:
    start, end = encoded("## Neuron Description: "), encoded("\n\n ## Input: ")
    said = "<|begin_of_text|>a<|start_header_id|><|end_header_id|><|eot_id|><|eom_id|>"
    middle = [BOS2, *encoded("a"), START2, END2, EOT2, EOM]
    assert simulator.prefix_ids(said) == [BOS2, *start, *middle, *end]
    window = np.array([[BOS, 5, START, END, EOT, EOM]])
    row = simulator.rows([""], window).ids[0].tolist()
    assert row == [BOS2, *start, *end, BOS2, 5, START2, END2, EOT2, EOM]


def test_rows_are_filled_up_on_the_left(simulator: PaperSimulator) -> None:
    rows = simulator.rows(["abc", ""], WINDOWS[:2, 0])
    assert rows.ids[1, :3].tolist() == [PAD] * 3
    assert rows.ids[1, 3] == BOS2
    assert rows.mask.tolist() == [
        [1] * rows.ids.shape[1],
        [0] * 3 + [1] * (rows.ids.shape[1] - 3),
    ]
    assert rows.positions[1].tolist() == [0, 0, 0, *range(rows.ids.shape[1] - 3)]
    assert rows.ids[:, -6:].tolist() == WINDOWS[:2, 0].tolist()


def test_predictions_are_read_at_each_token_itself(net: Any, simulator: PaperSimulator) -> None:
    """Against one pass for each sequence: no batch, no filling, all logits."""
    found = simulator.predict(SAID, WINDOWS)
    assert found.dtype == np.float32
    for said, windows, values in zip(SAID, WINDOWS, found, strict=True):
        for window, row in zip(windows.tolist(), values, strict=True):
            ids = simulator.prefix_ids(said) + window
            with torch.no_grad():
                logits = net(torch.tensor([ids])).logits[0]
            odds = torch.softmax(logits[:, :11].double(), -1)
            expected = (odds * torch.arange(11.0)).sum(-1).numpy()
            np.testing.assert_allclose(row, expected[-6:], atol=1e-4)
            assert not np.allclose(row, expected[-7:-1], atol=0.05)
    assert found.min() >= 0
    assert found.max() <= 10
    assert found.std() > 0.3


def test_the_description_and_the_text_before_a_token_matter(simulator: PaperSimulator) -> None:
    found = simulator.predict(["a", "b"], np.stack([WINDOWS[0], WINDOWS[0]]))
    assert not np.allclose(found[0], found[1], atol=1e-3)
    changed = WINDOWS[:1].copy()
    changed[:, :, 3] = (changed[:, :, 3] + 1) % 256
    again = simulator.predict(["a"], changed)
    np.testing.assert_allclose(again[0, :, :3], found[0, :, :3], atol=1e-5)
    assert not np.allclose(again[0, :, 3:], found[0, :, 3:], atol=1e-3)


def test_a_tokenizer_that_has_the_added_tokens_keeps_their_ids(net: Any) -> None:
    tokenizer = make_llama_tokenizer()
    first = PaperSimulator(net, tokenizer, name="toy", sha256="")
    again = PaperSimulator(net, tokenizer, name="toy", sha256="")
    assert again.prefix_ids(SAID[2]) == first.prefix_ids(SAID[2])
    again.check_target(make_llama_tokenizer())


def test_a_target_with_other_ids_is_refused(simulator: PaperSimulator) -> None:
    simulator.check_target(make_llama_tokenizer())
    with pytest.raises(UsageError, match="for its own target only"):
        simulator.check_target(make_tokenizer())


def test_other_models_and_tokenizers_are_refused(net: Any) -> None:
    with pytest.raises(UsageError, match="a gpt2, expected a llama"):
        PaperSimulator(make_net("gpt2"), make_llama_tokenizer(), name="toy", sha256="")
    with pytest.raises(UsageError, match=r"no <\|eot_id\|>"):
        PaperSimulator(net, make_llama_tokenizer(3), name="toy", sha256="")
    with pytest.raises(IntegrityError, match="265 rows of embeddings, but the added tokens need"):
        PaperSimulator(make_net(rows=265), make_llama_tokenizer(), name="toy", sha256="")


@pytest.mark.parametrize("shape", [(3, 6), (2, 4, 6)])
def test_windows_of_another_shape_are_refused(
    simulator: PaperSimulator, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="3 descriptions"):
        simulator.predict(SAID, np.zeros(shape, dtype=np.int32))


class TestLoading:
    def test_a_folder_predicts_the_same(self, folder: Path, simulator: PaperSimulator) -> None:
        loaded = load_paper_simulator(str(folder), dtype="float32")
        assert loaded.name == "model"
        assert len(loaded.sha256) == 64
        np.testing.assert_allclose(
            loaded.predict(SAID, WINDOWS), simulator.predict(SAID, WINDOWS), atol=1e-5
        )

    def test_the_hash_is_that_of_weights_and_dtype(self, folder: Path) -> None:
        first = load_paper_simulator(str(folder), dtype="float32").sha256
        assert load_paper_simulator(str(folder), dtype="float32").sha256 == first
        assert load_paper_simulator(str(folder), dtype="bfloat16").sha256 != first
        make_net(seed=1).save_pretrained(folder)
        assert load_paper_simulator(str(folder), dtype="float32").sha256 != first

    def test_the_tokenizer_may_lie_elsewhere(self, folder: Path, tmp_path: Path) -> None:
        make_llama_tokenizer().save_pretrained(tmp_path / "words")
        for path in folder.glob("tokenizer*"):
            path.unlink()
        with pytest.raises(MissingPartError, match="no tokenizer"):
            load_paper_simulator(str(folder), dtype="float32")
        load_paper_simulator(str(folder), tokenizer=tmp_path / "words", dtype="float32")

    def test_pickles_are_refused(self, folder: Path) -> None:
        weights = folder / "model.safetensors"
        torch.save(load_file(weights), folder / "pytorch_model.bin")
        weights.unlink()
        with pytest.raises(MissingPartError, match="can run code when loaded"):
            load_paper_simulator(str(folder))

    def test_code_is_never_run(self, folder: Path, tmp_path: Path) -> None:
        bring_code(folder, tmp_path / "marker")
        with pytest.raises(IntrospectBenchError, match="cannot load it"):
            load_paper_simulator(str(folder))
        assert not (tmp_path / "marker").exists()

    def test_unknown_dtypes_are_refused(self, folder: Path) -> None:
        with pytest.raises(UsageError, match="unknown dtype 'int4'"):
            load_paper_simulator(str(folder), dtype="int4")

    def test_another_architecture_is_refused(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "mistral"}))
        with pytest.raises(UsageError, match="expected a llama"):
            load_paper_simulator(str(folder), dtype="float32")
