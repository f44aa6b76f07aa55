"""From a run file and ground truth to a result; no model."""
