"""Makes suites of activation patching."""
