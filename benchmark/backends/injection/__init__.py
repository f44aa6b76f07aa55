"""How a query's vector enters an explainer."""
