"""Results as tables and in the formats of others."""
