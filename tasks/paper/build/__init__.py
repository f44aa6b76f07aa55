"""Imports the published data as suites."""
