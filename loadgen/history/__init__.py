"""Keep the reports of runs in a file, and say since when a figure has changed."""
