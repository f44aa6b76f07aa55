"""Sparse autoencoders: trained and run."""
