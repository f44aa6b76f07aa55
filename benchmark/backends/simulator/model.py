"""Simulator: from a description and windows to the activation it predicts at every token.

A frozen simulator is a target with a LoRA adapter and a linear head of 11 classes on its last
hidden state; the expected class, 0 to 10, is the activation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ... import files
from ...errors import IntegrityError, UsageError
from ..injection.hooks import decoder_layers
from ..models.batch import check_finite
from ..models.devices import usable_device
from ..models.pretrained import (
    ADAPTER,
    WEIGHTS,
    load_model,
    load_tokenizer,
    merge_adapter,
    weights_sha256,
)
from .examples import PROMPT_VERSION, Floats, Ids, Packed, Wording, pack

CLASSES = 11  # classes of the head: activations 0 to 10
SCHEMA = "introspect-bench/simulator/1"  # schema of `RECORD`
RECORD = "simulator.json"  # the file that describes a simulator and pins its parts
HEAD = "head.safetensors"  # the head's file: weight (11, d_model) and bias (11,)

_TOKENS_TOGETHER = {"cpu": 2048}  # in one pass, by kind of device

Halves = npt.NDArray[np.float16]


def class_logits(model: Any, head: nn.Linear, packed: Packed) -> Tensor:
    """Logits of the 11 classes at the windows' tokens, float32 (rows, w * width, 11)."""
    sliding = getattr(model.config.get_text_config(), "sliding_window", None)
    if sliding is not None and packed.reach > sliding:
        raise UsageError(
            f"{type(model).__name__} has layers that see {sliding} tokens, a row needs "
            f"{packed.reach}: it cannot be a simulator"
        )
    hidden = model.base_model(
        input_ids=packed.ids,
        attention_mask=packed.mask,
        position_ids=packed.positions,
        use_cache=False,
    ).last_hidden_state
    logits: Tensor = head(hidden[:, packed.first :].float())
    return logits


