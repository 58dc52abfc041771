"""A WebSocket echo server on Trio: each message comes back with a random number appended."""
