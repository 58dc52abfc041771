"""Serve in several processes that share the server's port, with one that supervises them."""
