"""The facts all tasks are written from, and the one split of subjects they share."""
