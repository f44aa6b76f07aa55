"""What is done to a target model, and what comes out."""
