"""Features of context: what the current token does not say."""
