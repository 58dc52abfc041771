"""What a person and an orchestrator look at: the web page, health, the server's numbers."""
