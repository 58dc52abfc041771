"""A WebSocket load generator on Trio that accounts for every socket and every message."""
