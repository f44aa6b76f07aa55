"""What the target model answers: greedy text up to a delimiter, or one of four letters.

Owns how an output is read from a target, with its margin. Knows nothing of tasks or files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ...errors import UsageError
from ..models.target_model import TargetModel
from .trace import Branch, Stem, pad, patched_forward, position_ids, start, step

DELIMITERS = frozenset('.,;:!?()[]"\n')
"""An answer ends before the first of these."""

MAX_ANSWER_TOKENS = 6
"""Longest answer, in target tokens."""

LETTERS = ("A", "B", "C", "D")
"""Options of a multiple-choice question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One measured output of the target."""

    text: str
    """Answer text without surrounding space, never cut inside a character; empty if the target says
    nothing. It holds U+FFFD only where the target itself wrote invalid bytes."""
    ids: tuple[int, ...]
    """Tokens of the answer, and of the delimiter that ended it if one was generated."""
    margin: float
    """Smallest gap between the two largest logits over `ids`, in logits."""


def cut(target: TargetModel, ids: Sequence[int]) -> tuple[str, bool]:
    """Answer text of generated tokens, and whether a delimiter or end of text ended it.

    Bytes of a character that is not complete yet are left out, so the text never holds U+FFFD from
    a cut token.
    """
    stop = {target.tokenizer.eos_token_id}
    kept = list(ids)
    ended = False
    for index, token in enumerate(kept):
        if token in stop:
            kept, ended = kept[:index], True
            break
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
    """Token of each letter after an answer prefix such as `The answer is`.

    Raises:
        UsageError: the tokenizer does not give each letter one token of its own there.
    """
    plain = target.tokenizer(prefix, add_special_tokens=False)["input_ids"]
    found = []
    for letter in LETTERS:
        ids = target.tokenizer(f"{prefix} {letter}", add_special_tokens=False)["input_ids"]
        if ids[:-1] != plain:
            raise UsageError(f"the tokenizer has no single token for ' {letter}' after '{prefix}'")
        found.append(ids[-1])
    return tuple(found)


def letters(target: TargetModel, stems: Sequence[Stem], tokens: Sequence[int]) -> list[Output]:
    """Letter with the largest last-position logit among four, for all branches in order."""
    logits = start(target, stems).logits[:, list(tokens)]
    return _letters(logits, tokens)


def _letters(logits: torch.Tensor, tokens: Sequence[int]) -> list[Output]:
    best, gaps = top2(logits)
    return [
        Output(text=LETTERS[i], ids=(tokens[i],), margin=gap)
        for i, gap in zip(best.tolist(), gaps.tolist(), strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A whole prompt with its patch and the output to be confirmed by a single plain pass."""

    ids: tuple[int, ...]
    """Prompt tokens."""
    position: int = 0
    """Patched token, if `branch.layers` is set."""
    branch: Branch
    """Carries the patch; its own ids are not used here."""
    output: Output
    """What was measured before."""


def confirm(
    target: TargetModel,
    probes: Sequence[Probe],
    *,
    side: str = "left",
    letter_ids: Sequence[int] = (),
) -> list[Output]:
    """Measure outputs again without cache or stems.

    The answer's own tokens are fed after the prompt and the arg-max before each is compared.

    A greedy continuation is the same if and only if each fed token is the arg-max before it; where
    one is not, the output is re-read from the tokens up to it. All probes form one padded batch.

    Args:
        target: the target model.
        probes: prompts with their earlier outputs.
        side: `left` or `right` padding.
        letter_ids: if given, outputs are letters, compared among these tokens only.
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
    inputs: dict[str, object] = {
        "input_ids": batch.ids,
        "attention_mask": batch.mask,
        "position_ids": position_ids(batch.mask),
        "use_cache": False,
        "logits_to_keep": torch.arange(low, high + 1, device=target.device),
    }
    columns = [offset + probe.position for offset, probe in zip(first, probes, strict=True)]
    logits, _ = patched_forward(target, inputs, [probe.branch for probe in probes], columns)
    found = []
    for row, (probe, ask) in enumerate(zip(probes, asks, strict=True)):
        own = logits[row, [place - low for place in ask]].float()  # (n_answer_tokens, vocabulary)
        if letter_ids:
            found.extend(_letters(own[:, list(letter_ids)], letter_ids))
            continue
        found.append(_reread(target, probe.output, own))
    return found


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
    """Indices of stems in batches of at most `max_rows` branches, stems of like length together.

    The order depends on the stems alone, so results do not depend on what was computed before.
    """
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
