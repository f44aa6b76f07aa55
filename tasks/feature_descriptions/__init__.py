"""Feature descriptions: what a direction in the target responds to, in words known to be true."""
