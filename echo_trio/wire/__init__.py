"""Speak WebSocket over Trio: shared by server and load generator, and independent of both."""
