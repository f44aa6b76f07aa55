"""Target models: what they are, where their bytes come from."""
