"""Null models: what scores without reading the vector, or without knowing the model."""
