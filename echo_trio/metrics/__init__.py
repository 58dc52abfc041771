"""What the server counts and measures, and the forms in which it is read."""
