"""Language models as judges of descriptions."""
