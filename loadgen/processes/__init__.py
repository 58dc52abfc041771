"""Several processes as one run: of this machine, or of a Dask cluster."""
