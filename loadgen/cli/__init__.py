"""Turn arguments into a plan, and its result into a report and an exit code."""
