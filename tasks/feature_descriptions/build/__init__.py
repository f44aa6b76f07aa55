"""Makes suites of feature descriptions."""
