"""Study several runs: compare them, or search with them for the capacity of a target."""
