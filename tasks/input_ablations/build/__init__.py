"""Makes suites of input ablations."""
