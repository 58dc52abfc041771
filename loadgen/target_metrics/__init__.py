"""What the target says of itself, once a second, on the run's clock."""
