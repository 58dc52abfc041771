"""Serve the web page, health and the server's figures, to people and to orchestrators."""
