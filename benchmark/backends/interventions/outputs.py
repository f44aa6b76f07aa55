"""What the target model answers, with its margin: greedy text up to a delimiter, or a letter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from ...errors import UsageError
from ..models.batch import check_finite, pad
from ..models.target_model import TargetModel
from .trace import Branch, Stem, patched_forward, prompt_name, start, step

DELIMITERS = frozenset('.,;:!?()[]"\n')  # an answer ends before the first of these

MAX_ANSWER_TOKENS = 6  # longest answer, in target tokens

LETTERS = ("A", "B", "C", "D")  # options of a multiple-choice question


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One measured output of the target."""

    text: str
    """Answer text without surrounding space, never cut inside a character; empty if the target says
    nothing. It holds U+FFFD only where the target itself wrote invalid bytes."""
    ids: tuple[int, ...]  # tokens of the answer, and of the delimiter that ended it if any
    margin: float  # smallest gap between the two largest logits over `ids`, in logits


def cut(target: TargetModel, ids: Sequence[int]) -> tuple[str, bool]:
    """Answer of generated tokens, cut at a whole character, and whether something ended it."""
    stop = target.tokenizer.eos_token_id
    ended = stop in ids
    kept = list(ids)[: list(ids).index(stop) if ended else None]
    text = target.tokenizer.decode(
        kept, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    text = text.rstrip("\ufffd").lstrip(" ")
    for index, character in enumerate(text):
        if character in DELIMITERS:
            return text[:index].strip(), True
    return text.strip(), ended


def top2(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Arg-max (rows,) and gap between the two largest (rows,) of logits (rows, vocabulary)."""
    best = logits.topk(2, dim=-1)
    return best.indices[:, 0], best.values[:, 0] - best.values[:, 1]


def greedy(target: TargetModel, stems: Sequence[Stem]) -> list[Output]:
    """Greedy answers of all branches, in order, stem by stem."""
    flow = start(target, stems)
    rows = flow.logits.shape[0]
    ids: list[list[int]] = [[] for _ in range(rows)]
    margins = [float("inf")] * rows
    alive = list(range(rows))
    for turn in range(MAX_ANSWER_TOKENS):
        tokens, gaps = top2(flow.logits)
        going = []
        for place, row in enumerate(alive):
            ids[row].append(int(tokens[place]))
            margins[row] = min(margins[row], float(gaps[place]))
            if not cut(target, ids[row])[1]:
                going.append(place)
        if not going or turn == MAX_ANSWER_TOKENS - 1:
            break
        keep = torch.tensor(going, device=tokens.device)
        flow = step(target, flow, tokens, keep)
        alive = [alive[place] for place in going]
    return [
        Output(text=cut(target, row)[0], ids=tuple(row), margin=margin)
        for row, margin in zip(ids, margins, strict=True)
    ]


def letter_tokens(target: TargetModel, prefix: str) -> tuple[int, ...]:
    """Token of each letter after an answer prefix such as `The answer is`."""
    plain = target.tokenizer(prefix, add_special_tokens=False)["input_ids"]
    tokens = []
    for letter in LETTERS:
        ids = target.tokenizer(f"{prefix} {letter}", add_special_tokens=False)["input_ids"]
        if ids[:-1] != plain:
            raise UsageError(f"the tokenizer has no single token for ' {letter}' after '{prefix}'")
        tokens.append(ids[-1])
    return tuple(tokens)


def letters(target: TargetModel, stems: Sequence[Stem], tokens: Sequence[int]) -> list[Output]:
    """Letter with the largest last-position logit among four, for all branches in order."""
    return _letters(start(target, stems).logits[:, list(tokens)], tokens)


def _letters(logits: torch.Tensor, tokens: Sequence[int]) -> list[Output]:
    best, gaps = top2(logits)
    return [
        Output(text=LETTERS[i], ids=(tokens[i],), margin=gap)
        for i, gap in zip(best.tolist(), gaps.tolist(), strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A prompt with its patch and the output to be confirmed by a single plain pass."""

    ids: tuple[int, ...]  # prompt tokens
    position: int = 0  # patched token, if `branch.layers` is set
    branch: Branch  # carries the patch; its own ids are not used here
    output: Output  # what was measured before


def confirm(
    target: TargetModel,
    probes: Sequence[Probe],
    *,
    side: str = "left",
    letter_ids: Sequence[int] = (),
) -> list[Output]:
    """Measure outputs again without cache or stems, all in one batch, padded on the `side` named.

    The answer's own tokens are fed after the prompt. A greedy continuation is the same if and only
    if each is the arg-max before it; where one is not, the output is re-read from the tokens up to
    it. With `letter_ids`, outputs are letters, compared among these tokens only.
    """
    rows = [(*probe.ids, *probe.output.ids[:-1]) for probe in probes]
    batch = pad(rows, target, side=side)
    width = batch.ids.shape[1]
    first = [width - len(row) if side == "left" else 0 for row in rows]
    asks = [
        [offset + len(probe.ids) - 1 + turn for turn in range(len(probe.output.ids))]
        for offset, probe in zip(first, probes, strict=True)
    ]
    low = min(min(ask) for ask in asks)
    high = max(max(ask) for ask in asks)
    inputs = batch.inputs(logits_to_keep=torch.arange(low, high + 1, device=target.device))
    columns = [offset + probe.position for offset, probe in zip(first, probes, strict=True)]
    logits, _ = patched_forward(target, inputs, [probe.branch for probe in probes], columns)
    outputs = []
    for row, (probe, ask) in enumerate(zip(probes, asks, strict=True)):
        own = logits[row, [place - low for place in ask]].float()  # (n_answer_tokens, vocabulary)
        check_finite(own, partial(_place, target, probe))
        if letter_ids:
            outputs += _letters(own[:, list(letter_ids)], letter_ids)
        else:
            outputs.append(_reread(target, probe.output, own))
    return outputs


def _place(target: TargetModel, probe: Probe, turn: int) -> str:
    return prompt_name(target, (*probe.ids, *probe.output.ids[:turn]), probe.branch)


def _reread(target: TargetModel, output: Output, logits: torch.Tensor) -> Output:
    tokens, gaps = top2(logits)
    for turn, (token, fed) in enumerate(zip(tokens.tolist(), output.ids, strict=True)):
        if token != fed:
            ids = (*output.ids[:turn], token)
            text, ended = cut(target, ids)
            same = ended and turn == len(output.ids) - 1 and text == output.text
            margin = float(gaps[: turn + 1].min())
            return Output(text=text if same else f"{text}…", ids=ids, margin=margin)
    return Output(text=output.text, ids=output.ids, margin=float(gaps.min()))


def batches(stems: Sequence[Stem], max_rows: int) -> Iterator[list[int]]:
    """Indices of stems in batches of at most `max_rows` branches, stems of like length together."""
    order = sorted(
        range(len(stems)),
        key=lambda i: (max(len(b.ids) for b in stems[i].branches), len(stems[i].ids), i),
    )
    batch: list[int] = []
    rows = 0
    for index in order:
        size = len(stems[index].branches)
        if batch and rows + size > max_rows:
            yield batch
            batch, rows = [], 0
        batch.append(index)
        rows += size
    if batch:
        yield batch
