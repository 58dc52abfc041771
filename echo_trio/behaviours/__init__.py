"""Answer the connections to each path: pure scripts, and the player that carries them out."""
