"""From queries to a run file."""
