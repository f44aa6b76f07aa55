"""Published checkpoints as files: SelfIE adapters, and families told or named when they run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_families import QWEN, tokenizer_with
from tiny_models import D_MODEL, make_model
from tiny_places import Watch, feature, patching
from tiny_prompts import vector

from introspect_bench.benchmark.backends.explainer.load import detect_family, load_local
from introspect_bench.benchmark.backends.explainer.selfie_adapters import open_selfie_adapter
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError

TOKEN = "<|reserved_special_token_0|>"
TEMPLATE = f'<s>user\nWhat is "{TOKEN}"?</s>\n<s>assistant\nIt is "{TOKEN}", or "'


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


TENSORS = {
    "log_scale": torch.tensor([0.7]),
    "bias": drawn(1, D_MODEL),
    "U": drawn(2, D_MODEL, 3),
    "V": drawn(3, D_MODEL, 3),
    "weight": drawn(4, D_MODEL, D_MODEL),
}
KINDS = {
    "scale_only": ("log_scale",),
    "scalar_affine": ("log_scale", "bias"),
    "full_rank": ("weight", "bias"),
    "low_rank_only": ("U", "V", "bias"),
    "scalar_affine_plus_low_rank": ("log_scale", "U", "V", "bias"),
}


def save_base(folder: Path, *tokens: str, **changes: Any) -> Path:
    tokenizer = tokenizer_with(*tokens)
    make_model("llama", tokenizer, **changes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_adapter(
    folder: Path, kind: str, *, unit: bool = True, name: str = "one.safetensors", **changes: Any
) -> Path:
    folder.mkdir(exist_ok=True)
    config = {
        "model": {"name": "../base"},
        "projection": {"type": kind, "normalize_input": unit},
        "soft_prompt": {"template": TEMPLATE},
    }
    header = {"config_json": json.dumps(config | changes), "model_dim": str(D_MODEL)}
    save_file({key: TENSORS[key] for key in KINDS[kind]}, folder / name, metadata=header)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("selfie")
    save_base(folder / "base", TOKEN)
    return folder


def image(kind: str, unit: bool) -> torch.Tensor:
    """What the adapter's own formula makes of the first vector."""
    x = torch.from_numpy(vector(1))
    x = x / x.norm() if unit else x
    own = {name: TENSORS[name] for name in KINDS[kind]}
    found = torch.zeros(D_MODEL)
    if "weight" in own:
        found = found + x @ own["weight"].T
    if "log_scale" in own:
        found = found + own["log_scale"].exp() * x
    if "U" in own:
        found = found + (x @ own["U"]) @ own["V"].T
    return found + own.get("bias", torch.zeros(D_MODEL))


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_image_of_the_vector_is_the_embedding_at_every_placeholder(
    root: Path, kind: str, unit: bool
) -> None:
    folder = save_adapter(root / f"{kind}-{unit}", kind, unit=unit)
    explainer, card = load_local(str(folder), max_new_tokens=3)
    assert card.weights_sha256.keys() == {"one.safetensors", "base/model.safetensors"}
    assert card.settings["family"] == "selfie-adapter"
    declared = card.settings["injection"]
    assert declared["projection"]["unit"] is unit
    assert declared["projection"]["bias"] is ("bias" in KINDS[kind])
    watch = Watch(explainer.model)
    explainer.first_logits([feature(2, 1)])
    read, given = watch.last()
    (found,) = explainer.encoder.questions([feature(2, 1)])
    assert explainer.encoder.tokenizer.decode(found.ids) == TEMPLATE
    assert len(found.columns) == 2
    embedded = explainer.model.get_input_embeddings()(torch.tensor(found.ids))
    for place in range(len(found.ids)):
        wanted = image(kind, unit) if place in found.columns else embedded[place]
        torch.testing.assert_close(read[0][0, place], wanted, atol=1e-5, rtol=1e-4)
    assert all(torch.equal(read[i + 1], given[i]) for i in range(2))


