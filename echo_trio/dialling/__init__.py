"""Dial WebSockets on behalf of the console's page, and tell all that a browser hides from pages."""
