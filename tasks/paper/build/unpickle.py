"""Turns pickles of strangers into arrays and JSON, in a process of its own that imports no more.

Run as `python -I unpickle.py FOLDER SPLIT LIMIT OUT`. Only tensors, arrays, dicts, lists, tuples,
texts and numbers are read: any other name in a pickle is refused before it is looked up. Writes
`OUT/vectors.safetensors`, float32 (d_target,) by number of the feature, and `OUT/labels.json`, a
list of `layer`, `feature`, `labels` (the chosen one first) and `scores`, or of `error`.
"""

import collections
import json
import math
import pickle  # noqa: TID251  the published archives hold nothing else
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file


def _storage(data: bytes) -> Any:
    import torch  # late, here and below: it takes seconds

    return torch.load(BytesIO(data), map_location="cpu", weights_only=True)  # noqa: TID251  tensors alone


def _tensor(*parts: Any) -> Any:
    import torch

    rebuild: Any = torch._utils._rebuild_tensor_v2
    return rebuild(*parts)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _scalar(dtype: Any, data: bytes) -> Any:
    return np.frombuffer(data, dtype=_plain(dtype))[0]


def _array(kind: Any, shape: Any, code: Any) -> Any:  # noqa: ARG001  what a pickle says
    return np.ndarray(shape, dtype=np.dtype(code))


def _buffer(data: Any, dtype: Any, shape: Any, order: Any) -> Any:
    return np.frombuffer(data, dtype=_plain(dtype)).reshape(shape, order=order)


def _plain(dtype: Any) -> Any:
    if dtype.hasobject:
        raise pickle.UnpicklingError("an array of objects")
    return dtype


_NUMPY = ("numpy.core", "numpy._core")  # before version 2, and since
ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(f"{core}.multiarray", "_reconstruct"): _array for core in _NUMPY},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _NUMPY},
    **{(f"{core}.numeric", "_frombuffer"): _buffer for core in _NUMPY},
    ("_codecs", "encode"): lambda text, code: text.encode({"latin1": "latin-1"}[code]),
}


class Restricted(pickle.Unpickler):
    """Knows the names above and no others."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is none of tensors, arrays and numbers")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse what lies outside of the pickle."""
        raise pickle.UnpicklingError(f"persistent id {str(pid)[:40]!r}")


def read(path: Path) -> Any:
    """Read a pickle."""
    with path.open("rb") as stream:
        try:
            return Restricted(stream).load()
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            raise SystemExit(f"{path}: refused: {type(error).__name__}: {said}") from error


def labels_of(one: Any) -> dict[str, Any]:
    """Read `((layer, feature), label)` of a published explanation."""
    try:
        (layer, feature), said = one
        chosen, others = said["chosen_label"], list(said["all_labels"])
        scores = dict(said.get("all_label_scores") or {})
        texts = list(dict.fromkeys([chosen, *others]))
        if not all(isinstance(text, str) and text for text in texts):
            raise TypeError("a label is empty or no text")
        known = {str(k): float(v) for k, v in scores.items() if v is not None}
        kept = {text: score for text, score in known.items() if math.isfinite(score)}
        return {"layer": int(layer), "feature": int(feature), "labels": texts, "scores": kept}
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def convert(folder: Path, split: str, limit: int, out: Path) -> None:
    """Write the first `limit` explained features of a split."""
    path = folder / "explanations" / f"{split}_explanations.pkl"
    explained = read(path)
    if not isinstance(explained, list | tuple):
        raise SystemExit(f"{path}: no list of explanations")
    import torch

    rows = [labels_of(one) for one in explained[:limit]]
    vectors: dict[str, Any] = {}
    for layer in sorted({row["layer"] for row in rows if "layer" in row}):
        source = folder / "features" / f"layer_{layer}.pkl"
        if not source.is_file():
            raise SystemExit(f"{source} is missing")
        table = torch.as_tensor(read(source))  # (d_target, n_features)
        for number, row in enumerate(rows):
            if row.get("layer") == layer and 0 <= row["feature"] < table.shape[-1]:
                # a copy, as safetensors writes the memory behind a column as if it were a row
                vectors[str(number)] = table[:, row["feature"]].float().contiguous().numpy()
    save_file(vectors, out / "vectors.safetensors")
    (out / "labels.json").write_text(json.dumps(rows), "utf-8")


if __name__ == "__main__":
    convert(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
