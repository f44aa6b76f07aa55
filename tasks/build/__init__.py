"""Makes suites: the part that all tasks share."""
