"""Tasks of this package for lm-eval: YAML files, and the module that they name."""
