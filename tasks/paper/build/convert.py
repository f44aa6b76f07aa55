"""One row of a published dataset to one measured query; what is wrong with a row is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers.decoders import ByteLevel

from ....benchmark.files import canonical_json
from ....benchmark.records import SLOT
from ....benchmark.suite.freeze import Measured
from ...activation_patching.task import COUNTERFACT
from .published import VECTOR, PaperTarget

HINT, SAE = "hint", "sae"  # kinds of all queries of ablations and of features
ANSWER_PREFIX = "Answer:"

measured = partial(Measured, clean_ids=None, outcome_ids=None, margin=None)
"""What others measured, as a query of ours."""


class RowError(ValueError):
    """A row cannot become a query; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A row as a query, with what else it says."""

    query: Measured
    group: str  # what queries of one group share, for clustered intervals
    claim: tuple[str, str]  # a text that the target read without intervention, and its output


def patching(row: Mapping[str, Any], number: int, target: PaperTarget, offset: int) -> Converted:
    """Convert a row of activation patching.

    `offset` is by how much a position exceeds its token's index in `input_tokens`: 1 where it
    counts a token at the beginning that the list lacks.
    """
    tokens, place = _list(row, "input_tokens", str), row["patch_position"] or {}
    layers = _list(row, "layer", int)
    if layers != list(range(layers[0], layers[-1] + 1)) or not 0 <= layers[0] <= layers[-1]:
        raise RowError(f"layer is {layers}, no block of consecutive layers")
    if layers[-1] >= target.n_layers:
        raise RowError(f"layer {layers[-1]} of a target with {target.n_layers}")
    clean, outcome = (_one(row, f"{name}_continuation") for name in ("original", "ablated"))
    if row["is_different"] is not (clean != outcome):
        raise RowError(f"is_different is {row['is_different']} of {clean!r} and {outcome!r}")
    position = place.get("orig_pos")
    if type(position) is not int or not 0 <= position - offset < len(tokens):
        raise RowError(f"orig_pos is {position}, there are {len(tokens)} tokens")
    if tokens[position - offset] != place["orig_text_token"]:
        raise RowError(
            f"token {position} is {tokens[position - offset]!r}, "
            f"orig_text_token {place['orig_text_token']!r}"
        )
    text, token = ByteLevel().decode(tokens), ByteLevel().decode([tokens[position - offset]])
    if SLOT in text:
        raise RowError("the text holds the mark of a vector's slot")
    origin = {"row": number, "text": row["counterfactual_text"]}
    origin |= {"position": place["counterfact_pos"], "token": place["counterfact_text_token"]}
    origin |= {name: row[name] for name in ("gt_original_target", "gt_counterfactual_target")}
    fields = {
        "text": text,
        "position": position,
        "n_tokens": len(tokens) + offset,
        "token": token,
        "layers": [layers[0], layers[-1]],
        "relation": COUNTERFACT,
    }
    query = measured(
        kind=COUNTERFACT,
        fields=fields,
        clean=clean,
        outcome=outcome,
        origin=origin,
        vector=float16(place[VECTOR], target.d_model),
    )
    return Converted(query=query, group=text, claim=(text, clean))


def ablation(row: Mapping[str, Any], number: int) -> Converted:
    """Convert a row of input ablations: the hint is what the prompt without it lacks."""
    names = ("hint_user_prompt", "original_user_prompt", "system_prompt", "hint")
    shown, without, system, hint = (_text(row, name) for name in names)
    start, end = removed_span(shown, without, hint)
    clean, outcome = _text(row, "random_hint_prediction"), _text(row, "zeroshot_prediction")
    if row["changed_pred_bc_hint"] not in (None, clean != outcome):
        raise RowError(
            f"changed_pred_bc_hint is {row['changed_pred_bc_hint']} of {clean!r} and {outcome!r}"
        )
    fields = {
        "text": shown,
        "chat": True,
        "system": system,
        "answer_prefix": ANSWER_PREFIX,
        "removed": shown[start:end],
        "span": [start, end],
        "answer_form": "letter",
        "relation": "mmlu",
    }
    query = measured(kind=HINT, fields=fields, clean=clean, outcome=outcome, origin={"row": number})
    return Converted(query=query, group=without, claim=(f"{system}\0{without}", outcome))


def feature(row: Mapping[str, Any], number: int, target: PaperTarget) -> Converted:
    """Convert a feature: its column of the decoder, and its labels, the chosen one first."""
    if "error" in row:
        raise RowError(row["error"])
    if not 0 <= row["layer"] < target.n_layers or row["vector"] is None:
        raise RowError(f"there is no feature {row['feature']} of layer {row['layer']}")
    labels, vector = row["labels"], float16(row["vector"], target.d_model)
    origin = {"row": number, "feature": row["feature"], "scores": row["scores"]}
    query = measured(
        kind=SAE,
        fields={"layer": row["layer"]},
        clean=labels[0],
        outcome=labels[0],
        origin=origin,
        vector=vector,
        descriptions=labels,
    )
    name = f"{row['layer']}/{row['feature']}"
    return Converted(query=query, group=name, claim=(name, canonical_json(labels)))


def removed_span(shown: str, without: str, hint: str) -> tuple[int, int]:
    """Find the one span that leads from a text to another; if it can be shifted, that of `hint`."""
    n = len(shown) - len(without)
    pairs = enumerate(zip(shown, without, strict=False))
    last = next((place for place, (a, b) in pairs if a != b), len(without))
    if n <= 0 or shown[:last] + shown[last + n :] != without:
        raise RowError("the prompt without the hint is not the one with it less a span")
    starts = [last]
    while starts[-1] > 0 and shown[starts[-1] - 1] == shown[starts[-1] - 1 + n]:
        starts.append(starts[-1] - 1)
    start = next((one for one in starts if shown[one : one + n].strip() == hint.strip()), last)
    if not shown[start : start + n].strip():
        raise RowError("what the prompt without the hint lacks is blank")
    return start, start + n


def fits(row: Mapping[str, Any], offset: int) -> bool:
    """Whether the token at a row's position is the one that it names; see `patching`."""
    place, tokens = row["patch_position"] or {}, row["input_tokens"] or []
    index = (place.get("orig_pos") or 0) - offset
    return 0 <= index < len(tokens) and bool(tokens[index] == place.get("orig_text_token"))


def float16(vector: Any, width: int) -> npt.NDArray[np.float16]:
    """Return a vector as suites hold it, or say why that cannot be."""
    if vector is None or vector.shape != (width,) or not np.isfinite(vector).all():
        raise RowError(f"the vector is not {width} finite numbers")
    with np.errstate(over="ignore"):
        found: npt.NDArray[np.float16] = vector.astype(np.float16)
    if not np.isfinite(found).all():
        raise RowError(f"the vector has {np.abs(vector).max():g}, more than float16 holds")
    return found


def _list(row: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    values = row[name]
    if not values or not all(type(one) is kind for one in values):
        raise RowError(f"{name} is empty or lacks a value")
    return list(values)


def _one(row: Mapping[str, Any], name: str) -> str:
    values = _list(row, name, str)
    if len(values) != 1 or not values[0]:
        raise RowError(f"{name} is {values!r:.80}, expected one token")
    return str(values[0])


def _text(row: Mapping[str, Any], name: str) -> str:
    if not isinstance(row[name], str) or not (row[name] or name == "system_prompt"):
        raise RowError(f"{name} is empty")
    return str(row[name])
