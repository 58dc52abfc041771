"""Run several processes as one run: on this machine, or on a Dask cluster."""
