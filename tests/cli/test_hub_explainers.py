"""Explainers on a hub: trained from a model there, with a card, uploaded, fetched and run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from program import PATCHING, Call, refused, succeeded
from tiny_hub import TOKEN, Hub, files_below, hub
from tiny_training import make_base, train

import introspect_bench as ib
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.backends.training.train import model_card

assert hub  # a fixture


def front_of(text: str) -> dict[str, Any]:
    """What a hub reads of a card."""
    return dict(yaml.safe_load(text.split("---\n", 2)[1]))


def test_an_explainer_goes_to_a_hub_and_comes_back(
    hub: Hub, call: Call, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    base = f"org/base@{hub.put('org/base', files_below(make_base(here / 'base')))}"
    folder = here / "explainer"
    way = Injection(mode="add", layer=1)
    assert way != Injection()
    train(base, here / "toy", folder, tasks=[PATCHING], epochs=1, evaluations=1, injection=way)
    text = (folder / "README.md").read_text()
    front = front_of(text)
    assert front["base_model"] == "org/base"
    assert front["library_name"] == "peft"
    assert "introspect-bench" in front["tags"]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert f"{config['base_model_name_or_path']}@{config['revision']}" == base
    record = json.loads((folder / "explainer.json").read_text())
    for suite in record["training"]["about"]["suites"]:
        assert suite["data_sha256"] in text
    assert record["training"]["base"]["sha256"] in text

    commit = hub.put("org/explainer", files_below(folder))
    words = ("run", "-m", f"org/explainer@{commit}", "--suite", "toy", "--split", "mini")
    succeeded(call(*words, "--no-score", "-t", PATCHING))
    (path,) = Path("runs").glob("*.jsonl")
    assert TOKEN not in path.read_text()
    run = ib.load(path)
    said = run.header.explainer
    assert (said.name, said.revision) == (f"org/explainer@{commit}", commit)
    assert said.settings["injection"] == record["injection"]
    (local,) = ib.run(str(folder), suite="toy", split="mini", tasks=[PATCHING], output="local")
    raw = {key: row["raw"] for key, row in local.rows.items()}
    assert {key: row["raw"] for key, row in run.rows.items()} == raw


def test_a_card_of_a_base_in_a_folder_names_no_path_and_replaces_none(here: Path) -> None:
    folder = here / "explainer"
    folder.mkdir()
    (folder / "README.md").write_text("mine")
    train(make_base(here / "base"), here / "toy", folder, epochs=1, evaluations=1, method="full")
    assert (folder / "README.md").read_text() == "mine"
    text = model_card(json.loads((folder / "explainer.json").read_text()))
    assert str(here) not in text
    assert "`base`" in text
    front = front_of(text)
    assert "base_model" not in front
    assert front["library_name"] == "transformers"


@pytest.mark.parametrize(
    ("name", "said"),
    [("gated", "it is gated"), ("private", "private or misspelt"), ("misspelt", "no such model")],
)
def test_each_refusal_of_a_model_is_told_apart(hub: Hub, call: Call, name: str, said: str) -> None:
    assert said in refused(call("run", "-m", f"org/{name}", "--suite", "toy"), 3)
    assert len(hub.asked) >= 1


def test_a_model_whose_download_ends_for_good_is_a_sentence(
    hub: Hub, call: Call, here: Path
) -> None:
    commit = hub.put("org/base", files_below(make_base(here / "base")))
    hub.cuts["model.safetensors"] = 10_000
    assert "cannot get 'org/base', which needs a model hub" in refused(
        call("run", "-m", f"org/base@{commit}", "--suite", "toy"), 3
    )
