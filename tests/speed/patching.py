"""How fast ground truth of activation patching is measured, against two yardsticks of this machine.

Run it by hand: `python tests/speed/patching.py`. It prints

(a) `items`: patched items a second with the batched engine (one stem for a group, padded batches,
    key-value cache), over items a second with one nnsight trace for each item (the plain way: a
    trace for the prompt with the patch, and the model's own cached decoding of the same number of
    tokens). Same items, same process, same number of threads. It should be at least 6.
(b) `prefill`: floating-point operations a second while reading prompts (2 for each non-embedding
    parameter and token; attention itself is left out, so this is slightly too low), over those of
    float32 `torch.matmul` with the shapes of the model's own layers, best of several. It should be
    at least 0.70.

Machines are noisy: other processes slow the two sides of a ratio unequally, so look at the best of
a few runs on an idle machine, and at the ratios rather than at the rates. Each figure is the best
of `--repeats`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence

import nnsight
import torch

from introspect_bench.benchmark.backends.interventions.outputs import (
    MAX_ANSWER_TOKENS,
    batches,
    greedy,
)
from introspect_bench.benchmark.backends.interventions.trace import Branch, Stem
from introspect_bench.benchmark.backends.models.batch import (
    cache_of,
    pad,
    position_ids,
    with_cache,
)
from introspect_bench.benchmark.backends.models.target_model import TargetModel, load_target_model
from introspect_bench.benchmark.models.fetch import prepare_target
from introspect_bench.benchmark.models.targets import resolve_target
from introspect_bench.tasks.activation_patching.build import measure_patches as measure
from introspect_bench.tasks.activation_patching.build.measure_patches import blocks, place
from introspect_bench.tasks.facts.facts import facts_of, interleave, one_shot, other_fact

MEMBERS = 6
"""Items that share a prompt and a place, as in a build."""
PLAIN = 33
"""Items measured the plain way, spread evenly over all."""
PREFILL = (8, 128)
"""Rows and tokens of a prompt batch."""


def best(repeats: int, work: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def make_stems(target: TargetModel, n_groups: int) -> list[Stem]:
    """Groups as in a build: real prompts, every kind and block in turn, random vectors."""
    facts = facts_of("train", 0)
    generator = torch.Generator().manual_seed(0)
    spans = blocks(target.n_layers)
    stems: list[Stem] = []
    for fact in interleave(facts):
        shown = other_fact(fact, facts[fact.relation], "speed")
        if shown is None or len(stems) == n_groups:
            continue
        placed = place(target.tokenizer, one_shot(fact, shown))
        kinds = sorted(placed.places)
        position = placed.places[kinds[len(stems) % len(kinds)]].position
        layers = spans[len(stems) % len(spans)]
        vectors = torch.randn(MEMBERS, target.d_model, generator=generator)
        branches = tuple(
            Branch(ids=placed.ids[position:], layers=layers, vector=vector) for vector in vectors
        )
        stems.append(Stem(ids=placed.ids[:position], branches=branches))
    return stems


def engine(target: TargetModel, stems: Sequence[Stem]) -> list[tuple[int, ...]]:
    """Answers as the builder measures them; tokens of each item, in order."""
    found: dict[int, list[tuple[int, ...]]] = {}
    for chosen in batches(stems, measure.PATCH_ROWS):
        outputs = iter(greedy(target, [stems[i] for i in chosen]))
        for i in chosen:
            found[i] = [next(outputs).ids for _ in stems[i].branches]
    return [ids for i in range(len(stems)) for ids in found[i]]


def one_trace(target: TargetModel, stem: Stem, branch: Branch, length: int) -> tuple[int, ...]:
    """The plain way: a trace of nnsight for one item, then its greedy tokens with the cache."""
    layers, position = branch.layers, len(stem.ids)
    assert layers is not None
    ids = torch.tensor([[*stem.ids, *branch.ids]], device=target.device)
    envoys = target.envoys
    with torch.inference_mode():
        with target.trace.trace(input_ids=ids, use_cache=True, logits_to_keep=1):
            for layer in range(layers[0], layers[1] + 1):
                output = envoys[layer].output
                hidden = output[0] if isinstance(output, tuple) else output
                hidden[0, position] = branch.vector
            logits = nnsight.save(target.trace.output.logits)
            cache = nnsight.save(cache_of(target.trace.output))
        said = [int(logits[0, -1].argmax())]
        while len(said) < length:
            step = target.model(
                input_ids=torch.tensor([said[-1:]], device=target.device),
                **with_cache(cache),
                use_cache=True,
            )
            cache = cache_of(step)
            said.append(int(step.logits[0, -1].argmax()))
    return tuple(said)


def item_rates(target: TargetModel, stems: Sequence[Stem], repeats: int) -> dict[str, float]:
    """Items a second both ways, and the share of items on which both ways agree."""
    items = [(stem, branch) for stem in stems for branch in stem.branches]
    # batches need many items; the plain way costs the same for each, so an even part will do
    few = list(range(0, len(items), max(1, len(stems) // PLAIN) * MEMBERS))
    answers: list[tuple[int, ...]] = []
    plain: list[tuple[int, ...]] = []

    def fast() -> None:
        answers[:] = engine(target, stems)

    def slow() -> None:
        plain[:] = [one_trace(target, *items[i], len(answers[i])) for i in few]

    fast_seconds = best(repeats, fast)
    slow_seconds = best(repeats, slow)
    return {
        "engine_items_per_second": len(items) / fast_seconds,
        "trace_items_per_second": len(few) / slow_seconds,
        "items": len(items) / fast_seconds * slow_seconds / len(few),
        "agreement": sum(answers[i] == p for i, p in zip(few, plain, strict=True)) / len(few),
    }


def matmul_rate(target: TargetModel, tokens: int, repeats: int) -> float:
    """Operations a second of plain products of `tokens` rows with one layer's own weights."""
    weights = [p for p in target.modules[0].parameters() if p.ndim == 2]
    inputs = [torch.randn(tokens, w.shape[1], device=w.device, dtype=w.dtype) for w in weights]
    operations = sum(2 * tokens * w.numel() for w in weights)

    def products() -> None:
        for _ in range(target.n_layers):
            for weight, value in zip(weights, inputs, strict=True):
                torch.matmul(value, weight.T)
        synchronise(target)

    with torch.inference_mode():
        return operations * target.n_layers / best(repeats, products)


