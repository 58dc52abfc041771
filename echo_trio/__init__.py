"""Serve WebSockets: an echo server that tests clients and shows what it does."""
