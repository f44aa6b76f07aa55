"""What tests of several files share with `benchmark/backends/injection/test_input_lens.py`."""

from __future__ import annotations

from tiny_models import D_MODEL, N_LAYERS

from introspect_bench.benchmark.backends.injection.spec import Maps

NEAREST = Maps(d_target=D_MODEL, n_layers=N_LAYERS, layers=(0, 1), nearest=True)
