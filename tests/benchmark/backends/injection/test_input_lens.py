"""Explainers that see a direction as their own tokens that it responds to: placed, trained, run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tiny_features import D_TARGET, NAME, make_feature_suite
from tiny_lens import NEAREST
from tiny_models import D_MODEL
from tiny_places import Watch, feature
from tiny_projections import TEXTS, save_model
from tiny_prompts import make_explainer
from tiny_suites import make_suite_folder

import introspect_bench as ib
from introspect_bench.benchmark.backends.explainer.load import load_local
from introspect_bench.benchmark.backends.injection.learned import Learned, Projection
from introspect_bench.benchmark.backends.injection.spec import Injection
from introspect_bench.benchmark.errors import UsageError

FILE = "projection.safetensors"


def test_each_slot_gets_the_next_nearest_embedding() -> None:
    weights = {"0.weight": torch.eye(D_MODEL), "1.weight": -torch.eye(D_MODEL)}
    explainer = make_explainer(
        "llama",
        injection=Injection(slots=3, projection=NEAREST),
        learned=Learned(projection=Projection(NEAREST, weights)),
        max_new_tokens=2,
    )
    embedded = explainer.model.get_input_embeddings().weight.detach()
    unit = torch.nn.functional.normalize(embedded, dim=-1)
    wanted = [torch.tensor([31, 7, 20]), torch.tensor([50, 4, 12])]
    given = [unit[wanted[0]], -unit[wanted[1]]]
    shares = torch.tensor([1.0, 0.9, 0.8])
    # a mixture of unlike tokens leans to each of them in the order of the shares
    vectors = [(torch.linalg.pinv(rows) @ shares).numpy() for rows in given]
    prompts = [
        replace(feature(layer, seed), vector=vector)
        for layer, seed, vector in zip((0, 1), (1, 2), vectors, strict=True)
    ]
    watch = Watch(explainer.model)
    explainer.first_logits(prompts)
    read, _ = watch.last()
    questions = explainer.encoder.questions(prompts)
    longest = max(len(question.ids) for question in questions)
    for row, question in enumerate(questions):
        mapped = torch.from_numpy(vectors[row]) * (-1 if row else 1)
        best = (unit @ mapped).topk(3).indices
        columns = [longest - len(question.ids) + column for column in question.columns]
        sent = unit[best] * embedded.norm(dim=-1).mean()
        torch.testing.assert_close(read[0][row, columns], sent)
        assert set(wanted[row].tolist()) & set(best.tolist())


def test_the_lens_is_declared_and_enters_as_an_embedding() -> None:
    good = Injection(slots=2, projection=NEAREST)
    assert Injection.from_json(good.as_json()) == good
    plain = Injection(projection=replace(NEAREST, nearest=False)).as_json()
    assert "nearest" not in plain["projection"]  # as explainers were declared before
    with pytest.raises(UsageError, match="mode 'embedding'"):
        Injection(mode="replace", layer=1, projection=NEAREST)
    with pytest.raises(UsageError, match="injection projection"):
        Injection.from_json({**plain, "projection": {**plain["projection"], "nearest": 1}})


def test_an_explainer_with_an_input_lens_is_trained_and_run(tmp_path: Path) -> None:
    suite = str(tmp_path / "features")
    make_feature_suite(Path(suite) / NAME / "v2")
    narrow = {"hidden_size": D_TARGET, "num_attention_heads": 1, "num_key_value_heads": 1}
    base, target = (
        save_model(tmp_path / "base"),
        save_model(tmp_path / "target", num_hidden_layers=2, **narrow),
    )
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    options: dict[str, Any] = {
        "suite": suite,
        "projection": "input-lens",
        "align": tmp_path / "texts.txt",
        "target": str(target),
        "precision": "float32",
        "rank": 2,
        "batch_size": 4,
    }
    folder = ib.train(
        str(base), tmp_path / "lens", injection=Injection(slots=3), epochs=2, **options
    )
    record = json.loads((folder / "explainer.json").read_text())
    assert record["injection"]["projection"]["nearest"] is True
    assert record["training"]["about"]["projection"]["start"] == "input-lens"
    short = ib.train(str(base), tmp_path / "short", injection=Injection(slots=3), **options)
    for name, value in load_file(folder / FILE).items():
        assert value.shape == (D_MODEL, D_TARGET)
        assert (value == load_file(short / FILE)[name]).all()  # measured, not trained
    explainer, _ = load_local(str(folder))
    assert explainer.injector.injection.slots == 3
    (run,) = ib.run(str(folder), suite=suite, split="test", output=tmp_path, judge=False)
    assert len(run.rows) == 9
    with pytest.raises(UsageError, match="mode 'embedding'"):
        ib.train(str(base), tmp_path / "no", injection=Injection(mode="own-layers"), **options)
    other = make_suite_folder(tmp_path / "toy")
    shutil.copytree(Path(suite) / NAME, other / NAME)
    with pytest.raises(UsageError, match="the input lens reads directions or states, not both"):
        ib.train(str(base), tmp_path / "no", **{**options, "suite": str(other)})


def test_states_are_seen_as_the_tokens_nearest_to_where_aligned_maps_lead(tmp_path: Path) -> None:
    suite = str(make_suite_folder(tmp_path / "toy"))
    narrow = {"hidden_size": D_TARGET, "num_attention_heads": 1, "num_key_value_heads": 1}
    base = save_model(tmp_path / "base")
    target = save_model(tmp_path / "target", num_hidden_layers=12, **narrow)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    options: dict[str, Any] = {
        "suite": suite,
        "tasks": ["activation-patching"],
        "align": tmp_path / "texts.txt",
        "target": str(target),
        "precision": "float32",
        "rank": 2,
        "injection": Injection(slots=3),
        "learning_rate": 1e-9,
    }
    lens, aligned = (
        ib.train(str(base), tmp_path / start, projection=start, **options)
        for start in ("input-lens", "aligned")
    )
    record = json.loads((lens / "explainer.json").read_text())
    assert record["injection"]["projection"]["nearest"] is True
    maps = load_file(aligned / FILE)
    for name, value in load_file(lens / FILE).items():
        np.testing.assert_allclose(value, maps[name], atol=1e-6)
    again = ib.train(
        str(base),
        tmp_path / "faster",
        projection="input-lens",
        **{**options, "learning_rate": 0.02},
    )
    for name, value in load_file(again / FILE).items():
        np.testing.assert_array_equal(value, load_file(lens / FILE)[name])
    (run,) = ib.run(
        str(lens), suite=suite, tasks=options["tasks"], split="mini", output=tmp_path / "runs"
    )
    assert len(run.rows) == 4
