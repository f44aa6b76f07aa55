"""Tables made from scored runs."""