class Simulator:
    """A frozen simulator."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        head: nn.Linear,
        *,
        name: str,
        sha256: str,
        contrast: bool = False,
    ) -> None:
        """Wrap a merged model; `contrast` predicts what a description adds to an empty one."""
        self.contrast, self.name, self.sha256 = contrast, name, sha256
        self._model = model.eval().requires_grad_(False)
        self._head = head.requires_grad_(False)
        self._wording = Wording(tokenizer)

    def predict(
        self, descriptions: Sequence[str], windows: Ids, *, silent: Halves | None = None
    ) -> Floats:
        """Predict activations 0 to 10 of windows, int (n, w, width), from n untrusted descriptions.

        A simulator with `contrast` takes off what it predicts without a description (`silent`, if
        known), so that what is common to all features earns nothing; below 0 counts as 0.
        """
        if windows.ndim != 3 or len(descriptions) != len(windows) or not windows[0:1].size:
            raise UsageError(
                f"{len(descriptions)} descriptions, windows {windows.shape}: expected windows "
                "(n, w, width) for n descriptions"
            )
        predicted = self._predict(descriptions, windows)
        if not self.contrast:
            return predicted
        without = self.silent(windows) if silent is None else silent
        return np.maximum(predicted - without.astype(np.float32), np.float32(0))

    def silent(self, windows: Ids) -> Halves:
        """Return what is predicted without a description, float16 (n, w, width), 0 to 10."""
        return self._predict([""] * len(windows), windows).astype(np.float16)

    def _predict(self, descriptions: Sequence[str], windows: Ids) -> Floats:
        prefixes = [self._wording.prefix(text) for text in descriptions]
        predicted = np.zeros(windows.shape, dtype=np.float32)
        for rows in self._passes(prefixes, windows.shape[1] * windows.shape[2]):
            predicted[rows] = self._pass([prefixes[row] for row in rows], windows[rows])
        return predicted

    def _passes(self, prefixes: Sequence[Sequence[int]], n_tokens: int) -> Iterator[list[int]]:
        """Rows of each forward pass; similar lengths together, so that little is padded."""
        budget = _TOKENS_TOGETHER.get(self._model.device.type, 65536)
        rows: list[int] = []
        for row in sorted(range(len(prefixes)), key=lambda row: len(prefixes[row])):
            if rows and (len(rows) + 1) * (len(prefixes[row]) + n_tokens) > budget:
                yield rows
                rows = []
            rows.append(row)
        yield rows

    def _pass(self, prefixes: Sequence[Sequence[int]], windows: Ids) -> Floats:
        model = self._model
        packed = pack(prefixes, windows, device=model.device, dtype=model.dtype)
        with torch.inference_mode():
            logits = class_logits(model, self._head, packed)
            check_finite(logits, lambda row: f"simulator {self.name}, row {row + 1} of a batch")
            shares = logits.softmax(dim=-1)
            expected = shares @ torch.arange(CLASSES, dtype=shares.dtype, device=shares.device)
        array: Floats = expected.clamp(0, CLASSES - 1).cpu().numpy().reshape(windows.shape)
        return array


def load_simulator(
    folder: Path,
    *,
    name: str | None = None,
    sha256: str | None = None,
    base: Path,
    device: str = "cpu",
) -> Simulator:
    """Load a simulator in float32 on its `base`; all parts must be what `simulator.json` says."""
    where = usable_device(device)
    record = files.read_json(folder / RECORD, sha256=sha256)
    _check_record(record, folder, name)
    model = load_model(base, torch.float32)
    if weights_sha256(model) != record["base"]["sha256"]:
        raise IntegrityError(f"{base}: not the weights that {folder / RECORD} was made with")
    truncate(model, record["depth"])
    with torch.random.fork_rng(devices=[]):  # PEFT draws weights before it loads others
        model = merge_adapter(model, folder).to(where)
    return Simulator(
        model,
        load_tokenizer(base),
        _load_head(folder / HEAD, model.config.get_text_config().hidden_size).to(where),
        name=record["name"],
        sha256=files.sha256_file(folder / RECORD),
        contrast=record.get("contrast", False),
    )


def truncate(model: Any, depth: int) -> None:
    """Drop the decoder layers from `depth` on; the final norm reads the last that is left."""
    layers = decoder_layers(model)
    if not 1 <= depth <= len(layers):
        raise UsageError(f"depth {depth}: the base model has {len(layers)} layers")
    del layers[depth:]
    model.config.get_text_config().num_hidden_layers = depth


def make_head(width: int) -> nn.Linear:
    """A head without values, drawing no random numbers."""
    return nn.Linear(width, CLASSES, device="meta").to_empty(device="cpu")


def _check_record(record: Mapping[str, Any], folder: Path, name: str | None) -> None:
    path = folder / RECORD
    if record.get("schema") != SCHEMA:
        raise IntegrityError(f"{path}: expected schema {SCHEMA}")
    base, parts = record.get("base"), record.get("files")
    if (
        not isinstance(base, dict)
        or not all(isinstance(base.get(key), str) for key in ("name", "sha256"))
        or not isinstance(record.get("name"), str)
        or not isinstance(record.get("depth"), int)
        or not isinstance(record.get("contrast", False), bool)
        or not isinstance(parts, dict)
        or set(parts) != {ADAPTER, WEIGHTS, HEAD}
    ):
        raise IntegrityError(f"{path}: not the record of a simulator; install it again")
    if name is not None and record["name"] != name:
        raise IntegrityError(f"{path}: this is {record['name']!r}, expected {name!r}")
    if record.get("prompt_version") != PROMPT_VERSION:
        raise UsageError(f"{path}: made for another wording of the prompt; train it again")
    for part, expected in parts.items():
        if files.sha256_file(folder / part) != expected:
            raise IntegrityError(f"{folder / part}: not the part that {path} names; get it again")


def _load_head(path: Path, width: int) -> nn.Linear:
    head = make_head(width)
    with files.reading(path, f"a head of {CLASSES} classes"):
        head.load_state_dict(load_file(path))
    return head
