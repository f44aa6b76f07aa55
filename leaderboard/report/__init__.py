"""Findings as Markdown and pictures."""
