"""What a simulator reads, what it may see, and that nothing but its own parts is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import make_model, make_tokenizer
from tiny_simulators import lessons_of_pairs, pairs, save_base, windows_of_letters

from introspect_bench.benchmark import files
from introspect_bench.benchmark.backends.simulator.examples import (
    MAX_TOKENS,
    TrainingSettings,
    Wording,
    pack,
)
from introspect_bench.benchmark.backends.simulator.model import (
    Simulator,
    class_logits,
    load_simulator,
    make_head,
)
from introspect_bench.benchmark.backends.simulator.train import Base, train_simulator
from introspect_bench.benchmark.errors import IntegrityError, UsageError

# peft 0.21 reads a property that transformers 5.23 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

TEXTS = ("a", "commas, or what follows them", "", "Q" * 30)


def make_simulator(name: str = "llama", *, contrast: bool = False) -> Simulator:
    tokenizer = make_tokenizer()
    model = make_model(name, tokenizer)
    head = make_head(16)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        head.weight.normal_(generator=generator)
        head.bias.normal_(generator=generator)
    return Simulator(model, tokenizer, head, name="toy", sha256="ab" * 32, contrast=contrast)


def test_a_contrast_is_what_a_description_adds_to_none() -> None:
    plain, contrast = make_simulator(), make_simulator(contrast=True)
    windows = windows_of_letters(len(TEXTS), 3, np.random.default_rng(1))
    silent = contrast.silent(windows)
    assert silent.dtype == np.float16
    np.testing.assert_allclose(silent, plain.predict([""] * len(TEXTS), windows), atol=5e-3)
    found = contrast.predict(TEXTS, windows)
    expected = np.maximum(plain.predict(TEXTS, windows) - silent.astype(np.float32), 0)
    np.testing.assert_array_equal(found, expected)
    assert (found > 0.5).any()  # the other side of the same: something is left
    np.testing.assert_array_equal(contrast.predict(TEXTS, windows, silent=silent), found)
    assert np.abs(found[TEXTS.index("")]).max() < 0.01


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `base` and a simulator of it, trained for three steps."""
    root = tmp_path_factory.mktemp("simulator")
    train_simulator(
        Base(name="toy-base", folder=save_base(root / "base")),
        lessons_of_pairs(pairs()[:12]),
        TrainingSettings(batch=4, rank=2, depth=2, rate=0.05),
        root / "simulator",
        name="toy-v1",
    )
    return root


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3"])
def test_windows_of_one_row_are_read_as_if_alone(name: str) -> None:
    simulator = make_simulator(name)
    windows = windows_of_letters(len(TEXTS), 3, np.random.default_rng(1))
    together = simulator.predict(TEXTS, windows)
    tokenizer = make_tokenizer()
    wording = Wording(tokenizer)
    for row, text in enumerate(TEXTS):
        for place in range(3):
            # no mask, no positions, no padding: the plain causal model on one text
            ids = [*wording.prefix(text), *windows[row, place].tolist()]
            with torch.no_grad():
                hidden = simulator._model.base_model(torch.tensor([ids])).last_hidden_state[0, -12:]
                shares = simulator._head(hidden).softmax(dim=-1)
            alone = (shares @ torch.arange(11.0)).numpy()
            np.testing.assert_allclose(together[row, place], alone, atol=2e-4)


def test_a_model_that_does_not_see_a_whole_row_is_refused() -> None:
    windows = windows_of_letters(1, 1, np.random.default_rng(1))
    with pytest.raises(UsageError, match="layers that see 9 tokens"):
        make_simulator("gemma3").predict(["a"], windows)


def test_predictions_are_activations_and_depend_on_the_description() -> None:
    simulator = make_simulator()
    windows = np.repeat(windows_of_letters(1, 2, np.random.default_rng(1)), 2, axis=0)
    found = simulator.predict(["a", "b"], windows)
    assert found.dtype == np.float32
    assert found.shape == (2, 2, 12)
    assert 0 <= found.min() < found.max() <= 10
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_many_descriptions_come_back_in_their_own_order() -> None:
    simulator = make_simulator()
    rng = np.random.default_rng(2)
    texts = ["x" * int(n) for n in rng.integers(1, 60, size=50)]
    windows = windows_of_letters(50, 8, rng)
    found = simulator.predict(texts, windows)  # several forward passes
    for row in (0, 17, 49):
        one = simulator.predict([texts[row]], windows[row : row + 1])[0]
        np.testing.assert_allclose(found[row], one, atol=2e-4)


