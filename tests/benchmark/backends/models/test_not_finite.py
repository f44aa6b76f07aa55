"""NaN and infinite numbers of a model stop whoever reads them, who says where they were met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_answerers import save_answerer
from tiny_embedders import make_embedder_folder
from tiny_models import D_MODEL, make_model, make_tokenizer
from tiny_prompts import make_prompt
from tiny_simulators import windows_of_letters
from tiny_suites import make_suite_folder
from tiny_targets import make_letter_tokenizer, make_target
from transformers import AutoModelForCausalLM, AutoTokenizer

import introspect_bench as ib
from introspect_bench.benchmark.backends.explainer.decision import Compared
from introspect_bench.benchmark.backends.explainer.local import LocalExplainer
from introspect_bench.benchmark.backends.interventions import outputs
from introspect_bench.benchmark.backends.interventions.calculator import Calculator, Patch, Text
from introspect_bench.benchmark.backends.interventions.readout import make_readout
from introspect_bench.benchmark.backends.interventions.sampling import sample
from introspect_bench.benchmark.backends.interventions.screen import screen
from introspect_bench.benchmark.backends.interventions.trace import (
    Branch,
    Stem,
    residual_arrays,
    residuals,
)
from introspect_bench.benchmark.backends.models.embedding import load_embedder
from introspect_bench.benchmark.backends.models.target_model import TargetModel
from introspect_bench.benchmark.backends.simulator.model import Simulator, make_head
from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.records import COMPARED, GREEDY, WHOLE, Prompt
from introspect_bench.benchmark.registry import get_task

BAD = "~"  # what the broken models below cannot read
TASK = get_task("activation-patching")


def spoil(model: Any, tokenizer: Any, value: float = float("nan")) -> Any:
    """Let one token's embedding be no number."""
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer(BAD)["input_ids"][-1], 0] = value
    return model


def prompts() -> list[Prompt]:
    texts = ("Is it A?", f"Is it the {BAD} one?", "So?")
    made = [make_prompt(text) for text in texts]
    return [
        replace(one, query=replace(one.query, id=f"{i:016x}"), openings=TASK.openings)
        for i, one in enumerate(made)
    ]


