"""A library of statements about tokens that are true or false by the text alone, with wordings."""
