"""Carry out a run: preflight, open, load, close, in one nursery."""
