"""What was done about a submission's claims."""
