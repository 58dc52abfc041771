"""Hold what a run measured: columns that add up, histograms that merge. Pure."""
