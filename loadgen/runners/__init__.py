"""How one plan is run by several processes: of this machine, or of a Dask cluster."""
