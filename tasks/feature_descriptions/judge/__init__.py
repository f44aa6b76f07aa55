"""Judges of descriptions."""