@pytest.mark.parametrize("engine", ["shared-head", "plain"])
@pytest.mark.parametrize("way", [GREEDY, WHOLE, COMPARED, "first logits"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_explainer_names_the_query(way: str, engine: str, value: float) -> None:
    tokenizer = make_tokenizer()
    model = spoil(make_model("llama", tokenizer), tokenizer, value)
    decoding: Any = {"decoding": way} if way in (GREEDY, WHOLE) else {}
    explainer = LocalExplainer(model, tokenizer, max_new_tokens=4, **decoding)
    assert explainer.decoder.engine == "shared-head"
    if engine == "plain":
        explainer.decoder._shared = False
        model.set_attn_implementation("eager")
    ask: Callable[[Sequence[Prompt]], Any] = explainer.complete
    if way == "first logits":
        ask = explainer.first_logits
    if way == COMPARED:
        ask = Compared(explainer, TASK).complete
    with pytest.raises(IntegrityError, match=r"^query 0{15}1, token 1 of the reply: .* NaN or inf"):
        ask(prompts())
    assert len(ask(prompts()[::2])) == 2  # the others are answered


def test_a_reply_that_breaks_on_the_way_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = make_tokenizer()
    explainer = LocalExplainer(make_model("llama", tokenizer), tokenizer, max_new_tokens=4)
    monkeypatch.setattr(explainer.decoder, "_next", lambda *_: torch.full((3, 300), torch.inf))
    with pytest.raises(IntegrityError, match="token 2 of the reply"):
        explainer.complete(prompts())


@pytest.fixture(scope="module")
def target() -> TargetModel:
    made = make_target(seed=3, tokenizer=make_letter_tokenizer())
    spoil(made.model, made.tokenizer)
    return made


def stem(target: TargetModel, text: str, *, patched: bool = False) -> Stem:
    ids = tuple(target.encode(text))
    block: Any = {"layers": (1, 2), "vector": torch.full((D_MODEL,), torch.inf)} if patched else {}
    return Stem(ids=ids[:-1], branches=(Branch(ids=ids[-1:], **block),))


def again(target: TargetModel, text: str) -> object:
    output = outputs.Output(text="a", ids=(5,), margin=1.0)
    probe = outputs.Probe(ids=tuple(target.encode(text)), branch=Branch(ids=()), output=output)
    return outputs.confirm(target, [probe])


READS: dict[str, Callable[[TargetModel, str], object]] = {
    "greedy": lambda t, text: outputs.greedy(t, [stem(t, "So"), stem(t, text)]),
    "letters": lambda t, text: outputs.letters(t, [stem(t, text)], (5, 6, 7, 8)),
    "confirm": again,
    "screen": lambda t, text: screen(t, [stem(t, text, patched=True)]),
    "sample": lambda t, text: sample(t, [t.encode(text)], np.full((1, 2), 0.5)),
    "residuals": lambda t, text: residuals(t, [t.encode("So"), t.encode(text)], [[0], [-1]]),
    "residual arrays": lambda t, text: residual_arrays(
        t, np.array([t.encode(text)], dtype=np.int32), bos=0, layers=[1]
    ),
    "calculator": lambda t, text: Calculator(t, 4).answers([Text(text="So"), Text(text=text)]),
}


@pytest.mark.parametrize("read", READS)
def test_a_target_names_the_text(target: TargetModel, read: str) -> None:
    with pytest.raises(IntegrityError, match=rf"^the target on .*a {BAD}.* NaN or infinite"):
        READS[read](target, f"a {BAD}")


def test_a_calculator_names_the_patch(target: TargetModel) -> None:
    vector = np.full(D_MODEL, np.inf, dtype=np.float32)
    patch = Patch(text="So what", position=1, layers=(0, 1), vector=vector)
    with pytest.raises(IntegrityError, match="on 'So what' patched in layers 0 to 1: "):
        Calculator(target, 4).patched([patch])


def test_a_simulator_an_encoder_and_a_lens_stop(target: TargetModel, tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    head = make_head(D_MODEL)
    with torch.no_grad():
        head.weight.fill_(torch.nan)
    simulator = Simulator(make_model("llama", tokenizer), tokenizer, head, name="toy", sha256="")
    with pytest.raises(IntegrityError, match=r"^simulator toy, row 1 of a batch: "):
        simulator.predict(["a"], windows_of_letters(1, 2, np.random.default_rng(0)))
    embedder = load_embedder(make_embedder_folder(tmp_path))
    with torch.no_grad():
        embedder._model.get_input_embeddings().weight[4] = torch.nan
    with pytest.raises(IntegrityError, match=r"^the encoder on .*the.*: "):
        embedder.embed(["a", "the"])
    rows = np.array([[1.0] * D_MODEL, [np.nan] * D_MODEL], dtype=np.float32)
    with pytest.raises(IntegrityError, match=r"^direction 2 of a batch: "):
        make_readout(target.model)(rows, 3)


@pytest.mark.parametrize("through", ["", "lm-eval:hf,pretrained="])
@pytest.mark.filterwarnings("ignore")
def test_a_run_ends_without_a_score(tmp_path: Path, through: str) -> None:
    if through:
        pytest.importorskip("lm_eval", reason="pip install 'introspect-bench[lm-eval]'")
    folder = save_answerer(tmp_path / "model", chat=False)
    model = AutoModelForCausalLM.from_pretrained(folder)
    spoil(model, AutoTokenizer.from_pretrained(folder)).model.norm.weight.data[0] = torch.nan
    model.save_pretrained(folder)
    with pytest.raises(IntegrityError, match=r"query .*[0-9a-f]{16}.* NaN or infinite"):
        ib.run(
            f"{through}{folder}",
            suite=make_suite_folder(tmp_path / "suite"),
            tasks=("input-ablations",),
            split="test",
            output=tmp_path / "out",
        )
    (path,) = (tmp_path / "out").glob("*.jsonl")
    assert not ib.load(path).rows
