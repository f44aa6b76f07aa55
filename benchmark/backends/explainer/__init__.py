"""Language models as explainers."""
