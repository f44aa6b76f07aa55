"""Run files: header, rows, judgements; written append-only, read strictly."""
