"""Trained controls: full fine-tuning, no vectors, and twins of the base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import train

import introspect_bench as ib
from introspect_bench.__main__ import main
from introspect_bench.benchmark.errors import UsageError

PATCHING = "activation-patching"


def test_full_fine_tuning_and_the_control_without_vectors(
    suites: Path, base: Path, tmp_path: Path
) -> None:
    folder = train(
        base, suites, tmp_path / "full", method="full", tasks=[PATCHING], no_vector=True, epochs=1
    )
    assert (folder / "model.safetensors").is_file()
    (run,) = ib.run(
        str(folder),
        suite=str(suites),
        tasks=[PATCHING],
        split="mini",
        no_vector=True,
        output=tmp_path / "runs",
    )
    assert len(run.rows) == 4
    record = json.loads((folder / "explainer.json").read_text())
    assert record["training"]["about"]["vectors"] is False


def test_a_twin_is_trained_from_the_command_line(suites: Path, base: Path, tmp_path: Path) -> None:
    words = ["train", "-b", str(base), "--suite", str(suites), "-t", PATCHING, "--rank", "2"]
    words += ["--n-train", "4", "--precision", "float32", "--twin"]
    assert main([*words, "rotated", "-o", str(tmp_path / "twin")]) == 0
    record = json.loads((tmp_path / "twin" / "explainer.json").read_text())
    assert record["twin"] == {"kind": "rotated", "seed": 0}
    assert main([*words, "mirrored", "-o", str(tmp_path / "other")]) == 2


def test_a_fully_trained_twin_says_what_it_was_made_from(
    suites: Path, base: Path, tmp_path: Path
) -> None:
    from introspect_bench.benchmark.backends.explainer.load import load_local

    more = {"method": "full", "twin": "random-init", "tasks": [PATCHING], "epochs": 1}
    loaded, card = load_local(str(train(base, suites, tmp_path / "random", **more)))
    assert card.settings["twin"] == {"kind": "random-init", "seed": 0}
    # its weights are its own: nothing is made of them again
    stored = load_file(tmp_path / "random" / "model.safetensors")
    name = "model.layers.0.mlp.down_proj.weight"
    torch.testing.assert_close(dict(loaded.model.named_parameters())[name], stored[name])


def test_a_rotated_twin_is_rotated_again_when_its_adapter_is_loaded(
    suites: Path, base: Path, tmp_path: Path
) -> None:
    from introspect_bench.benchmark.backends.explainer.load import load_local
    from introspect_bench.benchmark.backends.models.pretrained import load_model
    from introspect_bench.benchmark.backends.models.twins import rotate_basis

    folder = train(base, suites, tmp_path / "twin", tasks=[PATCHING], twin="rotated", epochs=1)
    record = json.loads((folder / "explainer.json").read_text())
    assert record["twin"] == {"kind": "rotated", "seed": 0}
    loaded, card = load_local(str(folder))
    assert card.settings["twin"] == record["twin"]
    twin = rotate_basis(load_model(base, torch.float32), seed=0)
    found = loaded.model.get_input_embeddings().weight
    torch.testing.assert_close(found, twin.get_input_embeddings().weight)
    # an adapter on it: its matrices are the twin's, changed by training
    mine, theirs = (
        dict(model.named_parameters())["model.layers.0.mlp.down_proj.weight"]
        for model in (loaded.model, twin)
    )
    assert 0 < float((mine - theirs).detach().norm()) < float(theirs.detach().norm())
    record["twin"] = {"kind": "rotated"}
    (folder / "explainer.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="expected twin with kind and seed"):
        load_local(str(folder))


TURNS = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}<s>reply: "


def test_a_base_without_a_chat_template_can_be_given_one(
    suites: Path, base: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="has a chat template; leave --chat-template out"):
        train(base, suites, tmp_path / "other", chat_template=TURNS)
    base = Path(shutil.copytree(base, tmp_path / "base"))
    (base / "chat_template.jinja").unlink()
    asked: dict[str, Any] = {"tasks": [PATCHING], "split": "mini", "suite": str(suites)}
    plain = train(base, suites, tmp_path / "plain", tasks=[PATCHING], epochs=1)
    folder = train(
        base, suites, tmp_path / "turns", tasks=[PATCHING], epochs=1, chat_template=TURNS
    )
    for path, form in ((plain, "plain"), (folder, "chat")):
        (run,) = ib.run(str(path), **asked, output=tmp_path / f"runs-{form}")
        assert run.header.explainer.settings["prompt_form"] == form
    about = json.loads((folder / "explainer.json").read_text())["training"]["about"]
    assert about["chat_template"] == TURNS
    assert json.loads((plain / "explainer.json").read_text())["training"]["about"].keys() == (
        about.keys() - {"chat_template"}
    )
    with pytest.raises(UsageError, match="holds a training with another lessons"):
        train(base, suites, folder, tasks=[PATCHING], epochs=1)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"\xff", "no text can be read from"), (b" \n", "the chat template is empty")],
)
def test_a_file_that_is_no_template_is_refused(
    base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], data: bytes, said: str
) -> None:
    (tmp_path / "turns").write_bytes(data)
    (tmp_path / "train.yaml").write_text(f"chat-template: {tmp_path / 'turns'}\nbase: {base}\n")
    words = ["train", "--config", str(tmp_path / "train.yaml"), "-o", "out", "--dry-run"]
    assert main(words) == 2
    assert said in " ".join(capfd.readouterr().err.split())
