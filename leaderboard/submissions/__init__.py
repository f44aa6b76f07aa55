"""Submissions: read as if a stranger had written them, checked."""
