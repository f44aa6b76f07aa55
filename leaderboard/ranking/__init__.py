"""Places on a board."""
