"""Small datasets in exactly the schema of the paper's published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

WIDTH = 4096
TEXT, LONG = pyarrow.string(), pyarrow.int64()
PATCH = pyarrow.struct(
    [
        ("counterfact_pos", LONG),
        ("counterfact_text_token", TEXT),
        ("intervention_vector", pyarrow.list_(pyarrow.float32())),
        ("orig_pos", LONG),
        ("orig_text_token", TEXT),
    ]
)
PATCHING = pyarrow.schema(
    [
        ("layer", pyarrow.list_(pyarrow.int32())),
        ("input_tokens", pyarrow.list_(TEXT)),
        ("original_continuation", pyarrow.list_(TEXT)),
        ("ablated_continuation", pyarrow.list_(TEXT)),
        ("is_different", pyarrow.bool_()),
        ("patch_position", PATCH),
        ("counterfactual_text", TEXT),
        ("gt_original_target", TEXT),
        ("gt_counterfactual_target", TEXT),
        ("layer_hashable", pyarrow.list_(pyarrow.int32())),
        ("token_type", TEXT),
        ("__index_level_0__", LONG),
    ]
)
ABLATIONS = pyarrow.schema(
    [
        ("index", LONG),
        ("question", TEXT),
        ("choices", pyarrow.list_(TEXT)),
        ("correct_answer", TEXT),
        ("zeroshot_prediction", TEXT),
        ("random_hint_prediction", TEXT),
        ("hint_token_ids", pyarrow.list_(LONG)),
        ("original_prompt_full", TEXT),
        ("hint_prompt_full", TEXT),
        ("system_prompt", TEXT),
        ("original_user_prompt", TEXT),
        ("hint_user_prompt", TEXT),
        ("hint", TEXT),
        ("changed_pred_bc_hint", pyarrow.bool_()),
        ("ablation_prompt", TEXT),
    ]
)
SYSTEM = "Answer only with a letter, as in `Answer: x`."
TOKENS = ["<|im_start|>", "user", "Ċ", "S", "Ã£o", "ĠPaulo", "Ġis", "<|im_end|>", "Ċ"]


def vector(seed: int) -> list[float]:
    """Numbers that bfloat16 holds, as published ones are."""
    return list((np.random.default_rng(seed).integers(-99, 99, WIDTH) / 8).tolist())


def patching(number: int, **changes: Any) -> dict[str, Any]:
    """A row; every other one is changed, and the vectors differ."""
    changed = bool(number % 2)
    place = {
        "counterfact_pos": 36,
        "counterfact_text_token": "ĊĊ",
        "intervention_vector": vector(number),
        "orig_pos": 5,
        "orig_text_token": "ĠPaulo",
    }
    row = {
        "layer": list(range(27, 36)),
        "input_tokens": ["<|im_start|>", str(number // 4), *TOKENS[2:]],
        "original_continuation": ["P"],
        "ablated_continuation": [" unknown" if changed else "P"],
        "is_different": changed,
        "patch_position": place | changes.pop("place", {}),
        "counterfactual_text": "<|im_start|>user Yamaha<|im_end|>",
        "gt_original_target": "Porsche",
        "gt_counterfactual_target": "Yamaha",
        "layer_hashable": list(range(27, 36)),
        "token_type": "relation_suffix",
        "__index_level_0__": number,
    }
    return row | changes


def ablation(number: int, **changes: Any) -> dict[str, Any]:
    """A row; every other one is changed, every third one does not say so."""
    changed = bool(number % 2)
    asked, hint = f"Question {number}?\nA. a\nB. b\nC. c\nD. d", "Hint: B"
    row = {
        "index": number,
        "question": f"Question {number}?",
        "choices": ["a", "b", "c", "d"],
        "correct_answer": "A",
        "zeroshot_prediction": "A" if changed else "B",
        "random_hint_prediction": "B",
        "hint_token_ids": [1, 2],
        "original_prompt_full": f"{SYSTEM}{asked}",
        "hint_prompt_full": f"{SYSTEM}{asked}\n{hint}",
        "system_prompt": SYSTEM,
        "original_user_prompt": asked,
        "hint_user_prompt": f"{asked}\n{hint}",
        "hint": hint,
        "changed_pred_bc_hint": changed if number % 3 else None,
        "ablation_prompt": f"{asked}\n{hint}",
    }
    return row | changes


def write_parquet(
    folder: Path, splits: Mapping[str, Sequence[Mapping[str, Any]]], schema: pyarrow.Schema
) -> Path:
    """Write splits as a dataset repository holds them."""
    (folder / "data").mkdir(parents=True)
    for split, rows in splits.items():
        table = pyarrow.Table.from_pylist(list(rows), schema=schema)
        pyarrow.parquet.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder
