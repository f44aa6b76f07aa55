"""Sixty labels of the shipped patching suite, derived again from weights and files alone.

Nothing of the engine that measured them is used: transformers, one plain pass a run, forward hooks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from introspect_bench.benchmark.models.fetch import prepare_target
from introspect_bench.benchmark.models.targets import resolve_target
from introspect_bench.tasks import suite_root

NAME = "smollm2-135m"
LABELS = 60


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    folder = prepare_target(resolve_target(NAME))
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@contextmanager
def patched(model: Any, layers: list[int], position: int, vector: torch.Tensor) -> Iterator[None]:
    def hook(_module: Any, _inputs: Any, output: Any) -> Any:
        hidden = (output[0] if isinstance(output, tuple) else output).clone()
        hidden[:, position] = vector
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    own = model.model.layers[layers[0] : layers[1] + 1]
    handles = [layer.register_forward_hook(hook) for layer in own]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def follows(model: Any, ids: list[int], answer: list[int]) -> float:
    """Smallest lead of the answer's tokens over all others, in logits; negative if one is not the
    likeliest."""
    with torch.no_grad():
        logits = model(torch.tensor([ids + answer[:-1]]), use_cache=False).logits[0]
    leads = []
    for row, token in zip(logits[len(ids) - 1 :], answer, strict=True):
        rest = row.clone()
        rest[token] = -torch.inf
        leads.append(float(row[token] - rest.max()))
    return min(leads)


def test_labels_are_what_the_target_says(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    folder = suite_root(NAME, "activation-patching") / "test"
    truth = {row["id"]: row for row in rows(folder / "truth.jsonl")}
    vectors = load_file(folder / "vectors.safetensors")["vectors"].float()
    groups: dict[tuple[Any, ...], dict[str, list[Any]]] = {}
    for query in rows(folder / "queries.jsonl"):
        cell = (query["kind"], *query["fields"]["layers"])
        groups.setdefault(cell, {}).setdefault(query["group"], []).append(query)
    # groups of all kinds in turn and of their cells in turn, the first ones of each
    cells = sorted(groups)
    block = {cell: [one for one in cells if one[0] == cell[0]].index(cell) for cell in cells}
    turns = [list(groups[cell].values()) for cell in sorted(cells, key=lambda c: (block[c], c))]
    order = [own[i] for i in range(max(map(len, turns))) for own in turns if i < len(own)]
    chosen = [query for group in order for query in group][:LABELS]
    assert len({query["kind"] for query in chosen}) == len({cell[0] for cell in groups})
    leads, changed = {}, 0
    for query in chosen:
        fields, label = query["fields"], truth[query["id"]]
        ids = tokenizer(fields["text"])["input_ids"]
        assert len(ids) == fields["n_tokens"]
        if fields["text"] not in leads:
            leads[fields["text"]] = follows(model, ids, label["clean_ids"])
        with patched(model, fields["layers"], fields["position"], vectors[query["vector"]]):
            lead = follows(model, ids, label["outcome_ids"])
        margin = min(lead, leads[fields["text"]])
        assert margin == pytest.approx(label["margin"], abs=5e-3), query["id"]
        assert margin >= 0.1 - 5e-3
        changed += label["clean"] != label["outcome"]
    assert len(chosen) == LABELS
    assert 0.4 * LABELS <= changed <= 0.7 * LABELS


def test_vectors_are_what_stood_in_their_source(loaded: tuple[Any, Any]) -> None:
    """The mean over the block of what the source's text has at its place, in float16."""
    model, tokenizer = loaded
    folder = suite_root(NAME, "activation-patching") / "test"
    vectors = load_file(folder / "vectors.safetensors")["vectors"].float()
    origin = {row["id"]: row["origin"] for row in rows(folder / "oracle.jsonl")}
    for query in rows(folder / "queries.jsonl")[::50]:
        read, (first, last) = origin[query["id"]], query["fields"]["layers"]
        ids = tokenizer(read["text"])["input_ids"]
        assert tokenizer.decode(ids[read["position"]]).strip() == read["token"].strip()
        with torch.no_grad():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        if last + 1 == model.config.num_hidden_layers:
            continue  # the last of these states is after the final norm
        # the first one is the embedding
        layers = [states[layer + 1][0, read["position"]] for layer in range(first, last + 1)]
        torch.testing.assert_close(
            vectors[query["vector"]], torch.stack(layers).mean(0), rtol=2e-3, atol=2e-2
        )