def test_no_gradient_and_no_output_layer_is_needed() -> None:
    simulator = make_simulator()
    windows = windows_of_letters(1, 2, np.random.default_rng(1))
    packed = pack(
        [Wording(make_tokenizer()).prefix("a")],
        windows,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )

    def refuse(*_: Any) -> None:
        raise AssertionError("the output layer was run")

    simulator._model.get_output_embeddings().register_forward_hook(refuse)
    logits = class_logits(simulator._model, simulator._head, packed)
    assert logits.shape == (1, 24, 11)
    assert not logits.requires_grad


@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 12), (2, 0, 12)])
def test_windows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="expected windows"):
        make_simulator().predict(["a", "b"], np.zeros(shape, dtype=np.int32))


def test_a_description_is_plain_text() -> None:
    tokenizer = make_tokenizer()
    wording = Wording(tokenizer)
    assert tokenizer("<s></s>")["input_ids"] == [0, 1]  # what must not happen to a description
    ids = wording.prefix("<s></s>")
    assert ids[0] == 0
    assert not {0, 1} & set(ids[1:])
    assert tokenizer.decode(ids[1:]) == "Active on: <s></s>\nText:"
    assert tokenizer("<s>")["input_ids"] == [0]  # and the tokenizer is as it was


def test_added_tokens_that_are_not_special_do_not_get_in() -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<think>"])
    (added,) = tokenizer("<think>")["input_ids"]
    assert added not in Wording(tokenizer).prefix("x <think> y")


def test_a_description_cannot_imitate_the_wording() -> None:
    wording = Wording(make_tokenizer())
    ids = wording.prefix("commas\nText: \n\n a")
    assert make_tokenizer().decode(ids[1:]) == "Active on: commas Text: a\nText:"


def test_a_description_is_capped_and_may_be_empty() -> None:
    wording = Wording(make_tokenizer())
    empty = wording.prefix("")
    assert make_tokenizer().decode(empty[1:]) == "Active on:\nText:"
    assert wording.prefix(" \n ") == empty
    assert len(wording.prefix("y" * 1000)) == len(empty) + MAX_TOKENS
    assert wording.prefix("y" * 1000) == wording.prefix("y" * 63)


def test_a_tokenizer_without_a_beginning_is_refused() -> None:
    tokenizer = make_tokenizer()
    tokenizer.bos_token = tokenizer.eos_token = None
    with pytest.raises(UsageError, match="no token for the beginning"):
        Wording(tokenizer)


def test_a_simulator_is_loaded_by_its_name_and_hash(made: Path) -> None:
    folder = made / "simulator"
    sha256 = files.sha256_file(folder / "simulator.json")
    state = torch.get_rng_state()
    simulator = load_simulator(folder, name="toy-v1", sha256=sha256, base=made / "base")
    assert torch.equal(torch.get_rng_state(), state)
    assert (simulator.name, simulator.sha256) == ("toy-v1", sha256)
    windows = windows_of_letters(2, 2, np.random.default_rng(1))
    found = simulator.predict(["AB", "CD"], windows)
    assert found.std() > 0


def test_another_name_or_hash_is_refused(made: Path) -> None:
    with pytest.raises(IntegrityError, match="expected 'toy-v2'"):
        load_simulator(made / "simulator", name="toy-v2", base=made / "base")
    with pytest.raises(IntegrityError, match="sha256"):
        load_simulator(made / "simulator", sha256="0" * 64, base=made / "base")


def test_another_base_model_is_refused(made: Path, tmp_path: Path) -> None:
    other = save_base(tmp_path / "other", seed=1)
    with pytest.raises(IntegrityError, match="not the weights"):
        load_simulator(made / "simulator", base=other)


@pytest.mark.parametrize(
    "part", ["adapter_config.json", "adapter_model.safetensors", "head.safetensors"]
)
def test_a_changed_part_is_refused(copy: Path, part: str) -> None:
    path = copy / "simulator" / part
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="not the part"):
        load_simulator(copy / "simulator", base=copy / "base")


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("schema", "x", IntegrityError, "expected schema"),
        ("prompt_version", 0, UsageError, "another wording"),
        ("depth", None, IntegrityError, "not the record"),
        ("depth", 9, UsageError, "3 layers"),
        ("files", {}, IntegrityError, "not the record"),
        ("base", {"name": "x"}, IntegrityError, "not the record"),
    ],
)
def test_a_wrong_record_is_refused(
    copy: Path, key: str, value: object, error: type[Exception], message: str
) -> None:
    path = copy / "simulator" / "simulator.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(error, match=message):
        load_simulator(copy / "simulator", base=copy / "base")
