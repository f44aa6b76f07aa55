"""Write the text of a suite's tokens for the page: `python docs/pieces.py smollm2-135m`."""

from __future__ import annotations

import gzip
import json
import sys

import numpy as np
from transformers import AutoTokenizer

from introspect_bench.benchmark.models.fetch import prepare_target
from introspect_bench.benchmark.models.targets import resolve_target
from introspect_bench.benchmark.suite.features import arrays
from introspect_bench.benchmark.suite.select import tasks_of
from introspect_bench.leaderboard.site.shades import PIECES


def main(name: str) -> None:
    """Write every token of the windows of the test split, each decoded alone."""
    (suite,) = (suite for _, suite in tasks_of(name) if suite.describes)
    tokenizer = AutoTokenizer.from_pretrained(prepare_target(resolve_target(name)))
    ids = np.unique(arrays(suite, "test", "windows")["ids"]).tolist()
    texts = tokenizer.batch_decode([[one] for one in ids], clean_up_tokenization_spaces=False)
    data = json.dumps(dict(zip(map(str, ids), texts, strict=True)), ensure_ascii=False).encode()
    sha = suite.manifest["target"]["tokenizer_sha256"]
    (PIECES / f"pieces-{sha[:8]}.json.gz").write_bytes(gzip.compress(data, mtime=0))


if __name__ == "__main__":
    main(sys.argv[1])
