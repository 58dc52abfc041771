"""What a connection to each path is answered with: pure scripts, and their player."""