def test_the_reply_ends_before_the_closing_quotation_mark(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explainer, _ = load_local(str(save_adapter(root / "quote", "scalar_affine")))
    script = 'dogs and cats" and'
    monkeypatch.setattr(explainer.encoder.tokenizer, "decode", lambda ids, **_: script[: len(ids)])
    (reply,) = explainer.complete([feature(2, 1)])
    assert reply.text == "dogs and cats"
    assert reply.n_out == len(reply.text) + 1


def test_it_answers_what_vectors_mean_and_nothing_else(root: Path) -> None:
    explainer, _ = load_local(str(save_adapter(root / "only", "scalar_affine")))
    with pytest.raises(UsageError, match="run it on feature-descriptions"):
        explainer.first_logits([patching("Bob met Bob", 8, (0, 1), 1, "What?")])
    with pytest.raises(UsageError, match="projection is for width 16"):
        explainer.check_width(4)


def test_one_of_several_adapters_is_chosen_by_name(root: Path) -> None:
    folder = save_adapter(root / "several", "scalar_affine")
    save_adapter(folder, "full_rank", name="two.safetensors")
    save_file({"layer_1": torch.zeros(D_MODEL)}, folder / "mean-vectors.safetensors")
    with pytest.raises(UsageError, match=r"selfie-adapter:FILE of one.safetensors, two"):
        load_local(str(folder))
    _, card = load_local(str(folder), family="selfie-adapter:two.safetensors")
    assert "two.safetensors" in card.weights_sha256
    with pytest.raises(MissingPartError, match="no three"):
        load_local(str(folder), family="selfie-adapter:three.safetensors")
    with pytest.raises(UsageError, match="only selfie-adapter takes a file"):
        load_local(str(folder), family="paper:two.safetensors")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"projection": {"type": "full_rank", "normalize_input": True}}, IntegrityError, "holds"),
        ({"projection": {"type": "scalar_affine"}}, IntegrityError, "normalised"),
        ({"soft_prompt": {"template": "none"}}, UsageError, "no template"),
        ({"soft_prompt": {}}, UsageError, "no template"),
        ({"model": {}}, UsageError, "does not name the model"),
        ({"model": 3}, IntegrityError, "config_json"),
    ],
)
def test_a_file_that_does_not_say_what_it_is_is_refused(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    folder = save_adapter(tmp_path / "bad", "scalar_affine", **changes)
    with pytest.raises(error, match=message):
        load_local(str(folder), family="selfie-adapter")


@pytest.mark.parametrize(
    ("kind", "misshapen"),
    [
        ("scalar_affine", {"bias": torch.tensor(1.0)}),
        ("scale_only", {"log_scale": torch.ones(3)}),
        ("full_rank", {"weight": torch.ones(1, D_MODEL)}),  # it went through, row by row the same
        ("low_rank_only", {"V": torch.ones(D_MODEL, 2)}),
        ("low_rank_only", {"U": torch.ones(D_MODEL)}),
        (["scale_only"], {}),
    ],
)
def test_tensors_that_make_no_map_are_refused(
    tmp_path: Path, kind: Any, misshapen: dict[str, torch.Tensor]
) -> None:
    own = KINDS[kind] if isinstance(kind, str) else KINDS["scale_only"]
    config = {"projection": {"type": kind, "normalize_input": True}}
    config |= {"model": {"name": "../base"}, "soft_prompt": {"template": TEMPLATE}}
    header = {"config_json": json.dumps(config), "model_dim": str(D_MODEL)}
    tensors = {name: TENSORS[name] for name in own} | misshapen
    save_file(tensors, tmp_path / "one.safetensors", metadata=header)
    with pytest.raises(IntegrityError, match=r"one.safetensors: (not a SelfIE|a projection)"):
        open_selfie_adapter(tmp_path)


def test_a_header_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    header = {"config_json": "[" * 200_000}
    save_file({"log_scale": torch.ones(1)}, tmp_path / "one.safetensors", metadata=header)
    with pytest.raises(UsageError, match="no config_json"):
        open_selfie_adapter(tmp_path)


def test_files_without_a_header_and_pickles_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "adapter.pt").write_bytes(b"\x80")
    with pytest.raises(MissingPartError, match="as safetensors"):
        load_local(str(folder), family="selfie-adapter")
    save_file(TENSORS, folder / "one.safetensors")
    with pytest.raises(UsageError, match="no config_json"):
        load_local(str(folder), family="selfie-adapter")
    (folder / "one.safetensors").write_bytes(b"\x01")
    with pytest.raises(IntegrityError, match="cut off or corrupt"):
        load_local(str(folder), family="selfie-adapter")


def test_families_are_told_from_checkpoints_that_can_be_nothing_else(
    root: Path, tmp_path: Path
) -> None:
    assert detect_family(root / "base") is None
    assert detect_family(save_adapter(tmp_path / "selfie", "full_rank")) == "selfie-adapter"
    paper = save_base(tmp_path / "paper", *QWEN)
    assert detect_family(paper) is None
    config = json.loads((paper / "config.json").read_text())
    for name in ("LlamaWithIntervention", "ContinuousQwen3"):
        (paper / "config.json").write_text(json.dumps(config | {"architectures": [name]}))
        assert detect_family(paper) == "paper"
    _, card = load_local(str(paper))
    assert card.settings["family"] == "paper"
    assert card.settings["injection"]["scaling"] == "raw"
