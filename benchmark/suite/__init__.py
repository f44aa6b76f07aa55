"""Suites on disk: read strictly, checked by hash, frozen once."""
