"""The simulator of arXiv:2511.08579: a language model that reads a description and then a text.

Input: the description in `PREFIX`, tokenised with the token for the beginning of text, then the
text's own token ids; the ids of four special tokens are replaced everywhere by those of tokens with
doubled bars, and the same tokens written out in a description are doubled as text before that.
Output: at each token of the text, the logits of the first eleven ids of the vocabulary are those of
the activations 0 to 10; the prediction is their mean under softmax. Source: `FinetunedSimulator` of
the paper's code at commit f702be5.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ... import files
from ...cache import Progress, silent
from ...errors import IntegrityError, UsageError
from ...models.targets import locate, weight_files
from ..explainer.load import find_model
from ..models.batch import Padded, check_finite, pad
from ..models.devices import DTYPES, usable_device
from ..models.pretrained import load_model, load_tokenizer

HUB_ID = "Transluce/features_explain_llama3.1_8b_simulator"  # of Llama-3.1-8B
PREFIX = "## Neuron Description: {}\n\n ## Input: "  # what is read before a text
SPECIAL = ("begin_of_text", "start_header_id", "end_header_id", "eot_id")
"""Names of the special tokens that are replaced: `<|NAME|>` by `<||NAME||>`."""
PAD = "<PAD>"  # fills up on the left; its id is before those of the doubled tokens
LEVELS = 11  # activations told apart, 0 to 10: the first ids of the vocabulary
BATCH_SIZE = 32  # texts read together


class PaperSimulator:
    """The paper's simulator with the tokenizer it was trained with."""

    def __init__(
        self, model: Any, tokenizer: Any, *, name: str, sha256: str, batch_size: int = BATCH_SIZE
    ) -> None:
        """Take a Llama and its tokenizer, which gets the added tokens."""
        if model.config.model_type != "llama":
            raise UsageError(f"simulator {name}: a {model.config.model_type}, expected a llama")
        self.name, self.sha256 = name, sha256
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        single = [f"<|{part}|>" for part in SPECIAL]
        double = [f"<||{part}||>" for part in SPECIAL]
        self._vocabulary: dict[str, int] = tokenizer.get_vocab()  # before anything is added
        if lacking := [token for token in single if token not in self._vocabulary]:
            raise UsageError(f"simulator {name}: its tokenizer has no {lacking[0]}")
        tokenizer.add_tokens([PAD, *double], special_tokens=True)
        self._pad, *doubled = tokenizer.convert_tokens_to_ids([PAD, *double])
        rows = model.get_input_embeddings().weight.shape[0]
        if max(self._pad, *doubled) >= rows:
            raise IntegrityError(
                f"simulator {name}: {rows} rows of embeddings, but the added tokens need "
                f"{max(self._pad, *doubled) + 1}; these are not the weights of this tokenizer"
            )
        self._replaced = dict(zip(tokenizer.convert_tokens_to_ids(single), doubled, strict=True))
        self._texts = dict(zip(single, double, strict=True))

    def check_target(self, tokenizer: Any) -> None:
        """Refuse a target whose token ids mean something else to this simulator."""
        added = {PAD, *self._texts.values()}
        ours = {token: i for token, i in self._vocabulary.items() if token not in added}
        if tokenizer.get_vocab() != ours:
            raise UsageError(
                f"simulator {self.name}: the target's vocabulary is another; texts are handed over "
                "as token ids, so this simulator is for its own target only"
            )

    def prefix_ids(self, description: str) -> list[int]:
        """Token ids of a description in `PREFIX`, special tokens replaced."""
        for single, double in self._texts.items():
            description = description.replace(single, double)
        ids: list[int] = self._tokenizer(PREFIX.format(description))["input_ids"]
        return self._safe(ids)

    def rows(self, descriptions: Sequence[str], windows: npt.NDArray[np.integer]) -> Padded:
        """Inputs of descriptions with one window each, int (n, width), padded on the left."""
        inputs = [
            self.prefix_ids(description) + self._safe(window)
            for description, window in zip(descriptions, windows.tolist(), strict=True)
        ]
        return pad(inputs, self._model, fill=self._pad)

    def predict(
        self, descriptions: Sequence[str], windows: npt.NDArray[np.integer]
    ) -> npt.NDArray[np.float32]:
        """Expected activation, 0 to 10, of every token of windows, int (n, n_windows, width)."""
        if windows.ndim != 3 or len(windows) != len(descriptions):
            raise ValueError(f"{len(descriptions)} descriptions, windows {windows.shape}")
        n, n_windows, width = windows.shape
        flat = windows.reshape(n * n_windows, width)
        expected = np.empty(flat.shape, dtype=np.float32)
        for start in range(0, len(flat), self._batch_size):
            part = slice(start, min(start + self._batch_size, len(flat)))
            said = [descriptions[row // n_windows] for row in range(part.start, part.stop)]
            expected[part] = self._expected(self.rows(said, flat[part]), width)
        return expected.reshape(windows.shape)

    def _expected(self, rows: Padded, width: int) -> npt.NDArray[np.float32]:
        device = self._model.device
        with torch.inference_mode():
            states = self._model.base_model(**rows.inputs()).last_hidden_state[:, -width:]
            head = self._model.get_output_embeddings().weight[:LEVELS]  # (11, d_model)
            logits = (states @ head.T).float()  # (n_rows, width, 11)
            check_finite(logits, lambda row: f"simulator {self.name}, row {row + 1} of a batch")
            odds = torch.softmax(logits, dim=-1)
            mean = odds @ torch.arange(LEVELS, dtype=torch.float32, device=device)
        expected: npt.NDArray[np.float32] = mean.cpu().numpy()
        return expected

    def _safe(self, ids: Sequence[int]) -> list[int]:
        return [self._replaced.get(token, token) for token in ids]


def load_paper_simulator(
    model: str = HUB_ID,
    *,
    tokenizer: Path | None = None,
    device: str = "cpu",
    dtype: str = "bfloat16",
    progress: Progress = silent,
) -> PaperSimulator:
    """Load the simulator; the paper takes the target's `tokenizer`, here the model's if None."""
    where = usable_device(device)
    if dtype not in DTYPES:
        raise UsageError(f"unknown dtype '{dtype}': expected {', '.join(DTYPES)}")
    folder = find_model(model, progress=progress).directory
    words = load_tokenizer(tokenizer or folder)
    read = {"weights": weight_files(folder), "dtype": dtype, "vocabulary": words.get_vocab()}
    return PaperSimulator(
        load_model(folder, DTYPES[dtype]).to(where),
        words,
        name=folder.resolve().name if isinstance(locate(model), Path) else model,
        sha256=files.sha256_bytes(files.canonical_json(read).encode()),
    )