def prefill_rate(target: TargetModel, repeats: int) -> tuple[float, float]:
    """Tokens and operations a second of the model itself on one batch of prompts."""
    rows, width = PREFILL
    generator = torch.Generator().manual_seed(0)
    vocabulary = target.model.get_input_embeddings().num_embeddings
    # rows differ in length by a few tokens, as in a sorted build
    ids = [
        torch.randint(0, vocabulary, (width - i % 4,), generator=generator).tolist()
        for i in range(rows)
    ]
    batch = pad(ids, target)
    parameters = sum(p.numel() for p in target.modules.parameters())

    def read() -> None:
        target.model(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            position_ids=position_ids(batch.mask),
            use_cache=True,
            logits_to_keep=1,
        )
        synchronise(target)

    with torch.inference_mode():
        read()
        tokens = rows * width / best(repeats, read)
    return tokens, 2 * parameters * tokens


def synchronise(target: TargetModel) -> None:
    """Wait for an accelerator; a CPU is never ahead."""
    if target.device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of patched ground truth; see the source.")
    parser.add_argument("--target", default="smollm2-135m", help="name, folder or hub id")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None, help="torch threads")
    parser.add_argument("--groups", type=int, default=100, help=f"groups of {MEMBERS} items")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; the best counts")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    folder = prepare_target(resolve_target(options.target))
    target = load_target_model(folder, device=options.device)
    found = item_rates(target, make_stems(target, options.groups), options.repeats)
    # before and after, so that a change of the machine's load shows in both sides
    before = matmul_rate(target, PREFILL[0] * PREFILL[1], options.repeats)
    tokens, operations = prefill_rate(target, options.repeats)
    after = matmul_rate(target, PREFILL[0] * PREFILL[1], options.repeats)
    found |= {
        "prefill_tokens_per_second": tokens,
        "prefill_gflops": operations / 1e9,
        "matmul_gflops": max(before, after) / 1e9,
        "prefill": operations / max(before, after),
        "threads": torch.get_num_threads(),
        "answer_tokens_at_most": MAX_ANSWER_TOKENS,
    }
    if options.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    for name, value in found.items():
        sys.stdout.write(f"{name:28} {value:12.3f}\n")
    sys.stdout.write(f"\nitems   {found['items']:.1f} x one trace an item (at least 6)\n")
    sys.stdout.write(f"prefill {found['prefill']:.2f} of the matmul rate (at least 0.70)\n")


if __name__ == "__main__":
    main()
