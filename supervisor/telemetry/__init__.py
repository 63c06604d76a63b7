"""What is known of the inside of actors, and what is kept of dead ones."""
