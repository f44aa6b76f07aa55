"""Weights and tokenizers."""
