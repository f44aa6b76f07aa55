"""The harness: records, files, running and scoring. Imports none of the other folders."""
