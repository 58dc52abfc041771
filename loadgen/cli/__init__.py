"""The command line: arguments become a plan, its result a report and an exit code."""
