"""Several runs: compared, or searching for the capacity of a target."""
