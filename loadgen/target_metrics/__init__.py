"""Ask the target for its own metrics once a second, on the run's clock."""
