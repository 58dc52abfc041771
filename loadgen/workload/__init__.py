"""Define what a run is to do: frozen settings and pure decisions, without I/O."""
