"""The WebSocket over Trio that server and load generator share; knows nothing of either."""
