"""Language models that predict activations from a description."""
