"""Start the processes of a program by forking one that has imported what they need."""
