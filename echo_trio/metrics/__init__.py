"""Count and measure what the server does, and present it in the forms in which it is read."""
